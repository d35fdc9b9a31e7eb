package origin

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// Options configure a Pool. The zero value is usable.
type Options struct {
	Now         func() time.Time // for deadlines and idle times; default time.Now
	MaxIdle     int              // connections per origin; default 512
	IdleTimeout time.Duration    // default 90 s

	ConnectTimeout time.Duration // of targets without one, with the TLS handshake; default 10 s
	HeaderTimeout  time.Duration // of targets without one, until the response head; default 100 s
}

// A Pool keeps connections to origins. All methods may be called concurrently.
type Pool struct {
	now         func() time.Time
	maxIdle     int
	idleTimeout time.Duration
	connect     time.Duration
	header      time.Duration

	mu     sync.RWMutex
	hosts  map[key]*host
	broom  *time.Timer // closes what has been idle for too long; nil while nothing is
	closed atomic.Bool
}

// NewPool returns an empty pool.
func NewPool(opts Options) *Pool {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Pool{
		now:         opts.Now,
		maxIdle:     cmp.Or(opts.MaxIdle, 512),
		idleTimeout: cmp.Or(opts.IdleTimeout, 90*time.Second),
		connect:     cmp.Or(opts.ConnectTimeout, 10*time.Second),
		header:      cmp.Or(opts.HeaderTimeout, 100*time.Second),
		hosts:       map[key]*host{},
	}
}

// A host is what is kept of one origin.
type host struct {
	pool   *Pool
	key    key
	config *tls.Config // nil without TLS

	mu     sync.Mutex
	idle   []*conn // the most recently used last
	users  int     // exchanges that hold the host
	used   time.Time
	spare  []net.Conn      // dialled, HTTP/2, on their way to h2
	second bool            // the origin speaks HTTP/2
	h2     *http.Transport // made once it does
}

// host returns what is kept of the target's origin. The caller releases it.
func (p *Pool) host(t *Target) *host {
	k := t.key()
	p.mu.RLock()
	if h := p.hosts[k]; h != nil {
		h.hold()
		p.mu.RUnlock()
		return h
	}
	p.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[k]
	if h == nil {
		h = &host{pool: p, key: k, second: t.Scheme == H2C}
		if t.Scheme == HTTPS {
			h.config = clientTLS(t)
		}
		p.hosts[k] = h
	}
	h.hold()
	return h
}

func (h *host) hold() {
	h.mu.Lock()
	h.users++
	h.mu.Unlock()
}

func (h *host) release() {
	h.mu.Lock()
	h.users--
	h.used = h.pool.now()
	h.mu.Unlock()
}

func clientTLS(t *Target) *tls.Config {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            t.Roots,
		ServerName:         t.ServerName,
		NextProtos:         []string{"h2", "http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if t.Certificate != nil {
		cfg.Certificates = []tls.Certificate{*t.Certificate}
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(t.Addr)
	}
	return cfg
}

// take returns the idle connection that was used last and is still alive, or
// nil. (Last in, first out: what a burst needed ages at the other end.) Bytes that
// nobody asked for would be taken for the answer to the next request.
func (h *host) take() *conn {
	for {
		h.mu.Lock()
		n := len(h.idle)
		if n == 0 {
			h.mu.Unlock()
			return nil
		}
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		if h.pool.now().Sub(c.idleSince) < h.pool.idleTimeout && c.probe.Quiet() {
			c.reused = true
			return c
		}
		_ = c.Close()
	}
}

// put keeps a connection for the next exchange, or closes it if enough are
// kept.
func (h *host) put(c *conn) {
	p := h.pool
	c.idleSince = p.now()
	c.letGo()
	h.mu.Lock()
	full := len(h.idle) >= p.maxIdle || p.closed.Load()
	if !full {
		h.idle = append(h.idle, c)
	}
	first := len(h.idle) == 1
	h.mu.Unlock()
	if full {
		_ = c.Close()
		return
	}
	if first {
		p.armBroom()
	}
}

func (p *Pool) armBroom() {
	p.mu.RLock()
	armed := p.broom != nil
	p.mu.RUnlock()
	if armed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broom == nil && !p.closed.Load() {
		p.broom = time.AfterFunc(p.idleTimeout/2, p.sweep)
	}
}

// sweep closes connections that nobody has used for long, and forgets origins
// that nobody asks for.
func (p *Pool) sweep() {
	before := p.now().Add(-p.idleTimeout)
	p.mu.Lock()
	defer p.mu.Unlock()
	left := false
	for k, h := range p.hosts {
		if h.expire(before) {
			delete(p.hosts, k)
			continue
		}
		left = true
	}
	p.broom = nil
	if left && !p.closed.Load() {
		p.broom = time.AfterFunc(p.idleTimeout/2, p.sweep)
	}
}

// expire closes what has been idle since before, and reports whether nothing
// is left of the host.
func (h *host) expire(before time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(h.idle) && h.idle[n].idleSince.Before(before) {
		_ = h.idle[n].Close()
		n++
	}
	h.idle = append(h.idle[:0:0], h.idle[n:]...)
	if len(h.idle) > 0 || h.users > 0 || !h.used.Before(before) {
		return false
	}
	h.dropSpares()
	if h.h2 != nil {
		h.h2.CloseIdleConnections()
	}
	return true
}

func (h *host) dropSpares() {
	for _, c := range h.spare {
		_ = c.Close()
	}
	h.spare = nil
}

// Close closes idle connections, and every other one at the end of its
// exchange.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed.Store(true)
	if p.broom != nil {
		p.broom.Stop()
		p.broom = nil
	}
	for _, h := range p.hosts {
		h.mu.Lock()
		for _, c := range h.idle {
			_ = c.Close()
		}
		h.idle = nil
		h.dropSpares()
		if h.h2 != nil {
			h.h2.CloseIdleConnections()
		}
		h.mu.Unlock()
	}
}

// dial returns a new connection, its TLS handshake done. HTTP/2 is offered if
// second is set.
func (h *host) dial(ctx context.Context, t *Target, second bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(t.ConnectTimeout, h.pool.connect))
	defer cancel()
	var dialer net.Dialer
	if h.key.guarded {
		dialer.Control = h.key.guard.Control
	}
	raw, err := dialer.DialContext(ctx, "tcp", h.key.addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "origin_connect", "connecting to the origin: %w", err)
	}
	if h.config == nil {
		return raw, nil
	}
	config := h.config
	if !second {
		config = config.Clone()
		config.NextProtos = config.NextProtos[1:]
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fault.New(fault.Unavailable, "origin_tls", "TLS with the origin %s: %w", h.key.addr, err)
	}
	return secure, nil
}
