package enforcer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
)

// The extensions that are looked at in their encoding, because crypto/x509
// does not tell an empty one, or an unknown part of one, from none.
var (
	oidKeyUsage        = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidExtKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// checkPath refuses, of a chain that crypto/x509 holds valid, what RFC 5280
// does not allow and what would widen it. What is only badly formed, and means
// the same either way, is let pass: a missing key identifier (the signature
// decides who issued a certificate), a criticality that is not as prescribed.
//
// Of the anchor only that is asked which bears on others: the operator chose it.
func checkPath(chain []*x509.Certificate) (Reason, string) {
	last := len(chain) - 1
	if last < 1 {
		// A client cannot vouch for itself, though its certificate be an anchor.
		return ReasonUntrusted, "the certificate is itself an anchor"
	}
	for i, c := range chain {
		if i > 0 && !acceptedKey(c.PublicKey, false) {
			return ReasonKey, fmt.Sprintf("certificate %d of the path", i+1)
		}
		what := checkExtensions(c)
		if what == "" && i < last {
			what = checkIssued(c)
		}
		if what != "" {
			return ReasonProfile, fmt.Sprintf("certificate %d of the path has %s", i+1, what)
		}
	}
	return "", ""
}

// checkExtensions fails closed: a limit that cannot be read is not passed over.
func checkExtensions(c *x509.Certificate) string {
	switch {
	case c.KeyUsage == 0 && extension(c, oidKeyUsage) != nil:
		return "a key usage that allows nothing"
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 && extension(c, oidExtKeyUsage) != nil:
		return "an extended key usage that allows nothing"
	case !enforceable(extension(c, oidNameConstraints)):
		return "name constraints of a kind that cannot be compared"
	case !c.IsCA && extension(c, oidNameConstraints) != nil:
		return "name constraints without being a CA"
	}
	return ""
}

// checkIssued is about what an issuer made.
func checkIssued(c *x509.Certificate) string {
	switch n := c.SerialNumber; {
	case n.Sign() <= 0:
		return "a serial number that is not positive"
	case len(n.Bytes()) > maxSerial:
		return "a serial number above 20 bytes"
	case string(c.RawIssuer) == emptyName:
		return "no name of its issuer"
	}
	return ""
}

const (
	maxSerial = 20         // RFC 5280 §4.1.2.2
	emptyName = "\x30\x00" // an empty SEQUENCE
)

// extension returns the value of an extension, nil when there is none.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	if i < 0 {
		return nil
	}
	return c.Extensions[i].Value
}

// enforceable reports whether crypto/x509 enforces every subtree of the name
// constraints: it passes over others, directoryName among them, unless the
// extension is critical.
func enforceable(constraints []byte) bool {
	if constraints == nil {
		return true
	}
	var parsed struct {
		Permitted []asn1.RawValue `asn1:"optional,tag:0"`
		Excluded  []asn1.RawValue `asn1:"optional,tag:1"`
	}
	if rest, err := asn1.Unmarshal(constraints, &parsed); err != nil || len(rest) > 0 {
		return false
	}
	for _, subtree := range slices.Concat(parsed.Permitted, parsed.Excluded) {
		var base asn1.RawValue
		rest, err := asn1.Unmarshal(subtree.Bytes, &base)
		// RFC 5280 has no use for the minimum and maximum that may follow.
		if err != nil || len(rest) > 0 || base.Class != asn1.ClassContextSpecific ||
			!slices.Contains([]int{tagEmail, tagDNS, tagURI, tagIP}, base.Tag) {
			return false
		}
	}
	return true
}
