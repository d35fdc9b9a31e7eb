package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/templates"
)

// A Handler records what people say about items that are told to expire. It may
// be called concurrently.
type Handler interface {
	// Watched returns an item of which something is told, or fault.Conflict.
	Watched(ctx context.Context, ref string) (alert.Item, error)
	// Acknowledge, Snooze and Resume act on an item that a reference names. by
	// is the name to show, "" for the actor's own.
	Acknowledge(ctx context.Context, ref, by string, actor inventory.Actor) (inventory.Handled, error)
	Snooze(ctx context.Context, ref, by string, span time.Duration, actor inventory.Actor) (inventory.Handled, error)
	Resume(ctx context.Context, ref string, actor inventory.Actor) (inventory.Handled, error)
}

// maxSaying is the size of the largest body of an acknowledgement.
const maxSaying = 4 << 10

// snoozes are the spans that the page offers.
var snoozes = []time.Duration{alert.Day, 3 * alert.Day, 7 * alert.Day}

func (s *server) routeHandling(mux *http.ServeMux) {
	for action, say := range map[string]func(*http.Request, saying, inventory.Token) (inventory.Handled, error){
		"acknowledge": func(r *http.Request, said saying, token inventory.Token) (inventory.Handled, error) {
			return s.handler.Acknowledge(r.Context(), r.PathValue("item"), said.by(token), actorOf(token, r))
		},
		"snooze": func(r *http.Request, said saying, token inventory.Token) (inventory.Handled, error) {
			span, err := said.span()
			if err != nil {
				return inventory.Handled{}, err
			}
			return s.handler.Snooze(r.Context(), r.PathValue("item"), said.by(token), span, actorOf(token, r))
		},
		"resume": func(r *http.Request, said saying, token inventory.Token) (inventory.Handled, error) {
			if err := said.nothing(); err != nil {
				return inventory.Handled{}, err
			}
			return s.handler.Resume(r.Context(), r.PathValue("item"), actorOf(token, r))
		},
	} {
		s.route(mux, "/items/{item}/"+action, s.guarded(http.MethodPost, inventory.ScopeWrite, func(w http.ResponseWriter, r *http.Request, token inventory.Token) error {
			said, err := readSaying(w, r)
			if err != nil {
				return err
			}
			done, err := say(r, said, token)
			if err != nil {
				return err
			}
			s.log.Info("somebody handles an item", "request_id", requestID(r.Context()), "token", token.ID, "item", done.Item.ID, "action", action)
			writeJSON(w, http.StatusOK, done)
			return nil
		}))
	}
}

// A saying is the body of an acknowledgement or a snooze; all of it may be left
// out.
type saying struct {
	By  string `json:"by"`
	For string `json:"for"` // a span of time such as "36h"; default a day
}

func (s saying) by(token inventory.Token) string {
	if s.By != "" {
		return s.By
	}
	return token.Name
}

func (s saying) span() (time.Duration, error) {
	if s.For == "" {
		return alert.Day, nil
	}
	span, err := time.ParseDuration(s.For)
	if err != nil {
		return 0, fault.New(fault.Invalid, "snooze", "%.40q is no span of time", s.For).WithField("for").WithHint(`write hours, such as "72h"`)
	}
	return span, nil
}

// nothing refuses what would be said in vain.
func (s saying) nothing() error {
	for _, field := range []struct{ name, value string }{{"by", s.By}, {"for", s.For}} {
		if field.value != "" {
			return fault.New(fault.Invalid, "json", "%q says nothing of what is taken back", field.name).WithField(field.name).WithHint("send {}, or nothing")
		}
	}
	return nil
}

func readSaying(w http.ResponseWriter, r *http.Request) (said saying, err error) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSaying))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&said); errors.Is(err, io.EOF) {
		return saying{}, nil
	}
	if err == nil {
		if _, err = decoder.Token(); err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	switch {
	case tooLarge(err):
		return said, fault.New(fault.TooLarge, "body_size", "the body is larger than %d bytes", maxSaying).WithHint("send a name and a span")
	case err != nil:
		field := ""
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field = wrong.Field
		}
		return said, fault.New(fault.Invalid, "json", `the body is no JSON object of "by" and "for" alone`).WithField(field).WithHint(`send e.g. {"by": "Ana", "for": "72h"}, or nothing`)
	}
	return said, refusePrivateKey(said.By, said.For)
}

// refusePrivateKey calls a private key by its name, also where a name belongs
// that would be stored and shown.
func refusePrivateKey(texts ...string) error {
	for _, text := range texts {
		if _, err := cert.ParsePEMCertificates([]byte(text)); fault.Rule(err) == "private_key" {
			return err
		}
	}
	return nil
}

// showHandling and useHandling serve the page of a link. The token in the path
// is all the authority there is; GET and HEAD change nothing.
func (s *server) showHandling(w http.ResponseWriter, r *http.Request) {
	item, err := s.handlingItem(w, r)
	if err != nil {
		s.failHandling(w, r, err)
		return
	}
	s.handlingPage(w, r, http.StatusOK, templates.HandlingPage{Item: &item, Snoozes: snoozes})
}

func (s *server) useHandling(w http.ResponseWriter, r *http.Request) {
	item, err := s.handlingItem(w, r)
	if err == nil {
		var done inventory.Handled
		if done, err = s.handleLinked(w, r, item); err == nil {
			s.handlingPage(w, r, http.StatusOK, templates.HandlingPage{Item: &done.Item, Done: true, Next: done.Next})
			return
		}
	}
	s.failHandling(w, r, err)
}

// handlingItem returns what the link of a request is for. Guessing is slowed
// down by address like that of tokens.
func (s *server) handlingItem(w http.ResponseWriter, r *http.Request) (alert.Item, error) {
	id, err := s.links.OpenHandling(r.PathValue("token"))
	if fault.Is(err, fault.NotFound) {
		if limited := s.tooMany(w, r); limited != nil {
			return alert.Item{}, limited
		}
	}
	if err != nil {
		return alert.Item{}, err
	}
	return s.handler.Watched(r.Context(), id)
}

func (s *server) handleLinked(w http.ResponseWriter, r *http.Request, item alert.Item) (done inventory.Handled, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSaying)
	if err := r.ParseForm(); err != nil {
		return done, fault.New(fault.Invalid, "form", "the form cannot be read").WithHint("use the form of the page")
	}
	for _, values := range r.PostForm {
		if err := refusePrivateKey(values...); err != nil {
			return done, err
		}
	}
	by, actor := r.PostForm.Get("by"), inventory.Actor{Kind: inventory.ActorLink, ID: item.ID, RequestID: requestID(r.Context())}
	switch action := r.PostForm.Get("do"); action {
	case "acknowledge":
		done, err = s.handler.Acknowledge(r.Context(), item.ID, by, actor)
	case "snooze":
		span, spanErr := time.ParseDuration(r.PostForm.Get("for"))
		if spanErr != nil {
			return done, fault.New(fault.Invalid, "form", "the form names no span of time").WithField("for").WithHint("use the form of the page")
		}
		done, err = s.handler.Snooze(r.Context(), item.ID, by, span, actor)
	default:
		return done, fault.New(fault.Invalid, "form", "the form says neither acknowledge nor snooze").WithField("do").WithHint("use the form of the page")
	}
	if err == nil {
		s.log.Info("somebody handles an item", "request_id", requestID(r.Context()), "link_of", item.ID)
	}
	return done, err
}

func (s *server) failHandling(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	s.note(r, p, err)
	if p.Rule == "not_watched" || strings.HasPrefix(p.Rule, "link_") {
		p.Status = http.StatusGone
	}
	s.handlingPage(w, r, p.Status, templates.HandlingPage{Problem: p.Detail, Hint: p.Hint})
}

func (s *server) handlingPage(w http.ResponseWriter, r *http.Request, status int, page templates.HandlingPage) {
	page.Now, page.RequestID = s.now(), requestID(r.Context())
	var body bytes.Buffer
	if err := templates.RenderHandling(&body, page); err != nil {
		s.fail(w, r, err)
		return
	}
	writeForm(w, status, body.Bytes())
}
