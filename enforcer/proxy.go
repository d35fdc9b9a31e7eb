package enforcer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/certvigil/certvigil/enforcer/origin"
	"github.com/certvigil/certvigil/internal/fault"
)

const copyBuffer = 32 << 10

// An exchange is what the proxy needs to know of an admitted request. Its
// identity was fixed when the request was judged.
type exchange struct {
	flight      *flight
	snapshot    *snapshot
	app         *application
	trustedPeer bool
	assertion   token    // for the origin; the zero value sends none
	session     token    // for the client's cookie
	cookies     []string // as the client sent them
	certificate bool     // forward the client's certificate
	told        fields   // of the client's certificate, as the application asks
}

// identify settles what the origin is told. Only a verified certificate is
// ever told of, and never that of a client whom a bypass let in.
func (e *Enforcer) identify(x *exchange, d *decision) error {
	c := x.flight.client
	x.told = x.app.disclose(c, d)
	if !d.identified() {
		return nil
	}
	switch x.app.forwarding {
	case ForwardEvery:
		x.certificate = true
	case ForwardFirst:
		x.certificate = c.forwarded.CompareAndSwap(false, true)
	case ForwardOff:
	}
	var err error
	x.assertion, x.session, err = x.snapshot.tokensFor(c, d, e.now())
	return err
}

// originOf returns how the application's origin is reached.
func originOf(a *Application) *origin.Target {
	return &origin.Target{
		Scheme: a.Origin.Scheme, Addr: origin.Address(a.Origin),
		Roots: a.OriginTLS.Roots, Certificate: a.OriginTLS.Certificate, ServerName: a.OriginTLS.ServerName, ID: a.OriginTLS.ID,
		ConnectTimeout: a.ConnectTimeout, HeaderTimeout: a.OriginTimeout, Guard: a.OriginGuard,
	}
}

// forward sends the request to the application's origin and its answer to the
// client. It returns, or panics to drop the connection, when nothing reads the
// request or writes the answer any more.
func (e *Enforcer) forward(w http.ResponseWriter, r *http.Request, x *exchange) {
	out, _ := outgoings.Get().(*outgoing)
	defer out.release()
	t := &x.flight.tally
	out.prepare(w, r, x)
	if out.upload != nil {
		defer func() { t.received = out.upload.count.Load() }()
	}
	if misframed(r) {
		e.originFailed(w, r, x, out, fault.New(fault.Invalid, "content_length", "the request is not as long as it announces"))
		return
	}
	asked := e.now()
	res, err := e.origins.Do(r.Context(), x.app.origin, &out.request)
	if err != nil {
		e.originFailed(w, r, x, out, err)
		return
	}
	defer res.Close()
	t.origin, t.status = e.now().Sub(asked), res.Status
	if e.metrics.Origin != nil {
		e.metrics.Origin(x.app.name, t.origin)
	}
	x.handOverCookie(res.Header)
	if res.Status == http.StatusSwitchingProtocols {
		e.tunnel(w, r, x, res)
		return
	}
	x.flight.sayLast(res.Header)
	out.answer(w, r, res)
	defer x.flight.excuse()()
	if err := pipe(w, res, t); err != nil {
		if context.Cause(r.Context()) == nil {
			e.log.Debug("an answer broke off", "application", x.app.name, "error", err)
		}
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

// answer writes the head of the answer.
func (o *outgoing) answer(w http.ResponseWriter, r *http.Request, res *origin.Response) {
	if len(res.Announced) > 0 {
		res.Header["Trailer"] = res.Announced
	}
	if _, said := res.Header["Content-Type"]; !said {
		res.Header["Content-Type"] = nil // net/http would guess
	}
	o.leaveRest(w, r)
	w.WriteHeader(res.Status)
}

// leaveRest is called before an answer: if the request's body has not been
// read to its end by now, it may never be. Over HTTP/1.1 that ends the
// connection, since nobody knows where the next request begins.
func (o *outgoing) leaveRest(w http.ResponseWriter, r *http.Request) {
	if !r.ProtoAtLeast(1, 1) {
		// RFC 9112 §6.1: it may have had a Transfer-Encoding, which net/http
		// ignores and hides.
		w.Header()["Connection"] = []string{"close"}
	}
	if o.upload == nil || o.upload.ended.Load() || r.ProtoMajor > 1 {
		return
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // the body goes on meanwhile
	w.Header()["Connection"] = []string{"close"}
}

// pipe copies the body and the trailers. An answer without a known length goes
// on in the pieces in which it comes, and so do events.
func pipe(w http.ResponseWriter, res *origin.Response, t *tally) error {
	buf, _ := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	rc := http.NewResponseController(w)
	flushing, pending := streams(res), true
	for {
		if flushing && pending && res.Waiting() {
			if err := rc.Flush(); err != nil {
				return err
			}
			pending = false
		}
		n, err := res.Read(buf[:])
		if n > 0 {
			written, err := w.Write(buf[:n])
			t.sent += int64(written)
			if err != nil {
				return err
			}
			pending = true
		}
		if errors.Is(err, io.EOF) {
			return trail(w, rc, res)
		}
		if err != nil {
			return err
		}
	}
}

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func streams(res *origin.Response) bool {
	if res.Length < 0 {
		return true
	}
	kind := res.Header["Content-Type"]
	return len(kind) == 1 && strings.HasPrefix(kind[0], "text/event-stream")
}

// trail passes trailers on, those too that the origin had not announced.
func trail(w http.ResponseWriter, rc *http.ResponseController, res *origin.Response) error {
	if len(res.Trailer) == 0 {
		return nil
	}
	promised := map[string]bool{}
	for _, name := range res.Announced {
		promised[name] = true
	}
	h := w.Header()
	for name, values := range res.Trailer {
		if !promised[name] {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	// Flushed, a short answer is not given a length, which would leave no room.
	return rc.Flush()
}

// handOverCookie gives the client its session token, if it has not got it.
// (Not written beforehand: an informational response would carry it off.)
func (x *exchange) handOverCookie(h http.Header) {
	if x.session.cookie != "" && !hasCookie(x.cookies, x.session.pair()) {
		h["Set-Cookie"] = append(h["Set-Cookie"], x.session.cookie)
	}
}

// originFailed answers for an origin that did not, and for a request that lost
// its admission before the answer had begun. Nothing of the cause is told to
// the client.
func (e *Enforcer) originFailed(w http.ResponseWriter, r *http.Request, x *exchange, out *outgoing, err error) {
	x.flight.sayLast(w.Header())
	out.leaveRest(w, r)
	cause := context.Cause(r.Context())
	if cut, ok := errors.AsType[*cutOff](cause); ok {
		e.answer(w, r, x.flight, cut.decision.status) // logged by the sweep
		return
	}
	if errors.Is(cause, errStalled) {
		e.answer(w, r, x.flight, http.StatusRequestTimeout) // logged by the watch
		return
	}
	if errors.Is(cause, context.Canceled) && (out.upload == nil || !out.upload.deserted.Load()) {
		panic(http.ErrAbortHandler) // the client has left
	}
	if fault.Is(err, fault.Invalid) { // the client's doing
		e.log.Debug("malformed request", "request_id", x.flight.requestID(), "application", x.app.name, "error", err)
		e.answer(w, r, x.flight, http.StatusBadRequest)
		return
	}
	status := http.StatusBadGateway
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		status = http.StatusGatewayTimeout
	}
	if errors.Is(cause, errShutdown) {
		status = http.StatusServiceUnavailable
	}
	e.log.Warn("origin failed", "request_id", x.flight.requestID(), "application", x.app.name, "status", status, "error", err)
	e.answer(w, r, x.flight, status)
}
