package origin

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"time"

	"github.com/certvigil/certvigil/internal/egress"
)

// The schemes of a Target.
const (
	HTTP  = "http"
	HTTPS = "https"
	H2C   = "h2c" // HTTP/2 without TLS, by prior knowledge
)

// A Target is an origin and how it is to be talked to. It is read-only once it
// has been used.
type Target struct {
	Scheme string
	Addr   string // host:port

	// For https. The origin's certificate is always verified.
	Roots       *x509.CertPool   // nil: the system's
	Certificate *tls.Certificate // presented to the origin; nil: none
	ServerName  string           // checked and sent as SNI; "": the host of Addr
	// ID changes whenever one of these does. Connections are shared by targets
	// with the same scheme, address, ID and timeouts.
	ID string

	// Guard says which addresses may be dialled, by the address that the name has
	// then; nil: any.
	Guard *egress.Policy

	ConnectTimeout time.Duration // with the TLS handshake; 0 = the pool's
	HeaderTimeout  time.Duration // until the response head; 0 = the pool's
}

// Address returns host and port of a URL with one of the schemes.
func Address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == HTTPS {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// A key names an origin. What may be dialled is part of it: a connection that
// one target may have must not serve another that may not. The timeouts are part of it, since all requests over
// an HTTP/2 connection wait by those that it was made with.
type key struct {
	scheme, addr, id string
	connect, header  time.Duration
	guarded          bool
	guard            egress.Policy
}

func (t *Target) key() key {
	k := key{scheme: t.Scheme, addr: t.Addr, id: t.ID, connect: t.ConnectTimeout, header: t.HeaderTimeout}
	if t.Guard != nil {
		k.guarded, k.guard = true, *t.Guard
	}
	return k
}
