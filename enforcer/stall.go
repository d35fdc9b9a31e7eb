package enforcer

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/watch"
)

// Why a request was cut off that is still admitted.
const (
	ReasonStalled  Reason = "client_stalled"      // sends no more of the body, or takes no more of the answer
	ReasonLifetime Reason = "connection_lifetime" // of a WebSocket
)

var (
	errStalled  = errors.New("the client sends no more of the request, or takes no more of the answer")
	errOutlived = errors.New("the connection has reached its lifetime")
)

// A waiting is a kind of call of which one is made at a time. A watcher can
// see from outside how long the present one has been blocked, at the price of
// two additions a call: no timer and no deadline is moved.
type waiting struct {
	calls   atomic.Uint64 // odd while one is in progress
	excused atomic.Bool   // it may take as long as it likes

	seen  uint64 // the watcher's own
	since time.Time
}

func (w *waiting) begin() { w.calls.Add(1) }
func (w *waiting) end()   { w.calls.Add(1) }

// blocked reports whether the call in progress has been seen that long. It is
// the watcher's alone. now may lag behind watch.Now.
func (w *waiting) blocked(now time.Time, limit time.Duration) bool {
	calls := w.calls.Load()
	if calls != w.seen || w.since.IsZero() || w.excused.Load() {
		w.seen, w.since = calls, watch.Now()
	}
	return calls&1 == 1 && now.Sub(w.since) >= limit
}

// attend notes the request with its connection and puts in place what the
// watcher needs. The request is a copy: net/http goes by the body of its own.
func (e *Enforcer) attend(f *flight, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	c := f.client
	if c == nil { // not one of ours, which is refused
		return w, r
	}
	c.served.Store(true)
	f.last = c.outlived(e.now(), e.limits.ConnectionLifetime)
	f.sayLast(w.Header())
	f.multiplexed = r.ProtoMajor > 1
	rc := http.NewResponseController(w)
	f.interrupt = func() { _ = rc.SetReadDeadline(past) }
	// What ends a request that does not end by itself: its stream in HTTP/2,
	// its connection in HTTP/1.1, which serves no other meanwhile.
	f.abort = func() { _ = c.Close() }
	if f.multiplexed {
		f.abort = func() { _ = rc.SetWriteDeadline(past) }
		// One connection carries many: each has its own flow control.
		if r.Body != http.NoBody {
			r.Body = &streamBody{r.Body, &f.reading}
		}
		return &streamWriter{w, &f.writing}, r
	}
	if r.Body != http.NoBody {
		c.owesBody.Store(true)
		r.Body = &plainBody{r.Body, c}
	}
	return w, r
}

// sayLast asks the client of an old connection to open another one: in HTTP/2
// net/http turns the header into a GOAWAY. An origin's answer is cleared of
// what concerns connections, so it is said again then.
func (f *flight) sayLast(h http.Header) {
	if f.last {
		h["Connection"] = []string{"close"}
	}
}

// A plainBody is a body over HTTP/1.1. That it is being waited for shows in
// the reads of the connection; here is seen that it is complete.
type plainBody struct {
	io.ReadCloser
	client *client
}

// Read implements io.Reader.
func (b *plainBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.client.owesBody.Store(false)
	}
	return n, err
}

// excuse lets the client be silent while the answer goes on, until the result
// is called: in a conversation, such as gRPC knows them, it may be the origin's
// turn, and the origin decides how long it waits.
func (f *flight) excuse() func() {
	w := &f.client.reading
	if f.multiplexed {
		w = &f.reading
	}
	w.excused.Store(true)
	return func() { w.excused.Store(false) }
}

type streamBody struct {
	io.ReadCloser
	reading *waiting
}

// Read implements io.Reader.
func (b *streamBody) Read(p []byte) (int, error) {
	b.reading.begin()
	defer b.reading.end()
	return b.ReadCloser.Read(p)
}

// A streamWriter is an answer over HTTP/2.
type streamWriter struct {
	http.ResponseWriter
	writing *waiting
}

// Write implements io.Writer.
func (s *streamWriter) Write(p []byte) (int, error) {
	s.writing.begin()
	defer s.writing.end()
	return s.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController looks for.
func (s *streamWriter) FlushError() error {
	s.writing.begin()
	defer s.writing.end()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap is what http.ResponseController looks for.
func (s *streamWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// maxWatch is for limits of minutes.
const maxWatch = 5 * time.Second

// watch ends what clients hold up.
func (e *Enforcer) watch() {
	now, wall := watch.Now(), e.now()
	for _, f := range e.flights.Append(nil) {
		reading, writing := f.stalled(now, e.limits.BodyTimeout)
		switch {
		case f.client.hijacked.Load():
			// A WebSocket may be silent for as long as it likes.
			if f.client.outlived(wall, e.limits.ConnectionLifetime) {
				e.drop(f, errOutlived, ReasonLifetime)
			}
		case writing:
			e.drop(f, errStalled, ReasonStalled)
			f.end(f.abort)
		case reading:
			e.drop(f, errStalled, ReasonStalled)
			f.end(f.interrupt)
		}
	}
	for _, c := range e.clients.Append(nil) {
		c.watch(now, e.limits.BodyTimeout)
	}
}

// drop cuts off a request for what its connection does, once.
func (e *Enforcer) drop(f *flight, cause error, reason Reason) {
	if f.dropped.Swap(true) {
		return
	}
	application := f.application()
	e.log.Info("request cut off", "request_id", f.requestID(), "application", application, "reason", string(reason),
		"connection", f.client.id, "remote", f.addr.String(), "fingerprint", f.client.fingerprint())
	if e.metrics.CutOff != nil {
		e.metrics.CutOff(application, reason)
	}
	f.cut(cause)
}

// stalled reports for which way the client is being waited for too long.
func (f *flight) stalled(now time.Time, limit time.Duration) (reading, writing bool) {
	c := f.client
	if f.multiplexed {
		return f.reading.blocked(now, limit), f.writing.blocked(now, limit)
	}
	return c.reading.blocked(now, limit) && c.owesBody.Load(), c.writing.blocked(now, limit)
}

// watch ends what has no request any more, or concerns all of a connection's:
// a body that net/http reads to its end after the answer, and a client that
// takes nothing at all.
func (c *client) watch(now time.Time, limit time.Duration) {
	if c.hijacked.Load() {
		return
	}
	if c.reading.blocked(now, limit) && c.owesBody.Load() {
		_ = c.SetReadDeadline(past) // the answer, if there is one, still goes
	}
	if c.writing.blocked(now, limit) {
		_ = c.Close()
	}
}
