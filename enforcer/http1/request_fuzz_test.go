package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// everyday are requests that are served here.
var everyday = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: app.example:8443\r\nAccept: */*\r\nUser-Agent: x/1 (y; z)\r\n\r\n",
	"HEAD //x/../y HTTP/1.1\r\nhost: [2001:db8::1]\r\nConnection: Keep-Alive\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
	"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhel",
	"DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\r\n",
	"PATCH /%2f%00?%zz HTTP/1.1\r\nHost: a\r\ncontent-length: 1\r\n\r\n\r\n",
	"OPTIONS /;a?? HTTP/1.1\r\nHost: a_b!\r\nX-A:\tb\tc \r\nX-A:\r\nx_b: \xff\xfe\r\nX-a: d\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\nPragma: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\nCache-Control: max-age=0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03garbage\n",
	"GET /a:b@c[]^|`{} HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09: tokens\r\n\r\n",
}

// special are requests that are none of ours, and most of them nobody's.
var special = []string{
	"", "\r\n", "\r\n\r\n", "\n", "GET / HTTP/1.1", " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5_0\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
	"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\r\n\r\n",
	"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-\xc3\xa4: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-A: \x00\r\n\r\n",
	"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
	"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.9\r\nHost: a\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /\r\nHost: a\r\n\r\n",
	"get / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A\r\nX-A: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
	"GET / HTTP/1.1\r\nHost: a\r\nTrailer: X-A\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\n\r\n",
}

// TestWhitelist: the seeds are on their sides of the line.
func TestWhitelist(t *testing.T) {
	t.Parallel()
	for want, heads := range map[bool][]string{true: everyday, false: special} {
		for _, raw := range heads {
			p := http1.Parse([]byte(raw))
			if (p != nil) != want {
				t.Errorf("%q: served here: %v", raw, p != nil)
			}
			if p != nil {
				p.Release()
			}
		}
	}
}

// FuzzRequest: what is served here, net/http reads in the same way.
func FuzzRequest(f *testing.F) {
	for _, raw := range append(everyday[:len(everyday):len(everyday)], special...) {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > http1.MaxHead {
			return
		}
		p := http1.Parse(raw)
		if p == nil {
			return
		}
		defer p.Release()
		in := bufio.NewReader(bytes.NewReader(raw))
		want, err := readRequest(in)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", raw, err)
		}
		if got, want := told(p.Request), told(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%q\n is %#v\nwant %#v", raw, got, want)
		}
		got, gotErr := io.ReadAll(p.Request.Body)
		body, err := io.ReadAll(want.Body)
		if !bytes.Equal(got, body) || (gotErr == nil) != (err == nil) {
			t.Errorf("%q: body %q, %v; want %q, %v", raw, got, gotErr, body, err)
		}
		if rest, _ := io.ReadAll(in); !bytes.Equal(p.Rest(), rest) {
			t.Errorf("%q leaves %q, want %q", raw, p.Rest(), rest)
		}
	})
}

// readRequest reads a request with the checks of net/http's server.
func readRequest(in *bufio.Reader) (*http.Request, error) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Host == "": // which one in origin form has from its header alone
		return nil, errors.New("missing required Host header")
	case !httpguts.ValidHostHeader(r.Host):
		return nil, errors.New("malformed Host header")
	case strings.EqualFold(r.Header.Get("Upgrade"), "h2c"):
		return nil, errors.New("an upgrade")
	}
	for name, values := range r.Header {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("header %q: %q", name, v)
			}
		}
	}
	return r, nil
}

// told returns all that a handler is told of a request, but for its body.
func told(r *http.Request) []any {
	return []any{
		r.Method, r.RequestURI, *r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Header, r.Host, r.ContentLength, r.Close,
		len(r.TransferEncoding), len(r.Trailer), r.Body == http.NoBody,
	}
}
