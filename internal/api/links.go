package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/templates"
)

// Links opens the signed links that messages carry. It may be used
// concurrently.
type Links interface {
	// OpenRenewal returns the item that a token lets its holder renew. It
	// returns fault.NotFound for what was never signed, and fault.Conflict for
	// what has ended. It compares in constant time, and keeps the token to itself.
	OpenRenewal(token string) (itemID string, err error)
	// OpenHandling is the same for the item that may be acknowledged or snoozed.
	OpenHandling(token string) (itemID string, err error)
}

// A LinkRenewer carries out renewals for whoever holds a link of an item. It
// may be called concurrently.
type LinkRenewer interface {
	// Linked returns the item, or fault.Conflict when the link is over. It and
	// PreviewLinked change nothing.
	Linked(ctx context.Context, itemID string) (inventory.Linked, error)
	PreviewLinked(ctx context.Context, itemID string, data []byte) (inventory.Preview, error)
	RenewLinked(ctx context.Context, itemID string, data []byte, actor inventory.Actor) (inventory.Renewal, error)
}

// routeLinks registers the page of signed links. The token in the path is all
// the authority there is, and all that a foreign page lacks. GET and HEAD
// change nothing: programs that scan mails follow every link.
func (s *server) routeLinks(mux *http.ServeMux) {
	s.route(mux, "/renew/{token}", open(http.MethodGet, http.HandlerFunc(s.showLink)), open(http.MethodPost, http.HandlerFunc(s.useLink)))
	if s.handler != nil {
		s.route(mux, "/handle/{token}", open(http.MethodGet, http.HandlerFunc(s.showHandling)), open(http.MethodPost, http.HandlerFunc(s.useHandling)))
	}
}

func (s *server) showLink(w http.ResponseWriter, r *http.Request) {
	linked, err := s.linked(w, r)
	if err != nil {
		s.failLink(w, r, nil, err)
		return
	}
	s.page(w, r, http.StatusOK, askPage(linked))
}

func (s *server) useLink(w http.ResponseWriter, r *http.Request) {
	linked, err := s.linked(w, r)
	if err != nil {
		s.failLink(w, r, nil, err)
		return
	}
	form, err := readLinkForm(w, r)
	if err == nil && form.confirm {
		err = s.renewLinked(w, r, linked, form.data)
	} else if err == nil {
		err = s.previewLinked(w, r, linked, form.data)
	}
	if err != nil {
		s.failLink(w, r, &linked, err)
	}
}

// linked returns what the link of a request is for, if it is good for
// anything. Guessing is slowed down by address like that of tokens.
func (s *server) linked(w http.ResponseWriter, r *http.Request) (inventory.Linked, error) {
	id, err := s.links.OpenRenewal(r.PathValue("token"))
	if fault.Is(err, fault.NotFound) {
		if limited := s.tooMany(w, r); limited != nil {
			return inventory.Linked{}, limited
		}
	}
	if err != nil {
		return inventory.Linked{}, err
	}
	return s.linkRenewer.Linked(r.Context(), id)
}

func askPage(l inventory.Linked) templates.RenewalPage {
	return templates.RenewalPage{Step: templates.RenewalAsk, Item: &l.Item, Dependents: l.Dependents, More: l.More}
}

func (s *server) previewLinked(w http.ResponseWriter, r *http.Request, l inventory.Linked, data []byte) error {
	seen, err := s.linkRenewer.PreviewLinked(r.Context(), l.Item.ID, data)
	if err != nil {
		return err
	}
	c := seen.Certificate
	s.page(w, r, http.StatusOK, templates.RenewalPage{
		Step: templates.RenewalConfirm, Item: &l.Item, Difference: seen.Difference, Status: seen.Status,
		New: &templates.NewCertificate{
			PEM: string(cert.EncodePEM(c)), Fingerprint: cert.Fingerprint(c), Subject: cert.SubjectDN(c), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		},
	})
	return nil
}

func (s *server) renewLinked(w http.ResponseWriter, r *http.Request, l inventory.Linked, data []byte) error {
	id := requestID(r.Context())
	done, err := s.linkRenewer.RenewLinked(r.Context(), l.Item.ID, data, inventory.Actor{Kind: inventory.ActorLink, ID: l.Item.ID, RequestID: id})
	if err != nil {
		return err
	}
	s.log.Info("took a renewal", "request_id", id, "link_of", l.Item.ID, "status", done.Status)
	s.page(w, r, renewalStatus(done), templates.RenewalPage{
		Step: templates.RenewalDone, Item: &done.Replaces, Difference: done.Difference, Status: done.Status, New: newCertificate(done),
	})
	return nil
}

func newCertificate(done inventory.Renewal) *templates.NewCertificate {
	if p := done.Proposal; p != nil {
		return &templates.NewCertificate{Fingerprint: p.Fingerprint, Subject: p.Subject, NotBefore: p.Certificate.NotBefore, NotAfter: p.NotAfter}
	}
	n := &templates.NewCertificate{Fingerprint: done.Item.Fingerprint, Subject: done.Item.Subject, NotBefore: done.Item.NotBefore, NotAfter: done.Item.NotAfter}
	if done.Item.Kind == alert.KindCA {
		n.Served = done.Item.Bundles
	}
	return n
}

// failLink shows what is wrong: beside the form, where another certificate may
// mend it, else alone. What was handed in is never shown again.
func (s *server) failLink(w http.ResponseWriter, r *http.Request, l *inventory.Linked, err error) {
	p := problemOf(err)
	s.note(r, p, err)
	page := templates.RenewalPage{Step: templates.RenewalOver}
	if l != nil && !strings.HasPrefix(p.Rule, "link_") {
		page = askPage(*l)
	}
	page.Problem, page.Hint = p.Detail, p.Hint
	if strings.HasPrefix(p.Rule, "link_") {
		p.Status = http.StatusGone
	}
	s.page(w, r, p.Status, page)
}

func (s *server) page(w http.ResponseWriter, r *http.Request, status int, page templates.RenewalPage) {
	page.Now, page.RequestID = s.now(), requestID(r.Context())
	var body bytes.Buffer
	if err := templates.RenderRenewal(&body, page); err != nil {
		s.fail(w, r, err)
		return
	}
	writeForm(w, status, body.Bytes())
}

// A linkForm is what the page posts.
type linkForm struct {
	data    []byte
	confirm bool
}

// readLinkForm takes the certificate from the file or from the text field,
// whichever is filled in. It reads all before it judges, so that a private key
// in any field is called by its name.
func readLinkForm(w http.ResponseWriter, r *http.Request) (linkForm, error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is no form
	if kind != "multipart/form-data" || params["boundary"] == "" {
		return linkForm{}, badForm(errors.New("no multipart form"))
	}
	fields, err := readFields(multipart.NewReader(http.MaxBytesReader(w, r.Body, maxUpload), params["boundary"]))
	if err != nil {
		return linkForm{}, err
	}
	file, text, step := fields["file"], fields["certificate"], string(fields["step"])
	switch {
	case len(file) > 0 && len(text) > 0:
		return linkForm{}, fault.New(fault.Invalid, "form", "a file was chosen and text was pasted: which of them counts is open").
			WithField("certificate").WithHint("hand in one of them")
	case len(file)+len(text) == 0:
		return linkForm{}, fault.New(fault.Invalid, "empty", "no certificate was handed in").
			WithField("certificate").WithHint("choose the file of the renewed certificate, or paste its text")
	case step != "" && step != "preview" && step != "confirm":
		return linkForm{}, fault.New(fault.Invalid, "form", "there is no step %.20q", step).WithField("step").WithHint("preview or confirm")
	}
	return linkForm{data: append(file, text...), confirm: step == "confirm"}, nil
}

// readFields reads a form's known fields, each once, without white space at
// their ends that a browser or a person adds.
func readFields(form *multipart.Reader) (map[string][]byte, error) {
	fields := map[string][]byte{}
	var refused error
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, refused
		}
		if err != nil {
			return nil, badForm(err)
		}
		content, err := readUpload(part)
		if err != nil {
			return nil, err
		}
		name := part.FormName()
		_, twice := fields[name]
		known := name == "file" || name == "certificate" || name == "step"
		if _, err := cert.ParsePEMCertificates(content); fault.Rule(err) == "private_key" {
			refused = err
		} else if (twice || !known) && refused == nil {
			refused = fault.New(fault.Invalid, "form", "the form has an unknown or repeated field %.40q", name).WithHint("use the form of the page")
		}
		if name != "file" { // which may be binary
			content = bytes.TrimSpace(content)
		}
		fields[name] = content
	}
}
