package origin

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/socket"
)

const bufferSize = 4 << 10

// Buffers belong to connections in use.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}
)

// A conn is an HTTP/1.1 connection. One exchange uses it at a time.
type conn struct {
	net.Conn
	host      *host
	r         *bufio.Reader
	w         *bufio.Writer
	reused    bool
	idleSince time.Time

	probe socket.Probe
	raw   net.Conn // below TLS
	abort func()   // cut
}

func newConn(h *host, nc net.Conn) *conn {
	c := &conn{Conn: nc, host: h, raw: nc}
	if secure, ok := nc.(*tls.Conn); ok {
		c.raw = secure.NetConn()
	}
	c.probe.Init(nc)
	c.abort = c.cut
	return c
}

// hold takes buffers for an exchange.
func (c *conn) hold() {
	c.r, _ = readers.Get().(*bufio.Reader)
	c.w, _ = writers.Get().(*bufio.Writer)
	c.r.Reset(c.Conn)
	c.w.Reset(c.Conn)
}

// letGo gives the buffers back.
func (c *conn) letGo() {
	if c.r == nil {
		return
	}
	c.r.Reset(nil)
	c.w.Reset(nil)
	readers.Put(c.r)
	writers.Put(c.w)
	c.r, c.w = nil, nil
}

// cut ends every read and write at once. (Closing the TLS connection would
// first wait for a peer that does not read to take an alert.)
func (c *conn) cut() { _ = c.raw.Close() }

var past = time.Unix(1, 0)

// drained reports whether nothing is left of what the origin has sent, also in
// the records that TLS has decrypted already.
func (c *conn) drained() bool {
	if c.r.Buffered() > 0 {
		return false
	}
	if _, secure := c.Conn.(*tls.Conn); !secure {
		return true
	}
	if c.SetReadDeadline(past) != nil {
		return false
	}
	_, err := c.r.Peek(1)
	timeout, ok := err.(net.Error) //nolint:errorlint // as crypto/tls returns it
	return ok && timeout.Timeout()
}
