package enforcer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A client is one connection and what is remembered with it. The fields of the
// first group are set during the handshake and read-only afterwards.
type client struct {
	net.Conn
	enforcer *Enforcer
	id       string     // in the log
	since    time.Time  // when it was accepted
	addr     netip.Addr // of the peer, which may be a trusted proxy
	name     string     // the SNI, or the default host name, normalised
	refused  error      // says that no application has that name
	release  func()     // gives back the handshake slot; nil: it has none

	version uint16 // of TLS
	resumed bool

	chain   []*x509.Certificate // as sent, or as sealed into the resumed session
	chainID [sha256.Size]byte   // identifies chain
	leafID  [sha256.Size]byte   // SHA-256 of the leaf's DER

	verdict atomic.Pointer[verdict]
	route   atomic.Pointer[route]
	reports reports

	forwarded atomic.Bool // its certificate has gone to an origin
	hop       atomic.Pointer[hop]
	der       func() string

	reading, writing waiting
	owesBody         atomic.Bool // HTTP/1.1: the request's body is not complete
	served           atomic.Bool // the request that net/http has begun to read has reached us
	hijacked         atomic.Bool // a WebSocket
	phase            atomic.Int32
}

// The phases of a connection, in their order.
const (
	handshaking int32 = iota
	handshaken
	hungUp
)

// connections numbers them, for the log.
var connections atomic.Uint64

func newClient(e *Enforcer, conn net.Conn) *client {
	c := &client{Conn: conn, enforcer: e, since: e.now(), id: strconv.FormatUint(connections.Add(1), 36)}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.addr = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return c
}

// Read implements net.Conn.
func (c *client) Read(p []byte) (int, error) {
	c.reading.begin()
	defer c.reading.end()
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *client) Write(p []byte) (int, error) {
	c.writing.begin()
	defer c.writing.end()
	return c.Conn.Write(p)
}

// NetConn returns the connection below, as *tls.Conn does.
func (c *client) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *client) Close() error {
	switch c.phase.Swap(hungUp) {
	case handshaken:
		c.enforcer.countConnection(-1)
		fallthrough
	case handshaking:
		c.enforcer.clients.Remove(c)
	}
	return c.Conn.Close()
}

// opened notes that the handshake is complete, unless the connection was
// closed meanwhile.
func (c *client) opened() bool {
	if !c.phase.CompareAndSwap(handshaking, handshaken) {
		return false
	}
	c.enforcer.countConnection(+1)
	return true
}

func (e *Enforcer) countConnection(delta int) {
	if e.metrics.Connections != nil {
		e.metrics.Connections(delta)
	}
}

// outlived reports whether the connection is older than limit.
func (c *client) outlived(now time.Time, limit time.Duration) bool { return now.Sub(c.since) >= limit }

// identify takes over the outcome of the handshake. Chains that crypto/tls may
// have verified are never looked at: on resumption they can stem from another
// host's authorities.
func (c *client) identify(cs *tls.ConnectionState) {
	c.version, c.resumed = cs.Version, cs.DidResume
	c.present(cs.PeerCertificates)
}

// present takes over the chain that the client has presented.
func (c *client) present(chain []*x509.Certificate) {
	c.chain = chain
	if len(c.chain) == 0 {
		return
	}
	c.leafID = sha256.Sum256(c.chain[0].Raw)
	c.chainID = chainIdentity(c.chain)
	c.der = sync.OnceValue(func() string { return base64.StdEncoding.EncodeToString(c.chain[0].Raw) })
}

// chainIdentity returns what two chains share only if they are the same.
func chainIdentity(chain []*x509.Certificate) (id [sha256.Size]byte) {
	h := sha256.New()
	for _, cert := range chain {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(cert.Raw))) //nolint:gosec // a handshake message is below 2^24 bytes
		h.Write(size[:])
		h.Write(cert.Raw)
	}
	h.Sum(id[:0])
	return id
}

// fingerprint returns the leaf's, in lower-case hex, or "".
func (c *client) fingerprint() string {
	if len(c.chain) == 0 {
		return ""
	}
	return hex.EncodeToString(c.leafID[:])
}

// follow is http.Server's ConnState hook. In HTTP/2 it tells of the connection
// alone, in HTTP/1.1 of each request.
func (e *Enforcer) follow(conn net.Conn, state http.ConnState) {
	c := clientBelow(conn)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.served.Store(false)
	case http.StateIdle:
		c.served.Store(true)
		c.owesBody.Store(false)
	case http.StateHijacked:
		c.hijacked.Store(true)
	case http.StateClosed:
		if !c.served.Load() {
			e.headRefused(c)
		}
	case http.StateNew:
		c.served.Store(true) // nothing has been asked yet
	}
}

// headRefused logs a request that never became one: net/http has answered it
// with a 4xx of its own, or hung up, and says nothing of it.
func (e *Enforcer) headRefused(c *client) {
	if now, suppressed := e.throttle.allow("head", e.now()); now {
		e.logClient(c, slog.LevelInfo, "request head refused: malformed, too large or too slow", suppressed)
	}
}

// http2Error logs what net/http found wrong with an HTTP/2 connection or
// stream; it names the kind, from a fixed set, and nothing else.
func (e *Enforcer) http2Error(kind string) {
	if now, suppressed := e.throttle.allow("http2_"+kind, e.now()); now {
		e.log.Info("HTTP/2 error", "kind", kind, "suppressed", suppressed)
	}
}

func clientBelow(conn net.Conn) *client {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok { // a *tls.Conn, or one that http1 has passed on
		c, _ := secure.NetConn().(*client)
		return c
	}
	return nil
}

// refuseClients refuses new ones and hangs up on those amid the handshake.
func (e *Enforcer) refuseClients() {
	e.clients.Shut()
	for _, c := range e.clients.Append(nil) {
		if c.phase.Load() == handshaking {
			_ = c.Close()
		}
	}
}

type clientKey struct{}

// withClient makes the client known to the requests of its connection.
func withClient(ctx context.Context, conn net.Conn) context.Context {
	if c := clientBelow(conn); c != nil {
		return context.WithValue(ctx, clientKey{}, c)
	}
	return ctx
}

func clientOf(r *http.Request) (*client, bool) {
	c, ok := r.Context().Value(clientKey{}).(*client)
	return c, ok
}

// A handoff is the listener from which the HTTP server takes connections whose
// handshake is complete.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handoff) pass(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		_ = conn.Close() // shut down: nobody will serve it
	}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
