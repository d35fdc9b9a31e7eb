package enforcer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// What a client may present. Beyond it the chain is refused before a signature
// is looked at, since each of these has been a way to burn the verifier's time.
const (
	maxChain = 6
	maxNames = 100
	maxRules = 100 // name constraints, or policies, of one certificate
	minRSA   = 2048
	maxRSA   = 8192
)

// limits are those that can be set.
type limits struct{ certificates, bytes int }

// precheck bounds what verification can cost.
func (l limits) precheck(chain []*x509.Certificate) (Reason, string) {
	if len(chain) > l.certificates {
		return ReasonTooMany, fmt.Sprintf("%d certificates", len(chain))
	}
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if size > l.bytes {
		return ReasonTooLarge, fmt.Sprintf("%d bytes", size)
	}
	for i, c := range chain {
		if reason := checkCost(c, i == 0); reason != "" {
			return reason, fmt.Sprintf("certificate %d of %d", i+1, len(chain))
		}
	}
	return "", ""
}

func checkCost(c *x509.Certificate, leaf bool) Reason {
	switch _, excess := alternativeNames(c, maxNames); {
	case excess || len(c.Subject.Names) > maxNames:
		return ReasonTooManyNames
	case constraints(c) > maxRules || len(c.Policies) > maxRules || len(c.PolicyMappings) > maxRules:
		return ReasonTooManyRules
	case !acceptedKey(c.PublicKey, leaf):
		return ReasonKey
	}
	return ""
}

func constraints(c *x509.Certificate) int {
	return len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains) + len(c.PermittedIPRanges) + len(c.ExcludedIPRanges) +
		len(c.PermittedEmailAddresses) + len(c.ExcludedEmailAddresses) + len(c.PermittedURIDomains) + len(c.ExcludedURIDomains)
}

// acceptedKey admits the keys whose cost and strength are known. Ed25519 is
// for leaves alone, as on upload.
func acceptedKey(key any, leaf bool) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		// Whole bytes, an odd modulus and exponent: anything else is no RSA key.
		return bits >= minRSA && bits <= maxRSA && bits%8 == 0 && k.N.Bit(0) == 1 && k.E >= 3 && k.E%2 == 1
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return leaf
	}
	return false
}
