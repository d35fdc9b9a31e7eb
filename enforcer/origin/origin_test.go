package origin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/origin"
)

// A server is an origin that does as it is told, connection by connection.
type server struct {
	net.Listener
	t        testing.TB
	accepted atomic.Int32
	serving  sync.WaitGroup
}

// serve runs handle for each connection; n counts them from 1.
func serve(t testing.TB, handle func(conn net.Conn, in *bufio.Reader, n int)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, t: t}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := int(s.accepted.Add(1))
			s.serving.Go(func() {
				defer conn.Close()
				handle(conn, bufio.NewReader(conn), n)
			})
		}
	}()
	return s
}

// answering sends the same bytes for each request.
func answering(t testing.TB, answer string) *server {
	return serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
		for {
			if _, err := readRequest(in); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
}

// readRequest reads a request with its body.
func readRequest(in *bufio.Reader) (body string, err error) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(req.Body)
	return string(b), err
}

func (s *server) target() *origin.Target {
	return &origin.Target{Scheme: origin.HTTP, Addr: s.Addr().String()}
}

func newPool(t testing.TB, opts origin.Options) *origin.Pool {
	p := origin.NewPool(opts)
	t.Cleanup(p.Close)
	return p
}

func get() *origin.Request {
	return &origin.Request{Method: http.MethodGet, Target: "/", Host: "app.example", Header: http.Header{}}
}

func post(body string) *origin.Request {
	r := get()
	r.Method, r.Body, r.Length = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}

// do makes a whole exchange.
func do(t testing.TB, p *origin.Pool, target *origin.Target, r *origin.Request) (res *origin.Response, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err = p.Do(ctx, target, r)
	if err != nil {
		return nil, "", err
	}
	defer res.Close()
	b, err := io.ReadAll(res)
	return res, string(b), err
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

var discard = log.New(io.Discard, "", 0)

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestAnswers: what is passed on of a well-formed answer, and whether its
// connection serves again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, raw string
		status            int
		body              string
		length            int64
		reused            bool
		fields            map[string]string // "": absent
		trailer           string            // X-A
	}{
		{"with a length", "GET", okay, 200, "ok", 2, true, map[string]string{"Content-Length": "2"}, ""},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", -1, true, map[string]string{"Transfer-Encoding": ""}, ""},
		{"chunked with a trailer", "GET", "HTTP/1.1 200 OK\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\nContent-Length: 3\r\n\r\n", 200, "ok", -1, true, map[string]string{"Trailer": ""}, "b"},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nok", 200, "ok", -1, false, nil, ""},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2, false, nil, ""},
		{"without a reason", "GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2, true, nil, ""},
		{"asking to close", "GET", "HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2, false, map[string]string{"X-A": "", "Connection": ""}, ""},
		{"to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", 200, "", 2000, true, map[string]string{"Content-Length": "2000"}, ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", -1, true, nil, ""},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2000\r\n\r\n", 304, "", 2000, true, nil, ""},
		{"two equal lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2, true, map[string]string{"Content-Length": "2"}, ""},
		{"a long head", "GET", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2, true, map[string]string{"X-A": strings.Repeat("a", 100<<10)}, ""},
		{"after informational answers", "GET", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + okay, 200, "ok", 2, true, map[string]string{"Link": ""}, ""},
		{"with more than was announced", "GET", okay + "more", 200, "ok", 2, false, nil, ""},
		{"with a second answer", "GET", okay + okay, 200, "ok", 2, false, nil, ""},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, "", 2, false, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
				for {
					if _, err := readRequest(in); err != nil {
						return
					}
					_, _ = io.WriteString(conn, tt.raw)
					if tt.name == "until the end" {
						return
					}
				}
			})
			p := newPool(t, origin.Options{})
			for range 2 {
				r := get()
				r.Method = tt.method
				res, body, err := do(t, p, s.target(), r)
				if err != nil {
					t.Fatal(err)
				}
				if res.Status != tt.status || body != tt.body || res.Length != tt.length {
					t.Errorf("status %d, length %d, body %q", res.Status, res.Length, body)
				}
				for name, want := range tt.fields {
					if got := strings.Join(res.Header[name], "|"); got != want {
						t.Errorf("%s: %.40q, want %.40q", name, got, want)
					}
				}
				if got := res.Trailer.Get("X-A"); got != tt.trailer || len(res.Trailer) > 1 {
					t.Errorf("trailer %v", res.Trailer)
				}
			}
			if got := s.accepted.Load() == 1; got != tt.reused {
				t.Errorf("%d connections for two requests", s.accepted.Load())
			}
		})
	}
}

// TestAnswers_malformed: an answer that two readers may understand differently
// is none, and its connection is not used again.
func TestAnswers_malformed(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	for name, raw := range map[string]string{
		"no status":                     "HTTP/1.1\r\n\r\n",
		"status of two digits":          "HTTP/1.1 20 OK\r\n\r\n",
		"status of four digits":         "HTTP/1.1 2000 OK\r\n\r\n",
		"status below 100":              "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
		"signed status":                 "HTTP/1.1 +20 OK\r\n\r\n",
		"another protocol":              "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.2":                      "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/2 in text":                "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/0.9":                      "ok\r\n\r\n",
		"TE and CL":                     head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"TE in HTTP/1.0":                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"unknown TE":                    head + "Transfer-Encoding: gzip\r\n\r\nok",
		"two TEs":                       head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":                   head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
		"a list of lengths":             head + "Content-Length: 2, 2\r\n\r\nok",
		"negative length":               head + "Content-Length: -2\r\n\r\nok",
		"signed length":                 head + "Content-Length: +2\r\n\r\nok",
		"hexadecimal length":            head + "Content-Length: 0x2\r\n\r\nok",
		"empty length":                  head + "Content-Length:\r\n\r\nok",
		"huge length":                   head + "Content-Length: 99999999999999999999\r\n\r\nok",
		"folded line":                   head + "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
		"folded first line":             head + " X-A: b\r\nContent-Length: 2\r\n\r\nok",
		"space before the colon":        head + "Content-Length : 2\r\n\r\nok",
		"no colon":                      head + "X-A\r\nContent-Length: 2\r\n\r\nok",
		"empty name":                    head + ": a\r\nContent-Length: 2\r\n\r\nok",
		"bare line feeds":               "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"a bare line feed":              head + "X-A: b\nContent-Length: 2\r\n\r\nok",
		"a bare carriage return":        head + "X-A: b\rc\r\nContent-Length: 2\r\n\r\nok",
		"NUL in a value":                head + "X-A: b\x00c\r\nContent-Length: 2\r\n\r\nok",
		"huge head":                     head + "X-A: " + strings.Repeat("a", 300<<10) + "\r\nContent-Length: 2\r\n\r\nok",
		"a head of many lines":          head + strings.Repeat("X-A: b\r\n", 50<<10) + "Content-Length: 2\r\n\r\nok",
		"endless informational ones":    strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) + okay,
		"a switch nobody asked for":     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"a switch to nothing":           "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"an endless head":               head + strings.Repeat("X-A: b\r\n", 50<<10),
		"nothing":                       "",
		"half a head":                   "HTTP/1.1 200 OK\r\nContent-Le",
		"a short body":                  head + "Content-Length: 3\r\n\r\nok",
		"a body without its last chunk": head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"a bad chunk size":              head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n",
		"a chunk that is too long":      head + "Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n",
		"a chunk size ended by LF":      head + "Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
		"a malformed trailer":           head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX A: b\r\n\r\n",
		"an endless trailer":            head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + strings.Repeat("X-A: b\r\n", 50<<10) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(conn net.Conn, in *bufio.Reader, n int) {
				if _, err := readRequest(in); err != nil {
					return
				}
				answer := raw
				if n > 1 {
					answer = okay
				}
				_, _ = io.WriteString(conn, answer)
				if n > 1 || raw != "" && !strings.Contains(name, "half") && !strings.Contains(name, "short") && !strings.Contains(name, "without") {
					_, _ = io.Copy(io.Discard, in) // open, so that it could be used again
				}
			})
			p := newPool(t, origin.Options{})
			_, body, err := do(t, p, s.target(), get())
			if err == nil {
				t.Fatalf("taken for %q", body)
			}
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Errorf("noticed by a timeout only: %v", err)
			}
			if strings.Contains(err.Error(), "closed network connection") {
				t.Errorf("noticed when the context ended only: %v", err)
			}
			if n := p.Idle() + p.Users(); n > 0 {
				t.Errorf("%d connections kept", n)
			}
			if _, body, err := do(t, p, s.target(), get()); err != nil || body != "ok" {
				t.Errorf("the next request: %q, %v", body, err)
			}
		})
	}
}
