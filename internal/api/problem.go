package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/certvigil/certvigil/internal/fault"
)

// A problem is the body of every error.
type problem = fault.Problem

// A statusError is a fault whose status is a matter of HTTP alone.
type statusError struct {
	status int
	title  string
	fault  *fault.Error
}

// Error returns the fault's text.
func (e *statusError) Error() string { return e.fault.Error() }

// Unwrap returns the fault.
func (e *statusError) Unwrap() error { return e.fault }

// fail answers with the problem that an error is, and logs it.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	p.RequestID = requestID(r.Context())
	s.note(r, p, err)
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, p.Status, p)
}

// note logs why a request was refused, in full and loudly when it is ours.
func (s *server) note(r *http.Request, p problem, err error) {
	p.RequestID = requestID(r.Context())
	switch {
	case r.Context().Err() != nil:
		s.log.Debug("the client went away", "request_id", p.RequestID, "error", err)
	case p.Status == http.StatusInternalServerError:
		s.log.Error("request failed", "request_id", p.RequestID, "route", r.Pattern, "error", err)
	case p.Status > http.StatusInternalServerError:
		s.log.Warn("request not served", "request_id", p.RequestID, "route", r.Pattern, "error", err, "cause", causeOf(err))
	default:
		s.log.Debug("request refused", "request_id", p.RequestID, "route", r.Pattern, "status", p.Status, "rule", p.Rule)
	}
}

// causeOf returns what a fault keeps from the client, nil if nothing.
func causeOf(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Err
	}
	return nil
}

// problemOf never shows what an internal error says.
func problemOf(err error) problem {
	p := fault.ProblemOf(err)
	if e, ok := errors.AsType[*statusError](err); ok {
		p.Status, p.Title = e.status, e.title
	}
	return p
}

// writeJSON answers with a body that is indented, since people read it in a
// terminal. The content type is JSON's unless one is set.
func writeJSON(w http.ResponseWriter, status int, body any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // nosniff and the content type keep it from being HTML
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the client may be gone; the status is sent
}
