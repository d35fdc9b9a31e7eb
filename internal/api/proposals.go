package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/templates"
)

// A Decider decides on proposed CAs. It may be called concurrently.
type Decider interface {
	// Proposals returns those that wait, the oldest first.
	Proposals(ctx context.Context) ([]inventory.Proposed, error)
	// Confirm and Decline act on the proposal of that id if it has that
	// fingerprint. They return fault.NotFound for one that does not wait.
	Confirm(ctx context.Context, id, fingerprint string, actor inventory.Actor) (inventory.Renewal, error)
	Decline(ctx context.Context, id, fingerprint string, actor inventory.Actor) (inventory.Proposal, error)
}

// maxDecision is the size of the largest body of a decision.
const maxDecision = 4 << 10

func (s *server) routeProposals(mux *http.ServeMux) {
	s.route(mux, "/proposals", s.guarded(http.MethodGet, inventory.ScopeWrite, s.listProposals))
	s.route(mux, "/proposals/page", open(http.MethodGet, s.handle(s.showProposals)))
	s.route(mux, "/proposals/{id}/confirm", s.guarded(http.MethodPost, inventory.ScopeWrite, s.confirmProposal))
	s.route(mux, "/proposals/{id}/decline", s.guarded(http.MethodPost, inventory.ScopeWrite, s.declineProposal))
}

// showProposals answers with the same page for everybody: what it shows, its
// script asks for with the token of whoever reads it.
func (s *server) showProposals(w http.ResponseWriter, r *http.Request) error {
	var body bytes.Buffer
	if err := templates.RenderProposals(&body, templates.ProposalsPage{RequestID: requestID(r.Context())}); err != nil {
		return err
	}
	writePage(w, http.StatusOK, scriptCSP, body.Bytes())
	return nil
}

func (s *server) listProposals(w http.ResponseWriter, r *http.Request, _ inventory.Token) error {
	waiting, err := s.decider.Proposals(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, waiting)
	return nil
}

// confirmProposal trusts a CA: whoever asks for it must name the fingerprint
// as well, so that one proposal is not taken for another.
func (s *server) confirmProposal(w http.ResponseWriter, r *http.Request, token inventory.Token) error {
	fingerprint, err := readDecision(w, r)
	if err != nil {
		return err
	}
	done, err := s.decider.Confirm(r.Context(), r.PathValue("id"), fingerprint, actorOf(token, r))
	if err != nil {
		return err
	}
	s.log.Info("confirmed a proposed CA", "request_id", requestID(r.Context()), "token", token.ID, "replaces", done.Replaces.ID)
	writeJSON(w, renewalStatus(done), done)
	return nil
}

func (s *server) declineProposal(w http.ResponseWriter, r *http.Request, token inventory.Token) error {
	fingerprint, err := readDecision(w, r)
	if err != nil {
		return err
	}
	p, err := s.decider.Decline(r.Context(), r.PathValue("id"), fingerprint, actorOf(token, r))
	if err != nil {
		return err
	}
	s.log.Info("declined a proposed CA", "request_id", requestID(r.Context()), "token", token.ID, "item", p.ItemID)
	writeJSON(w, http.StatusOK, p)
	return nil
}

// readDecision returns the fingerprint that the body names.
func readDecision(w http.ResponseWriter, r *http.Request) (fingerprint string, err error) {
	var body struct {
		Fingerprint string `json:"fingerprint"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDecision))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&body)
	if err == nil {
		if _, err = decoder.Token(); err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	hint := `send {"fingerprint": "…"}: the whole SHA-256 fingerprint that the CA's owner told you`
	switch {
	case tooLarge(err):
		return "", fault.New(fault.TooLarge, "body_size", "the body is larger than %d bytes", maxDecision).WithHint("%s", hint)
	case err != nil:
		return "", fault.New(fault.Invalid, "json", "the body is no JSON object with a fingerprint alone").WithField("fingerprint").WithHint("%s", hint)
	case body.Fingerprint == "":
		return "", fault.New(fault.Invalid, "fingerprint", "the body has no fingerprint").WithField("fingerprint").WithHint("%s", hint)
	}
	return body.Fingerprint, nil
}

func actorOf(token inventory.Token, r *http.Request) inventory.Actor {
	return inventory.Actor{Kind: inventory.ActorToken, ID: token.ID, RequestID: requestID(r.Context())}
}
