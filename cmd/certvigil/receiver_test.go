package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a test waits for what should come at once. It is long,
// since the machine may be busy; only what a test says of time is exact.
const patience = 20 * time.Second

// A receiver takes mail or HTTP posts on loopback.
type receiver struct {
	addr  string
	stop  func()
	posts chan post

	mu     sync.Mutex
	status int           // the answer to HTTP posts
	stall  chan struct{} // while not nil, answers wait until it is closed
}

// A post is what a receiver took.
type post struct {
	path   string
	header http.Header // of an HTTP post
	body   string
}

func newReceiver() *receiver { return &receiver{posts: make(chan post, 1024), status: http.StatusOK} }

// answer makes the receiver answer with a status from now on.
func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// hold makes answers wait until release is called.
func (r *receiver) hold() (release func()) {
	stall := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall = stall
	return sync.OnceFunc(func() { close(stall) })
}

func (r *receiver) take(p post) int {
	r.posts <- p
	r.mu.Lock()
	stall, status := r.stall, r.status
	r.mu.Unlock()
	if stall != nil {
		<-stall
	}
	return status
}

// startHTTP starts a receiver of HTTP posts.
func startHTTP() (*receiver, error) {
	r := newReceiver()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		w.WriteHeader(r.take(post{path: req.URL.Path, header: req.Header.Clone(), body: string(body)}))
		_, _ = io.WriteString(w, "ok")
	})}
	go func() { _ = server.Serve(ln) }()
	r.addr, r.stop = ln.Addr().String(), func() { _ = server.Close() }
	return r, nil
}

// startMail starts a receiver of mail.
func startMail() (*receiver, error) {
	r := newReceiver()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailbox{r}, nil }))
	server.Domain = "localhost"
	server.ErrorLog = quiet{}
	go func() { _ = server.Serve(ln) }()
	r.addr, r.stop = ln.Addr().String(), func() { _ = server.Close() }
	return r, nil
}

// quiet is a log that nobody reads: a client killed in the middle is meant.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type mailbox struct{ r *receiver }

func (mailbox) Mail(string, *smtp.MailOptions) error { return nil }
func (mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (mailbox) Reset()                               {}
func (mailbox) Logout() error                        { return nil }

func (b mailbox) Data(from io.Reader) error {
	body, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if b.r.take(post{body: strings.ReplaceAll(string(body), "\r\n", "\n")}) != http.StatusOK {
		return &smtp.SMTPError{Code: 451, Message: "not now"}
	}
	return nil
}

// startStalled accepts TCP connections and never says a word. Each one is told
// on the channel.
func startStalled(t *testing.T) (addr string, connected <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 64)
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			told <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	return ln.Addr().String(), told
}

// started fails the test when a receiver did not start, and stops it at the end.
func started(t *testing.T, start func() (*receiver, error)) *receiver {
	t.Helper()
	r, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	return r
}

// next returns the next post.
func (r *receiver) next(t *testing.T) post {
	t.Helper()
	select {
	case p := <-r.posts:
		return p
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		return post{}
	}
}

// startReceiver NAME smtp|http [STATUS] starts a receiver and sets $NAME to
// its address.
func startReceiver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: receiver NAME smtp|http [refuses]")
	}
	start := map[string]func() (*receiver, error){"smtp": startMail, "http": startHTTP}[args[1]]
	r, err := start()
	ts.Check(err)
	ts.Defer(r.stop)
	if len(args) > 2 {
		r.answer(http.StatusForbidden)
	}
	ts.Value(receiversKey).(map[string]*receiver)[args[0]] = r
	ts.Setenv(args[0], r.addr)
}

// received NAME FILE waits for the next message and writes it to a file, with
// the headers of an HTTP post first.
func received(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: received NAME FILE")
	}
	select {
	case p := <-ts.Value(receiversKey).(map[string]*receiver)[args[0]].posts:
		var b strings.Builder
		_ = p.header.Write(&b)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.ReplaceAll(b.String(), "\r\n", "\n")+"\n"+p.body), 0o600))
	case <-time.After(patience):
		ts.Fatalf("nothing arrived at %s", args[0])
	}
}

// silent NAME checks that nothing more has arrived.
func silent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: silent NAME")
	}
	if n := len(ts.Value(receiversKey).(map[string]*receiver)[args[0]].posts); n > 0 {
		ts.Fatalf("%d more messages arrived at %s", n, args[0])
	}
}
