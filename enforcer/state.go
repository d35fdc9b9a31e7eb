package enforcer

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/egress"
)

// A State is everything the verdict and the proxy depend on. The enforcer
// swaps it as a whole: a request sees one state or the next, never a mixture.
type State struct {
	Generation      int64 // differs whenever anything below differs
	Applications    []Application
	Bundles         []Bundle
	Revoked         map[string]struct{} // fingerprints (SHA-256, lower-case hex) that are denied
	RevokedKeys     map[string]struct{} // SHA-256 of a SubjectPublicKeyInfo, lower-case hex: every certificate with that key is denied
	RevocationLists []RevocationList
	KeepStale       bool              // a list past its grace denies whom it names, no more; false: everyone of its issuer
	Grace           time.Duration     // of lists past their nextUpdate; 0 = crl.List.InForceUntil's default
	Certificates    []tls.Certificate // server certificates, chosen by SNI; Leaf is set
	DefaultHostname string            // for clients without SNI; "" refuses them
	Issuer          string            // iss of the JWT, no trailing slash
	RequireEKU      bool
	SessionTickets  bool
	TrustedProxies  []netip.Prefix
	SigningKeys     []SigningKey // the first one signs, all are published; never empty
}

// An Application is a guarded origin.
type Application struct {
	ID              string // UUID
	Name            string
	Hostname        string // lower case; exact or "*.example.com"
	Path            string // "/" or a prefix such as "/admin"
	Origin          *url.URL
	AUD             string // 64 hex digits
	SessionDuration time.Duration
	ReportOnly      bool       // log and count what would be denied, and let it pass
	Forwarding      Forwarding // client_certificate_forwarding
	Policies        []Policy   // in configured order

	RFC9440                bool              // Client-Cert and Client-Cert-Chain for the origin
	TLSClientAuthHeaders   bool              // the cf-cert-* headers for the origin
	RequestHeaders         map[string]string // by name, templates of package header
	OptionsPreflightBypass bool              // CORS preflights pass without a certificate

	OriginTLS      OriginTLS      // for https origins
	OriginGuard    *egress.Policy // which addresses may be dialled for it; nil: any
	ConnectTimeout time.Duration  // to the origin, with its TLS handshake; 0 = 10 s
	OriginTimeout  time.Duration  // until the origin's response head; 0 = 100 s

	Deny   Denial
	Cookie Cookie
}

// A Cookie says how the session cookie differs from the default: HttpOnly, for
// the whole host name, SameSite=None. It is always Secure.
type Cookie struct {
	Readable  bool          // by scripts: without HttpOnly
	SameSite  http.SameSite // 0 = None
	ScopePath bool          // for the application's path alone
}

// An OriginTLS is how a TLS connection to an origin is made. Connections are
// shared by applications with the same origin, ID and timeouts.
type OriginTLS struct {
	Roots       *x509.CertPool   // nil: the system's
	Certificate *tls.Certificate // presented to the origin; nil: none
	ServerName  string           // checked and sent as SNI; "": the origin's host
	ID          string           // changes whenever anything above does
}

// A Denial is what an application answers in place of the default 403 page. At
// most one of Page and URL is set. The status is 403, or 302 with URL.
type Denial struct {
	Message string             // plain text shown on the default page
	Page    *template.Template // an HTML page; executed with templates.WebError
	URL     *url.URL           // to redirect people to; programs still get their JSON
}

// A RevocationList is a list with the key that issued it. Lists are matched to
// certificates by that key, never by a name or a serial number alone.
type RevocationList struct {
	IssuerKey [sha256.Size]byte // SHA-256 of the issuer's SubjectPublicKeyInfo
	List      *crl.List
}

// A Forwarding says on which requests of a connection the origin gets
// Cf-Client-Cert-Der-Base64 and Cf-Client-Cert-Sha256.
type Forwarding string

// The forwarding modes.
const (
	ForwardOff   Forwarding = "off"
	ForwardEvery Forwarding = "every"
	ForwardFirst Forwarding = "first"
)

// An Action is what a matching policy does.
type Action string

// The actions.
const (
	Allow       Action = "allow"
	Block       Action = "block"
	Bypass      Action = "bypass"
	ServiceAuth Action = "service_auth"
)

// A Policy admits or refuses requests: any of Include, all of Require, none
// of Exclude.
type Policy struct {
	Name                      string
	Action                    Action
	Include, Require, Exclude []Selector
	SessionDuration           time.Duration // of whom it admits; 0 = the application's
}

// A Selector matches by exactly one of its fields; CA narrows it to clients
// whose certificate chains to the bundle of that name.
//
// The lists hold alternatives. SANDNS and SANURI hold patterns of package glob
// (separators "." and "/"), compared without regard to case in DNS names; all
// others are exact. Those about a certificate match a valid one only.
type Selector struct {
	Certificate bool
	Everyone    bool
	CommonName  []string
	IP          []netip.Prefix
	SANDNS      []string
	SANURI      []string
	Issuer      []string // distinguished name of the leaf's issuer, as cert.IssuerDN writes it
	Serial      []string // as cert.Serial writes it
	Fingerprint []string // SHA-256 of the leaf's DER, 64 lower-case hex digits
	CA          string
}

// A Bundle is a set of certificates that may vouch for clients of its
// hostnames. Bundles of one hostname are alternatives: a client needs a valid
// chain to an anchor of any one.
type Bundle struct {
	ID, Name      string
	Hostnames     []string // lower case; exact or wildcard
	Anchors       []*x509.Certificate
	Intermediates []*x509.Certificate
	Constraints   Constraints
}

// Constraints limit what a bundle may vouch for, beyond what its certificates
// say themselves. Empty fields do not limit.
type Constraints struct {
	// PermitSAN are patterns of package glob, with a kind ("dns:", "uri:",
	// "email:", "ip:") or without one for DNS names. A leaf needs at least one
	// subject alternative name, and each of its names must fit a pattern.
	PermitSAN []string
	// PermitCN are patterns without separator. A leaf needs a common name that fits.
	PermitCN        []string
	MaxLeafLifetime time.Duration // from notBefore to notAfter
}

// A SigningKey signs the JWTs, or did until it was rotated.
type SigningKey struct {
	KID string // 64 lower-case hex digits
	Key *rsa.PrivateKey
}
