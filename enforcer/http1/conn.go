package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/field"
	"github.com/certvigil/certvigil/internal/socket"
	"github.com/certvigil/certvigil/internal/watch"
)

// A conn is a connection that is being served.
type conn struct {
	server *Server
	secure *tls.Conn
	ctx    context.Context //nolint:containedctx // the connection's, as net/http has one
	cancel context.CancelFunc
	blank  *http.Request // with ctx
	probe  socket.Probe  // the watch's

	// turn counts the phases that the connection has been through, which follow
	// each other in their order. Whoever moves it on owns what follows: so the
	// watch can end a connection that waits, and never one that has ceased to.
	turn atomic.Int64
	sent atomic.Bool // the body of the request being served has been read to its end

	first   [1]byte // of a request
	lineEnd int     // how many bytes of line ends may be skipped before it

	seen  int64 // the watch's own: turn, and since when
	since time.Time
}

// The phases of a connection: turn modulo their number.
const (
	idle    = iota // waits for a request
	heading        // has a part of a head
	serving
	phases
)

// over is the turn of a connection that is to serve nothing more.
const over = -1

func newConn(ctx context.Context, s *Server, secure *tls.Conn) *conn {
	c := &conn{server: s, secure: secure}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.blank = (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.ctx)
	c.probe.Init(secure)
	return c
}

// proceed enters the next phase; false: the connection is over.
func (c *conn) proceed() bool {
	turn := c.turn.Load()
	return turn != over && c.turn.CompareAndSwap(turn, turn+1)
}

// serve serves requests until the connection ends, or until there is one that
// is not for us: then more is true, and rest is what has been read of it.
func (c *conn) serve() (rest []byte, more bool) {
	var b *buffers
	defer func() { b.release() }()
	for {
		if b == nil {
			if b = c.await(); b == nil {
				return nil, false
			}
		}
		if !c.proceed() {
			return nil, false
		}
		size, ours := c.readHead(b)
		if size < 0 || !c.proceed() {
			return nil, false
		}
		if !ours || !b.parse(size) {
			return bytes.Clone(b.in[:b.filled]), true
		}
		// The order matters: Shutdown either finds a connection that waits, or is
		// noticed here.
		if !c.answer(b) || !c.proceed() || c.server.closing.Load() {
			return nil, false
		}
		if c.skip(b); b.filled == 0 {
			b.release()
			b = nil
		}
	}
}

// await waits for the first byte of a request; nil: the connection is over. Until
// then it holds no buffer.
func (c *conn) await() *buffers {
	for {
		if _, err := c.secure.Read(c.first[:]); err != nil {
			return nil
		}
		if !c.skips(c.first[0]) {
			b := newBuffers(c)
			b.in[0], b.filled = c.first[0], 1
			return b
		}
	}
}

// maxLineEnds is how many bytes of line ends are skipped behind a POST, where some
// clients send them; net/http's bound.
const maxLineEnds = 4

// skips reports whether a byte before a request is to be skipped.
func (c *conn) skips(first byte) bool {
	if c.lineEnd > 0 && (first == '\r' || first == '\n') {
		c.lineEnd--
		return true
	}
	c.lineEnd = 0
	return false
}

// skip takes the line ends behind a request that is over out of b.
func (c *conn) skip(b *buffers) {
	c.lineEnd = 0
	if b.request.Method == http.MethodPost {
		c.lineEnd = maxLineEnds
	}
	n := 0
	for n < b.filled && c.skips(b.in[n]) {
		n++
	}
	b.filled = copy(b.in[:], b.in[n:b.filled])
}

// readHead reads until b holds a head, and returns its size. It is negative if
// the client has left or was too slow; ours is false for what is none of ours.
func (c *conn) readHead(b *buffers) (size int, ours bool) {
	for {
		size, err := field.SectionEnd(b.in[:b.filled])
		if err != nil || size > 0 {
			return size, err == nil && size <= c.server.MaxHeaderBytes
		}
		if b.filled == len(b.in) {
			return 0, false
		}
		n, err := c.secure.Read(b.in[b.filled:])
		b.filled += n
		if err != nil {
			if c.server.HeadRefused != nil && !c.server.closing.Load() {
				c.server.HeadRefused(c.secure)
			}
			return -1, false
		}
	}
}

// answer serves the request in b, and reports whether another one may follow.
func (c *conn) answer(b *buffers) (again bool) {
	defer func() {
		if p := recover(); p != nil { // the answer is incomplete: it must not look whole
			again = false
			if p != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				c.server.Logger.Error("panic while serving a request", "panic", p, "stack", string(debug.Stack()))
			}
		}
		c.leave(b.body, again)
	}()
	b.response.begin()
	c.sent.Store(b.body == nil)
	c.server.Handler.ServeHTTP(&b.response, &b.request)
	return b.response.finish() && c.rest(b)
}

// rest makes the connection ready for another request.
func (c *conn) rest(b *buffers) bool {
	if b.response.deadline.Load() && c.secure.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	return c.ctx.Err() == nil
}

// leave ends the body of a request that is over. If no other one follows,
// somebody may still be waiting for more of it.
func (c *conn) leave(b *body, again bool) {
	if b == nil {
		return
	}
	if !again {
		_ = c.secure.SetReadDeadline(past)
	}
	b.end()
}

// look ends what has waited for too long by now, which may lag behind watch.Now,
// and the request of a client that has left. It is the watch's alone.
func (c *conn) look(now time.Time) {
	turn := c.turn.Load()
	if turn != c.seen || c.since.IsZero() {
		if turn != heading || c.since.IsZero() { // the first head's time runs since the handshake
			c.since = watch.Now()
		}
		c.seen = turn
		return
	}
	waited := now.Sub(c.since)
	switch {
	case turn == over:
	case turn%phases == serving:
		// Of a body that is not read to its end, more may lie there behind a client
		// that has closed its end.
		gone := c.probe.Broken
		if c.sent.Load() {
			gone = c.probe.Left
		}
		if gone() {
			c.cancel()
		}
	case turn%phases == idle && turn > 0 && waited < c.server.IdleTimeout:
	case (turn%phases == heading || turn == 0) && waited < c.server.HeaderTimeout:
	default:
		c.end(turn)
	}
}

// dismiss ends the connection, unless it is serving a request.
func (c *conn) dismiss() {
	for turn := c.turn.Load(); turn != over && turn%phases != serving; turn = c.turn.Load() {
		c.end(turn)
	}
}

// end ends a connection that waits in this turn, unless it has ceased to.
func (c *conn) end(turn int64) {
	if c.turn.CompareAndSwap(turn, over) {
		_ = c.secure.SetReadDeadline(past) // wakes it; an error says that it is closed
	}
}

// past is a deadline that ends a call in progress.
var past = time.Unix(1, 0)

// buffers belong to a connection while it reads or serves a request.
type buffers struct {
	in     [maxHead]byte
	filled int // of in, with what follows the head

	conn     *conn
	request  http.Request
	body     *body // nil without
	response response
}

// maxHead is the longest head that is served here.
const maxHead = 8 << 10

// maxKept bounds the header maps that are used again: clearing a large map costs
// what filling it did.
const maxKept = 64

var pool interface { // as tests count
	Get() any
	Put(x any)
} = &sync.Pool{New: func() any { return new(buffers) }}

func newBuffers(c *conn) *buffers {
	b, _ := pool.Get().(*buffers)
	b.conn = c
	b.response.attach(b)
	return b
}

// release gives the buffers back; nil has none.
func (b *buffers) release() {
	if b == nil {
		return
	}
	b.response.detach()
	b.filled, b.conn, b.body = 0, nil, nil
	fields := emptied(b.request.Header)
	b.request = http.Request{Header: fields}
	pool.Put(b)
}

// emptied returns a header to use again.
func emptied(h http.Header) http.Header {
	if h == nil || len(h) > maxKept {
		return http.Header{}
	}
	clear(h)
	return h
}
