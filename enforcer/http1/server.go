package http1

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/inuse"
	"github.com/certvigil/certvigil/internal/watch"
)

// Options configure a Server. Handler, Fallback and the limits are required.
type Options struct {
	// Handler serves requests as it would net/http's, with some differences. No
	// connection can be hijacked. No Content-Type is guessed, nor the length of a
	// short answer, and what the header says of the framing and the connection is
	// heard in Content-Length and "Connection: close" alone. Requests have neither
	// RemoteAddr nor TLS, and their context lasts as long as the connection.
	// Request, headers and writer are used again after the handler has returned.
	Handler http.Handler

	// Fallback takes a connection over, for good. It is a *tls.Conn but for the
	// type: NetConn, CloseWrite and ConnectionState are there. It must not block
	// for longer than it takes to pass the connection on.
	Fallback func(net.Conn)

	HeadRefused func(*tls.Conn) // a client was hung up on in mid-head; may be nil

	HeaderTimeout  time.Duration // for a head; for the first one from the handshake on
	IdleTimeout    time.Duration // between requests
	MaxHeaderBytes int           // of a head; longer ones are net/http's to refuse

	Now    func() time.Time // for the Date of answers; default time.Now
	Logger *slog.Logger     // default discards
}

// A Server serves connections. All methods may be called concurrently.
type Server struct {
	Options

	closing atomic.Bool
	watched sync.Once
	end     sync.Once
	done    chan struct{} // closed by Close: the watch ends

	conns inuse.Set[*conn]
}

// New returns a server.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{Options: opts, done: make(chan struct{})}
}

// Serve serves a connection whose handshake is complete until it ends or has
// been passed on. It closes it, unless it was passed on. Requests have a context
// made of ctx, which ends when the client has left.
func (s *Server) Serve(ctx context.Context, secure *tls.Conn) {
	s.watched.Do(func() { go s.watchLoop() })
	c := newConn(ctx, s, secure)
	defer c.cancel()
	if !s.conns.Add(c) {
		_ = secure.Close()
		return
	}
	defer s.conns.Remove(c)
	if rest, more := c.serve(); more {
		s.Fallback(&replay{Conn: secure, rest: rest})
		return
	}
	_ = secure.Close()
}

// Shutdown ends connections that serve no request, and the others as soon as
// they have answered. It returns when there are none left, or with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shut()
	for _, c := range s.conns.Append(nil) {
		c.dismiss()
	}
	return s.conns.Wait(ctx)
}

func (s *Server) shut() {
	s.closing.Store(true)
	s.conns.Shut()
}

// Close closes all connections, whatever they do, and ends the server.
func (s *Server) Close() {
	s.shut()
	s.end.Do(func() { close(s.done) })
	for _, c := range s.conns.Append(nil) {
		_ = c.secure.NetConn().Close()
	}
}

// maxWatch bounds how late it is noticed that a client has left.
const maxWatch = 250 * time.Millisecond

func (s *Server) watchLoop() {
	var round []*conn
	watch.Loop(s.done, watch.Interval(min(s.HeaderTimeout, s.IdleTimeout), maxWatch), func() {
		now := watch.Now()
		round = s.conns.Append(round[:0])
		for _, c := range round {
			c.look(now)
		}
		clear(round)
	})
}
