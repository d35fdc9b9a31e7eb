package enforcer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A flight is a request being served, a stream or a WebSocket: what the sweep
// judges again.
type flight struct {
	subject
	cancel context.CancelCauseFunc
	tally  tally

	last             bool    // on a connection that has reached its lifetime
	multiplexed      bool    // shares its connection with others (HTTP/2)
	reading, writing waiting // for the client; of a multiplexed one
	dropped          atomic.Bool
	abort            func() // hangs up
	interrupt        func() // ends a read of the body

	mu       sync.Mutex
	landed   bool     // the request has ended
	decision decision // the newest
	id       string   // the request id, once one is needed
}

// requestID returns the flight's id, made on first use.
func (f *flight) requestID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id == "" {
		f.id = newRequestID()
	}
	return f.id
}

// isNamed reports whether the flight has an id, which the sweep may give it.
func (f *flight) isNamed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id != ""
}

// decide notes a decision, unless the sweep has noted a newer one.
func (f *flight) decide(d decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decision.seq <= d.seq {
		f.decision = d
	}
}

// abortGrace is how long a request that was cut off has to end by itself, with
// a proper answer if none had begun.
const abortGrace = 500 * time.Millisecond

// cut cancels the request. Cancelling stops the origin, but not a write to a
// client that does not read: after the grace that client is hung up on.
func (f *flight) cut(cause error) {
	f.cancel(cause)
	time.AfterFunc(abortGrace, func() { f.end(f.abort) })
}

// end calls how, one of abort and interrupt, unless the request has ended.
func (f *flight) end(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.landed && how != nil {
		how()
	}
}

// land notes that the request has ended: from here on its connection is none
// of its business.
func (f *flight) land() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landed = true
}

// application returns the name of the application that the request is for, or "".
func (f *flight) application() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.decision.application()
}

// stale reports whether the decision may no longer hold.
func (f *flight) stale(seq uint64, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &f.decision
	return d.app != nil && (d.seq != seq || !d.until.IsZero() && !now.Before(d.until))
}

// A cutOff is why a request was cancelled in flight.
type cutOff struct{ decision decision }

// Error implements error.
func (c *cutOff) Error() string { return "admission withdrawn: " + string(c.decision.reason) }

// sweep judges every request in flight again whose decision the state or the
// clock has overtaken, and cancels those no longer admitted. A request that is
// still admitted notices nothing. It is called at each change and at intervals:
// for the clock, and for requests that were judged by the old state while a new
// one was being swept.
func (e *Enforcer) sweep() {
	s := e.current.Load()
	if s == nil {
		return
	}
	now := e.now()
	for _, f := range e.flights.Append(nil) {
		if isOwn(f.target.Path) || !f.stale(s.seq, now) { // the gateway's own answers ask no policy, and judge for themselves
			continue
		}
		d := s.judge(&f.subject, now)
		f.decide(d)
		if d.status != 0 {
			f.cut(&cutOff{d})
			e.logCutOff(f, &d)
		}
	}
}

// cutAll cancels every request in flight.
func (e *Enforcer) cutAll(cause error) {
	for _, f := range e.flights.Append(nil) {
		f.cut(cause)
	}
}
