package http1_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
)

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// TestPieces: a head may come in any pieces.
func TestPieces(t *testing.T) {
	t.Parallel()
	s := newService(t, echo)
	for name, version := range versions {
		c := s.dial(t, version)
		for range 2 {
			for _, b := range []byte(post("/a", "5", "hello")) {
				c.send(string([]byte{b})) // a record
			}
			if c.expect("POST /a hello").Header.Get("X-Served-By") != "" {
				t.Errorf("%s: it was passed on", name)
			}
		}
	}
}

// TestPipeline: requests that lie there are answered in their order.
func TestPipeline(t *testing.T) {
	t.Parallel()
	s := newService(t, echo)
	for name, version := range versions {
		c := s.dial(t, version)
		long := strings.Repeat("x", 3*http1.MaxHead)
		for range 3 {
			go c.send(get("/1") + post("/2", "5", "hello") + post("/3", "24576", long) + post("/4", "0", "") + get("/5"))
			for _, want := range []string{"GET /1 ", "POST /2 hello", "POST /3 " + long, "POST /4 ", "GET /5 "} {
				if c.expect(want).Header.Get("X-Served-By") != "" {
					t.Errorf("%s: %.10q was passed on", name, want)
				}
			}
		}
	}
}

// TestLineEnds: as many line ends as net/http skips behind a POST are skipped, in
// whatever pieces they come, and none elsewhere.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	s := newService(t, echo)
	for _, ends := range []string{"\r\n", "\n", "\n\r\n", "\r\n\r\n", "\n\n\n\n"} {
		whole, pieces := s.dial(t), s.dial(t)
		whole.send(post("/a", "5", "hello") + ends + get("/b"))
		pieces.send(post("/a", "5", "hello"))
		for _, b := range []byte(ends + get("/b")) {
			pieces.send(string([]byte{b})) // a record
		}
		for _, c := range []*client{whole, pieces} {
			c.expect("POST /a hello")
			if c.expect("GET /b ").Header.Get("X-Served-By") != "" {
				t.Errorf("%q: the request behind was passed on", ends)
			}
		}
	}
	for _, wrong := range []string{post("/a", "5", "hello") + "\r\n\r\n\r\n" + get("/b"), get("/a") + "\r\n" + get("/b")} {
		c := s.dial(t)
		c.send(wrong)
		c.receive()
		if res, _ := c.receive(); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d", wrong, res.StatusCode)
		}
	}
}

// TestFallback: the first request that is not for us, and all after it, are
// net/http's, byte for byte.
func TestFallback(t *testing.T) {
	t.Parallel()
	s := newService(t, echo)
	chunked := "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for name, version := range versions {
		for before, requests := range []string{"", get("/0"), get("/0") + post("/1", "5", "hello")} {
			c := s.dial(t, version)
			c.send(requests + chunked + get("/after"))
			for i := range before {
				if res := c.expect([]string{"GET /0 ", "POST /1 hello"}[i]); res.Header.Get("X-Served-By") != "" {
					t.Errorf("%s: request %d of %q was passed on", name, i, requests)
				}
			}
			for _, want := range []string{"POST /c hello", "GET /after "} {
				if c.expect(want).Header.Get("X-Served-By") != "net/http" {
					t.Errorf("%s: %q was not passed on", name, want)
				}
			}
		}
	}
	c := s.dial(t)
	c.kept()
	c.send(chunked) // not in one piece with the one before
	c.expect("POST /c hello")
	c.send(get("/after"))
	c.expect("GET /after ")
}

// TestRefusal: what is wrong is net/http's to refuse.
func TestRefusal(t *testing.T) {
	t.Parallel()
	s := newService(t, echo, func(o *http1.Options) { o.MaxHeaderBytes = 1000 })
	long := "X-Long: " + strings.Repeat("a", http1.MaxHead)
	for want, requests := range map[int][]string{
		http.StatusBadRequest:                  {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "x\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"},
		http.StatusRequestHeaderFieldsTooLarge: {get("/", long), get("/", long)[:http1.MaxHead]},
		http.StatusNotImplemented:              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"},
		http.StatusOK:                          {get("/", "X-Long: "+strings.Repeat("a", 1000))}, // net/http is not that exact
	} {
		for _, r := range requests {
			c := s.dial(t)
			c.send(r)
			if res, _ := c.receive(); res.StatusCode != want {
				t.Errorf("%.60q: %d, want %d", r, res.StatusCode, want)
			}
		}
	}
	c := s.dial(t)
	c.send(get("/", "X-Long: "+strings.Repeat("a", 1000)))
	if c.expect("GET / ").Header.Get("X-Served-By") != "net/http" {
		t.Error("a head that is too long was served here")
	}
}

// TestPassedOn: the connection that is passed on is what the fallback needs.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	type secure interface {
		ConnectionState() tls.ConnectionState
		CloseWrite() error
	}
	got := make(chan bool, 1)
	const request = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nrest"
	s := newService(t, echo)
	s.Fallback = func(c net.Conn) {
		defer c.Close()
		in := make([]byte, len(request))
		n := 0
		for n < len(in) { // in small pieces
			m, err := c.Read(in[n:min(n+3, len(in))])
			if n += m; err != nil {
				break
			}
		}
		upper, ok := c.(secure)
		got <- string(in) == request && ok && upper.ConnectionState().HandshakeComplete
	}
	c := s.dial(t)
	c.send(request)
	if !within(t, "the connection", got) {
		t.Error("it is not what was asked")
	}
	c.ended()
	eventually(t, "the connection is forgotten", func() bool { return s.Conns() == 0 })
}

// TestNewRequest: nothing of a request is left to the next one.
func TestNewRequest(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" {
			if len(r.Header) != 0 || r.ContentLength != 0 || r.Body != http.NoBody || r.Form != nil || r.PathValue("a") != "" || r.Pattern != "" {
				t.Errorf("the next request is %+v", r)
			}
			return
		}
		r.SetPathValue("a", "b")
		r.Pattern = "/"
		_ = r.ParseForm()
		r.Header.Set("X-New", "c")
		w.Header().Set("X-Res", "d")
		w.Header().Set("Trailer", "X-Trailer")
		w.Header().Set("X-Trailer", "e")
		w.WriteHeader(http.StatusNotFound)
	})
	c := s.dial(t)
	for range 3 {
		c.send(strings.Replace(post("/?f=g", "5", "h=ijk"), "\r\n", "\r\nX-A: b\r\nContent-Type: application/x-www-form-urlencoded\r\n", 1) + get("/next"))
		if res, _ := c.receive(); res.StatusCode != http.StatusNotFound {
			t.Errorf("status %d", res.StatusCode)
		}
		res, _ := c.receive()
		delete(res.Header, "Date")
		if res.StatusCode != http.StatusOK || len(res.Header) != 1 || len(res.Trailer) != 0 {
			t.Errorf("the next answer is %d %v %v", res.StatusCode, res.Header, res.Trailer)
		}
	}
}

// TestDate: answers have the server's time.
func TestDate(t *testing.T) {
	t.Parallel()
	s := newService(t, echo, func(o *http1.Options) {
		o.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)) }
	})
	c := s.dial(t)
	c.send(get("/"))
	if got := c.expect("GET / ").Header.Get("Date"); got != "Fri, 02 Jan 2026 02:04:05 GMT" {
		t.Errorf("Date: %s", got)
	}
}
