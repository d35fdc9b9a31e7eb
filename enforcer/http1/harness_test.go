package http1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
	"github.com/certvigil/certvigil/internal/certtest"
)

// patience is for what must happen, on a busy machine too.
const patience = 20 * time.Second

var authority = sync.OnceValue(func() *certtest.Certificate { return certtest.NewCA() })

var serverConfig = sync.OnceValue(func() *tls.Config {
	pair := authority().Issue(certtest.Server("app.example")).TLS()
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
})

// A service is an http1.Server behind a listener, with net/http behind it.
type service struct {
	*http1.Server
	l       net.Listener
	passed  *passed
	serving sync.WaitGroup
}

// newService serves until the test ends. Answers of net/http, which has the
// same handler, say so.
func newService(t testing.TB, handler http.HandlerFunc, options ...func(*http1.Options)) *service {
	t.Helper()
	s := &service{l: listen(t), passed: &passed{conns: make(chan net.Conn, 8), done: make(chan struct{})}}
	opts := http1.Options{
		Handler: handler, Fallback: func(c net.Conn) { s.passed.conns <- c },
		HeaderTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	for _, o := range options {
		o(&opts)
	}
	s.Server = http1.New(opts)
	standard := &http.Server{ReadHeaderTimeout: time.Minute, MaxHeaderBytes: opts.MaxHeaderBytes, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "net/http")
		handler(w, r)
	})}
	go func() { _ = standard.Serve(s.passed) }()
	t.Cleanup(func() {
		_ = s.l.Close()
		s.Close()
		s.serving.Wait()
		_ = standard.Close()
	})
	go s.accept()
	return s
}

func (s *service) accept() {
	for {
		nc, err := s.l.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() {
			secure := tls.Server(nc, serverConfig())
			if secure.Handshake() != nil {
				_ = nc.Close()
				return
			}
			s.Serve(context.Background(), secure)
		})
	}
}

// passed is a listener of connections that are passed on.
type passed struct {
	conns chan net.Conn
	done  chan struct{}
	end   sync.Once
}

func (p *passed) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *passed) Addr() net.Addr { return &net.TCPAddr{} }

func (p *passed) Close() error {
	p.end.Do(func() { close(p.done) })
	return nil
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A client is one end of a connection.
type client struct {
	*tls.Conn
	t  testing.TB
	in *bufio.Reader
}

// dial connects with the newest version of TLS, or those given.
func (s *service) dial(t testing.TB, versions ...uint16) *client {
	return dial(t, s.l.Addr().String(), versions...)
}

func dial(t testing.TB, addr string, versions ...uint16) *client {
	t.Helper()
	config := &tls.Config{RootCAs: authority().Pool(), ServerName: "app.example"}
	if len(versions) > 0 {
		config.MinVersion, config.MaxVersion = versions[0], versions[0]
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(nc, config)
	_ = secure.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &client{Conn: secure, t: t, in: bufio.NewReader(secure)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads an answer with its body.
func (c *client) receive(method ...string) (*http.Response, string) {
	c.t.Helper()
	res, body, err := c.try(method...)
	if err != nil {
		c.t.Fatalf("no whole answer: %v", err)
	}
	return res, body
}

func (c *client) try(method ...string) (*http.Response, string, error) {
	res, err := http.ReadResponse(c.in, &http.Request{Method: strings.Join(method, "")})
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// expect reads an answer with that body.
func (c *client) expect(want string) *http.Response {
	c.t.Helper()
	res, body := c.receive()
	if body != want {
		c.t.Fatalf("the answer is %d %.80q, want %.80q", res.StatusCode, body, want)
	}
	return res
}

// ended waits until the server closes the connection, with nothing more to say.
func (c *client) ended() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.in)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		c.t.Fatal("the connection stays open")
	}
	if len(rest) > 0 {
		c.t.Fatalf("there is still %.80q", rest)
	}
}

// kept makes sure that the connection still serves.
func (c *client) kept() {
	c.t.Helper()
	c.send(get("/"))
	c.receive()
}

func get(target string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: app.example\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

func post(target, length, body string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: app.example\r\nContent-Length: " + length + "\r\n\r\n" + body
}

// echo answers with method, path and body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(body))
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// within waits for what must come.
func within[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
	}
	panic("unreachable")
}
