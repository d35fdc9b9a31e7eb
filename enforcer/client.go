package enforcer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A client is one connection and what is remembered with it. The fields of the
// first group are set during the handshake and read-only afterwards.
type client struct {
	net.Conn
	name string // the SNI, or the default host name, normalised
	slot bool   // holds one of the handshake slots

	addr    netip.Addr          // of the peer, which may be a trusted proxy
	chain   []*x509.Certificate // as sent, or as sealed into the resumed session
	chainID [sha256.Size]byte   // identifies chain
	leafID  [sha256.Size]byte   // SHA-256 of the leaf's DER

	verdict atomic.Pointer[verdict]
	route   atomic.Pointer[route]

	forwarded atomic.Bool // its certificate has gone to an origin
	der       func() string
}

// identify takes over the outcome of the handshake. Chains that crypto/tls may
// have verified are never looked at: on resumption they can stem from another
// host's authorities.
func (c *client) identify(cs *tls.ConnectionState) {
	if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		c.addr = ap.Addr().Unmap().WithZone("")
	}
	c.present(cs.PeerCertificates)
}

// present takes over the chain that the client has presented.
func (c *client) present(chain []*x509.Certificate) {
	c.chain = chain
	if len(c.chain) == 0 {
		return
	}
	c.leafID = sha256.Sum256(c.chain[0].Raw)
	h := sha256.New()
	for _, cert := range c.chain {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(cert.Raw))) //nolint:gosec // a handshake message is below 2^24 bytes
		h.Write(size[:])
		h.Write(cert.Raw)
	}
	h.Sum(c.chainID[:0])
	c.der = sync.OnceValue(func() string { return base64.StdEncoding.EncodeToString(c.chain[0].Raw) })
}

// fingerprint returns the leaf's, in lower-case hex, or "".
func (c *client) fingerprint() string {
	if len(c.chain) == 0 {
		return ""
	}
	return hex.EncodeToString(c.leafID[:])
}

type clientKey struct{}

// withClient makes the client known to the requests of its connection.
func withClient(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		return context.WithValue(ctx, clientKey{}, secure.NetConn())
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
