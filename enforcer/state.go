package enforcer

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"net/url"
	"time"
)

// A State is everything the verdict and the proxy depend on. The enforcer
// swaps it as a whole: a request sees one state or the next, never a mixture.
type State struct {
	Generation      int64 // differs whenever anything below differs
	Applications    []Application
	Bundles         []Bundle
	Revoked         map[string]struct{} // fingerprints (SHA-256, lower-case hex) that are denied
	Certificates    []tls.Certificate   // server certificates, chosen by SNI; Leaf is set
	DefaultHostname string              // for clients without SNI; "" refuses them
	Issuer          string              // iss of the JWT, no trailing slash
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
}

// A Selector matches by exactly one of its fields; CA narrows it to clients
// whose certificate chains to the bundle of that name.
type Selector struct {
	Certificate bool
	Everyone    bool
	CommonName  string
	IP          netip.Prefix
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
}

// A SigningKey signs the JWTs, or did until it was rotated.
type SigningKey struct {
	KID string // 64 lower-case hex digits
	Key *rsa.PrivateKey
}
