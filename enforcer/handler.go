package enforcer

import (
	"context"
	"net/http"
	"strings"
)

// ServeHTTP judges a request and passes it on, or answers it. It fails closed:
// a request on a connection that is not one of ours is refused.
func (e *Enforcer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ours := clientOf(r)
	s := e.current.Load()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	f := newFlight(c, s, r, cancel)
	w, r = e.attend(f, w, r.WithContext(ctx))
	ready := ours && s != nil
	if ready {
		e.flights.Add(f)
		defer e.flights.Remove(f) // with its record written: a shutdown waits for both
	}
	if e.accessLog != nil {
		f.tally.began = e.now()
		defer e.record(f, r)
	}
	defer f.land()
	switch {
	case isHealthCheck(r):
		e.serveHealth(w, r, f, s != nil)
		return
	case !ready:
		e.refuse(w, r, f, decision{reason: ReasonNoState, status: http.StatusForbidden, verdict: noCertificate})
		return
	}
	now := e.now()
	d := s.settle(&f.subject, r, now, nil)
	e.see(c, s, &d, now)
	switch {
	case d.own:
		e.serveOwn(w, r, f, s, d)
	case d.status != 0:
		e.refuse(w, r, f, d)
	default:
		f.decide(d)
		f.tally.outcome, f.tally.passed = d, true
		e.pass(w, r, f, s, &f.tally.outcome)
	}
}

// newFlight takes of a request what its admission depends on. Client and
// snapshot may be nil: then the request gets no further than to its refusal.
func newFlight(c *client, s *snapshot, r *http.Request, cancel context.CancelCauseFunc) *flight {
	f := &flight{
		subject: subject{client: c, host: r.Host, target: *r.URL, preflight: isPreflight(r)},
		cancel:  cancel,
	}
	if c == nil || s == nil {
		return f
	}
	f.addr = clientAddr(c.addr, s.trusted, r.Header)
	f.id = requestIDOf(r.Header[requestIDHeader], isTrusted(c.addr, s.trusted))
	return f
}

// originForm reports whether the request asks for a path (RFC 9112 §3.2).
func originForm(r *http.Request) bool {
	return r.Method != http.MethodConnect && strings.HasPrefix(r.URL.Path, "/")
}

// pass forwards an admitted request.
func (e *Enforcer) pass(w http.ResponseWriter, r *http.Request, f *flight, s *snapshot, d *decision) {
	if d.reason != "" {
		e.log.Warn("request would be denied", e.denial(f, d)...)
	}
	if e.metrics.Request != nil {
		e.metrics.Request(d.app.name, true, d.reason)
	}
	x := &exchange{
		flight: f, snapshot: s, app: d.app, cookies: r.Header["Cookie"],
		trustedPeer: isTrusted(f.client.addr, s.trusted),
	}
	if err := e.identify(x, d); err != nil {
		e.log.Error("signing the identity failed", "request_id", f.requestID(), "application", d.app.name, "error", err)
		e.answer(w, r, f, http.StatusInternalServerError)
		return
	}
	if e.accessLog != nil || f.isNamed() {
		// Both logs are to know the request by one id, and it is not for the
		// client to choose.
		r.Header[requestIDHeader] = []string{f.requestID()}
	}
	e.forward(w, r, x)
}
