package enforcer

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
)

// The headers of RFC 9440, and the limits of the reference product for their
// encoded values.
const (
	headerCert      = "Client-Cert"
	headerCertChain = "Client-Cert-Chain"
	maxCert         = 10 << 10
	maxCertChain    = 16 << 10
)

// addRFC9440 tells the leaf, given in base64, and the intermediates by which
// it was verified, the leaf's issuer first, without the anchor. A header over
// its limit is left out, and the chain with its leaf (§2.3).
func (f *fields) addRFC9440(leaf string, issuers []*x509.Certificate) {
	encoded := ":" + leaf + ":"
	if len(encoded) > maxCert {
		return
	}
	f.addUpTo(maxCert, headerCert, encoded)
	chain := make([]string, 0, len(issuers))
	for _, c := range issuers[:max(len(issuers)-1, 0)] {
		chain = append(chain, ":"+base64.StdEncoding.EncodeToString(c.Raw)+":")
	}
	f.addUpTo(maxCertChain, headerCertChain, strings.Join(chain, ", "))
}
