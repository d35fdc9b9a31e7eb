package origin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

func (h *host) speaksHTTP2() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.second
}

// adopt notes that the origin speaks HTTP/2 and keeps the connection that said
// so for the next dial.
func (h *host) adopt(nc net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.second = true
	h.spare = append(h.spare, nc)
}

// retire closes a connection that was adopted, unless it is in use: there was
// another one already by then. Kept, it would die unseen, and be taken for a new
// one.
func (h *host) retire(nc net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.spare, nc); i >= 0 {
		h.spare = slices.Delete(h.spare, i, i+1)
		_ = nc.Close()
	}
}

// errNotHTTP2 is a new connection to an origin that spoke HTTP/2 before.
var errNotHTTP2 = errors.New("the origin speaks HTTP/1.1 now")

// transport returns the HTTP/2 transport, made at first use.
func (h *host) transport(t *Target) *http.Transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.h2 != nil {
		return h.h2
	}
	var protocols http.Protocols
	protocols.SetHTTP2(h.config != nil)
	protocols.SetUnencryptedHTTP2(h.config == nil)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dialSecond(ctx, t) }
	h.h2 = &http.Transport{
		Protocols:              &protocols,
		DialContext:            dial,
		DialTLSContext:         dial,
		DisableCompression:     true, // bodies pass as they are
		IdleConnTimeout:        h.pool.idleTimeout,
		MaxResponseHeaderBytes: maxHead,
		ResponseHeaderTimeout:  cmp.Or(t.HeaderTimeout, h.pool.header),
		ExpectContinueTimeout:  continueTimeout,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  30 * time.Second,
			PingTimeout:      15 * time.Second,
			WriteByteTimeout: 30 * time.Second,
		},
	}
	return h.h2
}

func (h *host) dialSecond(ctx context.Context, t *Target) (net.Conn, error) {
	h.mu.Lock()
	if n := len(h.spare); n > 0 {
		nc := h.spare[n-1]
		h.spare = h.spare[:n-1]
		h.mu.Unlock()
		return nc, nil
	}
	h.mu.Unlock()
	nc, err := h.dial(ctx, t, true)
	if err != nil {
		return nil, err
	}
	if secure, ok := nc.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol != "h2" {
		_ = nc.Close()
		h.mu.Lock()
		h.second = false
		h.mu.Unlock()
		return nil, errNotHTTP2
	}
	return nc, nil
}

// roundTrip sends the request over HTTP/2.
func (h *host) roundTrip(ctx context.Context, t *Target, r *Request) (*Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan inform, maxInformational)
	var res *http.Response
	var err error
	done := make(chan struct{})
	out := r.second(h.key).WithContext(httptrace.WithClientTrace(ctx, trace(news)))
	go func() {
		defer close(done)
		res, err = h.transport(t).RoundTrip(out) //nolint:bodyclose // by the Response's Close
	}()
	for waiting := true; waiting; {
		select {
		case i := <-news:
			r.tell(i)
		case <-done:
			waiting = false
		}
	}
	for len(news) > 0 {
		r.tell(<-news)
	}
	if err != nil {
		cancel()
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fault.New(fault.Unavailable, "origin_http2", "HTTP/2 to the origin: %w", err)
	}
	return h.answer(r, res, cancel), nil
}

// answer makes net/http's response ours.
func (h *host) answer(r *Request, res *http.Response, cancel func()) *Response {
	maps.Copy(r.Header, res.Header)
	removeHopByHop(r.Header)
	answer := &Response{
		Status: res.StatusCode, Header: r.Header, Length: res.ContentLength,
		host: h, request: r, second: res, stop: func() bool { cancel(); return true },
	}
	for name := range res.Trailer {
		if trailerAllowed(name) {
			answer.Announced = append(answer.Announced, name)
		}
	}
	return answer
}

// An inform is an informational answer.
type inform struct {
	status int
	fields http.Header
}

// trace sends informational answers on their way. It is called where all
// requests of the connection wait, so it waits for nobody, and perhaps after
// the request has been given up.
func trace(news chan<- inform) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{Got1xxResponse: func(status int, fields textproto.MIMEHeader) error {
		select {
		case news <- inform{status, http.Header(fields).Clone()}:
			return nil
		default:
			return garbled("over %d informational answers", maxInformational)
		}
	}}
}

func (r *Request) tell(i inform) {
	if r.Informational == nil || i.status == http.StatusContinue && r.ExpectContinue {
		return
	}
	maps.Copy(r.Header, i.fields)
	removeHopByHop(r.Header)
	r.Informational(i.status)
	clear(r.Header)
}

// second returns the request as net/http wants it.
func (r *Request) second(k key) *http.Request {
	fields := make(http.Header, len(r.Fields)+3)
	for i := range r.Fields {
		name := textproto.CanonicalMIMEHeaderKey(r.Fields[i].Name)
		fields[name] = append(fields[name], r.Fields[i].Value)
	}
	if _, sent := fields["User-Agent"]; !sent {
		fields["User-Agent"] = []string{""} // none of net/http's own
	}
	if r.Trailers {
		fields["Te"] = []string{"trailers"}
	}
	if r.ExpectContinue && r.Body != nil {
		fields["Expect"] = []string{"100-continue"}
	}
	out := &http.Request{Method: r.Method, Host: r.Host, Header: fields, URL: r.url(k), Proto: "HTTP/2.0", ProtoMajor: 2}
	if r.Body != nil {
		out.Body, out.ContentLength = r.Body, r.Length
	}
	return out
}

// url returns what net/http writes as the target, byte for byte.
func (r *Request) url(k key) *url.URL {
	u := &url.URL{Scheme: HTTPS, Host: k.addr, Opaque: r.Target}
	if k.scheme == H2C {
		u.Scheme = HTTP
	}
	if strings.HasPrefix(r.Target, "//") {
		// An Opaque of this form would be sent as an absolute URL.
		u.Opaque = ""
		u.RawPath, u.RawQuery, u.ForceQuery = r.Target, "", false
		if path, query, found := strings.Cut(r.Target, "?"); found {
			u.RawPath, u.RawQuery, u.ForceQuery = path, query, query == ""
		}
		if path, err := url.PathUnescape(u.RawPath); err == nil {
			u.Path = path
		}
	}
	return u
}

func (r *Response) readSecond(p []byte) (int, error) {
	n, err := r.second.Body.Read(p)
	if errors.Is(err, io.EOF) && len(r.second.Trailer) > 0 {
		r.Trailer = allowedTrailers(r.second.Trailer)
	}
	return n, err
}

func (r *Response) closeSecond() {
	r.stop()
	_ = r.second.Body.Close()
	if r.request.Body != nil {
		_ = r.request.Body.Close()
	}
}
