package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// maxBody bounds what a sink reads of one message.
const maxBody = 1 << 20

// A message is what a sink received.
type message struct {
	Header http.Header // of an HTTP message
	Body   []byte
}

// A sink is a receiver on loopback that hands on what arrives.
type sink struct {
	addr     string
	messages chan message
	stop     func()
}

// await returns the next message, or an error when none comes in time.
func (s *sink) await(ctx context.Context, what string) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	select {
	case m := <-s.messages:
		return m, nil
	case <-ctx.Done():
		return message{}, fmt.Errorf("waiting for %s at %s: %w", what, s.addr, ctx.Err())
	}
}

// startSMTP starts an SMTP server (RFC 5321) on loopback.
func startSMTP() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: ln.Addr().String(), messages: make(chan message, 64)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailbox{s}, nil }))
	server.Domain, server.MaxMessageBytes = "localhost", maxBody
	go func() { _ = server.Serve(ln) }()
	s.stop = func() { _ = server.Close() }
	return s, nil
}

// A mailbox accepts every mail of a session and hands it to its sink.
type mailbox struct{ sink *sink }

// Mail takes any sender.
func (mailbox) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes any recipient.
func (mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Reset has nothing to forget.
func (mailbox) Reset() {}

// Logout has nothing to end.
func (mailbox) Logout() error { return nil }

// Data hands the mail to the sink.
func (b mailbox) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b.sink.messages <- message{Body: body}
	return nil
}

// startHTTPSink starts a receiver of webhooks on loopback that answers as
// Slack's incoming webhooks do.
func startHTTPSink() (*sink, error) {
	s := &sink{messages: make(chan message, 64)}
	addr, stop, err := serveHTTP(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "reading the body", http.StatusBadRequest)
			return
		}
		s.messages <- message{Header: r.Header.Clone(), Body: body}
		_, _ = io.WriteString(w, "ok")
	})
	s.addr, s.stop = addr, stop
	return s, err
}

// startOrigin starts the application that is guarded: it shows whom it sees.
func startOrigin() (addr string, stop func(), err error) {
	return serveHTTP(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(w, "Hello from the orders application.\n%s %s\n", r.Method, r.URL.Path)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if strings.HasPrefix(name, "Cf-") || strings.HasPrefix(name, "X-Forwarded-") {
				_, _ = fmt.Fprintf(w, "%s: %s\n", name, shorten(r.Header.Get(name), 64))
			}
		}
	})
}

func serveHTTP(handler http.HandlerFunc) (addr string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			_ = ln.Close()
		}
	}()
	return ln.Addr().String(), func() { _ = server.Close() }, nil
}

func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
