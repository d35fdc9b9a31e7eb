package http1

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/field"
)

// Seams for the tests of inner parts.

// What a test has to know of the limits.
const (
	MaxHead    = maxHead
	MaxDrained = maxDrained
)

// A Parsed is what has been made of bytes that a client could send.
type Parsed struct {
	Request *http.Request
	b       *buffers
}

// Parse reads the first request of raw as a connection does whose client then
// closes it. It returns nil for one that is net/http's.
func Parse(raw []byte) *Parsed {
	c := newConn(context.Background(), New(Options{MaxHeaderBytes: maxHead}), tls.Server(ended{}, &tls.Config{}))
	b := newBuffers(c)
	b.filled = copy(b.in[:], raw)
	size, err := field.SectionEnd(b.in[:b.filled])
	if err != nil || size == 0 || !b.parse(size) {
		b.release()
		return nil
	}
	return &Parsed{&b.request, b}
}

// Rest returns what has not been read.
func (p *Parsed) Rest() []byte { return p.b.in[:p.b.filled] }

// Release gives the buffers back, for the next one to use again.
func (p *Parsed) Release() { p.b.release() }

// ended is the end of a connection that is closed.
type ended struct{ net.Conn }

// Read implements net.Conn.
func (ended) Read([]byte) (int, error) { return 0, io.EOF }

// SetReadDeadline implements net.Conn.
func (ended) SetReadDeadline(time.Time) error { return nil }

// Write implements net.Conn.
func (ended) Write([]byte) (int, error) { return 0, net.ErrClosed }

// Close implements net.Conn.
func (ended) Close() error { return nil }

// Conns returns the number of connections that are being served.
func (s *Server) Conns() int { return len(s.conns.Append(nil)) }

// Ends reports whether a new connection is ended by looks of the watch that are
// so far from the clock.
func (s *Server) Ends(lags ...time.Duration) bool {
	c := newConn(context.Background(), s, tls.Server(ended{}, &tls.Config{}))
	for _, lag := range lags {
		c.look(time.Now().Add(lag))
	}
	return c.turn.Load() == over
}

// Held returns the number of buffers that connections hold.
func Held() int { return int(held.Load()) }

var held atomic.Int64

func init() { pool = &countingPool{Pool: sync.Pool{New: func() any { return new(buffers) }}} }

type countingPool struct{ sync.Pool }

// Get counts what the pool does.
func (p *countingPool) Get() any {
	held.Add(1)
	return p.Pool.Get()
}

// Put counts what the pool does.
func (p *countingPool) Put(x any) {
	held.Add(-1)
	p.Pool.Put(x)
}
