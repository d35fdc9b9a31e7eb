package http1

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/field"
)

// parse reads the head in b, of that size, into its request, and takes it out of
// b. It reports false, and leaves all bytes where they are, unless the request is
// in the whitelist of the package.
func (b *buffers) parse(size int) bool {
	line, lines, _ := strings.Cut(string(b.in[:size-len("\r\n")]), "\r\n")
	h := emptied(b.request.Header)
	b.request = *b.conn.blank
	b.request.Header = h
	if !b.requestLine(line) || field.Parse(lines, h) != nil || !b.host() || !everyday(h) || !b.framing() {
		return false
	}
	if pragma := h["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"no-cache"} // as net/http reads it (RFC 7234 §5.4)
	}
	b.filled = copy(b.in[:], b.in[size:b.filled])
	return true
}

// requestLine takes method and target over.
func (b *buffers) requestLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, protocol, _ := strings.Cut(rest, " ")
	if protocol != "HTTP/1.1" || !knownMethod(method) || !plain(target) {
		return false
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	b.request.Method, b.request.URL, b.request.RequestURI = method, u, target
	return true
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

// plain reports whether s is a target in origin form, of visible ASCII and
// without a fragment.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return false
		}
	}
	return strings.HasPrefix(s, "/")
}

// host takes the one Host out of the header.
func (b *buffers) host() bool {
	hosts := b.request.Header["Host"]
	if len(hosts) != 1 || hosts[0] == "" || !httpguts.ValidHostHeader(hosts[0]) {
		return false
	}
	b.request.Host = hosts[0]
	delete(b.request.Header, "Host")
	return true
}

// everyday reports whether no field asks for anything of the connection but to
// keep it.
func everyday(h http.Header) bool {
	for _, name := range [...]string{"Transfer-Encoding", "Expect", "Upgrade", "Te", "Trailer", "Http2-Settings", "Keep-Alive", "Proxy-Connection"} {
		if _, ok := h[name]; ok {
			return false
		}
	}
	options := h["Connection"]
	return len(options) == 0 || len(options) == 1 && strings.EqualFold(options[0], "keep-alive")
}

// framing takes the announced length over.
func (b *buffers) framing() bool {
	r := &b.request
	r.Body, b.body = http.NoBody, nil
	lengths := r.Header["Content-Length"]
	if len(lengths) == 0 {
		return true
	}
	n, ok := field.Length(lengths[0])
	if !ok || len(lengths) > 1 {
		return false
	}
	if r.ContentLength = n; n > 0 {
		b.body = &body{from: b}
		b.body.left.Store(n)
		r.Body = b.body
	}
	return true
}

// A body is that of a request, in one piece of announced length. It is not used
// again: whoever sends it on may close it late.
type body struct {
	left atomic.Int64

	mu   sync.Mutex // held while reading
	from *buffers   // nil once they are another request's
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.left.Load()
	switch {
	case b.from == nil:
		return 0, http.ErrBodyReadAfterClose
	case left == 0:
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	in := b.from
	if in.filled > 0 {
		n = copy(p, in.in[:in.filled])
		in.filled = copy(in.in[:], in.in[n:in.filled])
	} else {
		n, err = in.conn.secure.Read(p)
	}
	if b.left.Add(-int64(n)) == 0 {
		in.conn.sent.Store(true)
		return n, io.EOF
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		in.conn.cancel() // the client has left
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// end makes sure that nobody reads any more of it, and takes what is another
// request's, or another client's, for a part of it.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = nil
}

// Close implements io.Closer. What is left of the body stays where it is.
func (b *body) Close() error { return nil }
