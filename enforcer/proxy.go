package enforcer

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout     = 10 * time.Second
	originIdle      = 90 * time.Second
	originIdleConns = 512
	copyBuffer      = 32 << 10
)

// An exchange is what the proxy needs to know of an admitted request. Its
// identity was fixed when the request was judged.
type exchange struct {
	flight      *flight
	snapshot    *snapshot
	app         *application
	trustedPeer bool
	assertion   string // for the origin; "" sends none
	session     token  // for the client's cookie
	sent        string // the cookie that the client has
	certificate bool   // forward the client's certificate
	told        fields // of the client's certificate, as the application asks
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
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
	assertion, session, err := x.snapshot.tokensFor(c, x.app, d.verdict, e.now())
	x.assertion, x.session = assertion.value, session
	return err
}

func (e *Enforcer) newProxy(originTimeout time.Duration) *httputil.ReverseProxy {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		ModifyResponse: handOverCookie,
		ErrorHandler:   e.originFailed,
		ErrorLog:       slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		BufferPool:     &buffers{},
		Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			ForceAttemptHTTP2:     true,
			DisableCompression:    true, // bodies pass as they are
			MaxIdleConnsPerHost:   originIdleConns,
			IdleConnTimeout:       originIdle,
			TLSHandshakeTimeout:   dialTimeout,
			ExpectContinueTimeout: time.Second,
			ResponseHeaderTimeout: originTimeout,
		},
	}
}

// rewrite turns the client's request into ours. ReverseProxy has removed the
// hop-by-hop headers by now, so that a client's "Connection: Cf-Access-…"
// cannot remove what is set here.
func rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In)
	pr.Out.URL = originURL(x.app.origin, pr.In)
	pr.Out.Host = pr.In.Host
	pr.Out.Trailer = nil // clients' trailers could carry any name
	h := pr.Out.Header
	if up := h["Upgrade"]; len(up) > 0 && !strings.EqualFold(up[0], "websocket") {
		// Any other protocol (h2c) would carry requests that nobody judges.
		delete(h, "Upgrade")
		delete(h, "Connection")
	}
	strip(h, x.app.owned)
	x.setForwarded(h, pr.In)
	x.setIdentity(h)
}

func (x *exchange) setIdentity(h http.Header) {
	if x.assertion != "" {
		h[headerAssertion] = []string{x.assertion}
		// The cookie carries the short-lived token too: nothing that lives
		// longer leaves for the origin.
		cookie := cookieName + "=" + x.assertion
		if others := h["Cookie"]; len(others) > 0 {
			cookie = strings.Join(others, "; ") + "; " + cookie
		}
		h["Cookie"] = []string{cookie}
	}
	for _, f := range x.told {
		h[f.name] = f.values
	}
	if x.certificate {
		c := x.flight.client
		h[headerCertDER] = []string{c.der()}
		h[headerCertHash] = []string{hex.EncodeToString(c.leafID[:])}
	}
}

// setForwarded says where the request came from. What the client said of it
// counts only if the client is a trusted proxy.
func (x *exchange) setForwarded(h http.Header, in *http.Request) {
	from, proto, host := x.flight.client.addr.String(), "https", in.Host
	if x.trustedPeer {
		if prior := in.Header["X-Forwarded-For"]; len(prior) > 0 {
			from = strings.Join(prior, ", ") + ", " + from
		}
		proto = firstOr(in.Header["X-Forwarded-Proto"], proto)
		host = firstOr(in.Header["X-Forwarded-Host"], host)
	}
	h["X-Forwarded-For"] = []string{from}
	h["X-Forwarded-Proto"] = []string{proto}
	h["X-Forwarded-Host"] = []string{host}
}

func firstOr(values []string, otherwise string) string {
	if len(values) > 0 {
		return values[0]
	}
	return otherwise
}

// originURL keeps path and query byte for byte, behind the origin's own path.
func originURL(origin *url.URL, in *http.Request) *url.URL {
	u := &url.URL{Scheme: origin.Scheme, Host: origin.Host, RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery}
	base := strings.TrimSuffix(origin.EscapedPath(), "/")
	raw, _, _ := strings.Cut(in.RequestURI, "?")
	if !strings.HasPrefix(raw, "/") { // absolute form (RFC 9112 §3.2.2)
		raw = in.URL.EscapedPath()
	}
	if strings.HasPrefix(base+raw, "//") {
		// An Opaque of this form would be sent as an absolute URL.
		u.Path, u.RawPath = in.URL.Path, in.URL.RawPath
		return u
	}
	u.Opaque = base + raw // sent as it is
	return u
}

// handOverCookie gives the client its session token, if it has not got it.
// (Not written beforehand: an informational response would carry it off.)
func handOverCookie(res *http.Response) error {
	x := exchangeOf(res.Request)
	if x.session.cookie != "" && x.sent != x.session.value {
		res.Header.Add("Set-Cookie", x.session.cookie)
	}
	return nil
}

// originFailed answers for an origin that did not, and for a request that lost
// its admission before the answer had begun.
func (e *Enforcer) originFailed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	cause := context.Cause(r.Context())
	if cut, ok := errors.AsType[*cutOff](cause); ok {
		e.answer(w, r, x.flight, cut.decision.status) // logged by the sweep
		return
	}
	if errors.Is(cause, context.Canceled) {
		panic(http.ErrAbortHandler) // the client has left
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

// buffers recycles what bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return buf[:]
	}
	return make([]byte, copyBuffer)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) {
	if len(buf) == copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(buf))
	}
}
