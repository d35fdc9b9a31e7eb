package enforcer

import (
	"crypto/sha1" //nolint:gosec // the reference product's header; nothing is decided by it
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/header"
)

// standing returns the three headers of tls_client_auth_headers that every
// request bears. They tell of the certificate alone: whether one was presented,
// whether its chain leads to a CA of this host name and holds but for
// revocation, and whether it is revoked. Who was let in is not their matter.
func standing(c *client, v *verdict) fields {
	switch {
	case len(c.chain) == 0:
		return standings[0]
	case v.reason == ReasonRevoked:
		return standings[3]
	case v.valid:
		return standings[2]
	}
	return standings[1]
}

// standings are: no certificate, a bad one, a good one, a revoked one.
var standings = [4]fields{
	newStanding("false", "false", "false"), newStanding("true", "false", "false"),
	newStanding("true", "true", "false"), newStanding("true", "true", "true"),
}

func newStanding(presented, verified, revoked string) (f fields) {
	f.add("Cf-Cert-Presented", presented)
	f.add("Cf-Cert-Verified", verified)
	f.add("Cf-Cert-Revoked", revoked)
	return f
}

// addClientAuth tells the rest of tls_client_auth_headers, of a verified leaf.
// What the certificate does not have, such as a key identifier, is left out.
func (f *fields) addClientAuth(leaf *x509.Certificate, issuers []*x509.Certificate) {
	for _, n := range []struct {
		of  string
		raw []byte
	}{{"Issuer", leaf.RawIssuer}, {"Subject", leaf.RawSubject}} {
		name := parseName(n.raw)
		f.add("Cf-Cert-"+n.of+"-Dn", header.Escape(name.rfc2253(false), ""))
		f.add("Cf-Cert-"+n.of+"-Dn-Rfc2253", header.Escape(name.rfc2253(true), ""))
		f.add("Cf-Cert-"+n.of+"-Dn-Legacy", header.Escape(name.legacy(), ""))
	}
	sum := sha1.Sum(leaf.Raw) //nolint:gosec // see the import
	f.add("Cf-Cert-Serial", cert.Serial(leaf))
	f.add("Cf-Cert-Fingerprint-Sha256", cert.Fingerprint(leaf))
	f.add("Cf-Cert-Fingerprint-Sha1", hex.EncodeToString(sum[:]))
	f.add("Cf-Cert-Not-Before", opensslTime(leaf.NotBefore))
	f.add("Cf-Cert-Not-After", opensslTime(leaf.NotAfter))
	f.add("Cf-Cert-Ski", fmt.Sprintf("%X", leaf.SubjectKeyId))
	if len(issuers) > 0 {
		f.add("Cf-Cert-Issuer-Serial", cert.Serial(issuers[0]))
		f.add("Cf-Cert-Issuer-Ski", fmt.Sprintf("%X", issuers[0].SubjectKeyId))
	}
}

// opensslTime writes a time as OpenSSL prints one: "Dec 22 19:39:00 2018 GMT".
func opensslTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }
