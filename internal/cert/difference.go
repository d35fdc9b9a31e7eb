package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Difference is one property of a certificate beside that of the one which
// is to take its place.
type Difference struct {
	Field   string `json:"field"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Loss    bool   `json:"loss"`              // something that worked may work no longer
	Warning string `json:"warning,omitempty"` // what that is; empty unless Loss is set
}

// Changed reports whether the property differs at all.
func (d Difference) Changed() bool { return d.Before != d.After || d.Loss }

// warn notes a loss.
func (d Difference) warn(lost bool, format string, args ...any) Difference {
	if lost {
		d.Loss, d.Warning = true, fmt.Sprintf(format, args...)
	}
	return d
}

// Compare returns the properties by which people judge whether a certificate
// may take the place of another, each of them also where nothing differs. It
// does not judge whether the new one is trusted.
func Compare(old, next *x509.Certificate) []Difference {
	all := []Difference{
		compareSubject(old, next), compareKey(old, next), compareKeyIdentity(old, next), compareSANs(old, next),
		compareKeyUsage(old, next), compareExtendedUsage(old, next),
	}
	if old.IsCA || next.IsCA {
		all = append(all, comparePathLength(old, next), compareNameConstraints(old, next))
	}
	return append(all,
		compareLists("crl_distribution_points", old.CRLDistributionPoints, next.CRLDistributionPoints,
			"whoever looks for revocation lists there finds none for the new certificate: %s"),
		compareLists("ocsp", old.OCSPServer, next.OCSPServer, "whoever asks for its revocation there cannot any more: %s"),
		compareSignature(old, next), compareLifetime(old, next), compareValidity(old, next))
}

func compareSubject(old, next *x509.Certificate) Difference {
	d := Difference{Field: "subject", Before: SubjectDN(old), After: SubjectDN(next)}
	return d.warn(d.Before != d.After, "policies and origins know the client by the old subject")
}

func compareKey(old, next *x509.Certificate) Difference {
	d := Difference{Field: "key", Before: keyName(old), After: keyName(next)}
	if old.PublicKeyAlgorithm != next.PublicKeyAlgorithm {
		d = d.warn(true, "another type of key: a peer that knows only %s keys cannot use it", old.PublicKeyAlgorithm)
	}
	return d.warn(weaker(next, old), "the new key is the weaker one: %s in place of %s", d.After, d.Before)
}

// compareKeyIdentity tells whether it is the same key. For a client a new one
// is good practice; what a CA signed with its old key it vouches for no more.
func compareKeyIdentity(old, next *x509.Certificate) Difference {
	d := Difference{Field: "public_key_sha256", Before: KeyHash(old), After: KeyHash(next)}
	return d.warn(old.IsCA && next.IsCA && d.Before != d.After,
		"another key: what the old CA issued does not verify by the new one, and is refused once the old one has ended (%s)", old.NotAfter.UTC().Format(time.RFC3339))
}

func compareSANs(old, next *x509.Certificate) Difference {
	return compareLists("sans", SANs(old), SANs(next), "the new certificate lacks the names %s")
}

// compareLists takes each list as a set; what the second lacks is a loss.
func compareLists(field string, before, after []string, warning string) Difference {
	lost := slices.DeleteFunc(slices.Clone(before), func(v string) bool { return slices.Contains(after, v) })
	return Difference{Field: field, Before: joined(before), After: joined(after)}.
		warn(len(lost) > 0, warning, strings.Join(lost, ", "))
}

// joined is a set in words that are the same for the same set.
func joined(values []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(values))), ", ")
}

// usages are the bits of a key usage in their order (RFC 5280 §4.2.1.3).
var usages = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "digitalSignature"},
	{x509.KeyUsageContentCommitment, "nonRepudiation"},
	{x509.KeyUsageKeyEncipherment, "keyEncipherment"},
	{x509.KeyUsageDataEncipherment, "dataEncipherment"},
	{x509.KeyUsageKeyAgreement, "keyAgreement"},
	{x509.KeyUsageCertSign, "keyCertSign"},
	{x509.KeyUsageCRLSign, "cRLSign"},
	{x509.KeyUsageEncipherOnly, "encipherOnly"},
	{x509.KeyUsageDecipherOnly, "decipherOnly"},
}

func usageNames(c *x509.Certificate) []string {
	var names []string
	for _, u := range usages {
		if c.KeyUsage&u.bit != 0 {
			names = append(names, u.name)
		}
	}
	return names
}

// compareKeyUsage holds a certificate without the extension to be good for all.
func compareKeyUsage(old, next *x509.Certificate) Difference {
	before, after := usageNames(old), usageNames(next)
	if len(after) == 0 || len(before) == 0 {
		d := Difference{Field: "key_usage", Before: orAny(before), After: orAny(after)}
		return d.warn(len(before) == 0 && len(after) > 0, "the new key is limited to %s", d.After)
	}
	return compareLists("key_usage", before, after, "the new key may not be used for %s")
}

// compareExtendedUsage holds a certificate without the extension, or with
// anyExtendedKeyUsage, to be good for all.
func compareExtendedUsage(old, next *x509.Certificate) Difference {
	before, after := extendedNames(old), extendedNames(next)
	d := Difference{Field: "extended_key_usage", Before: orAny(before), After: orAny(after)}
	lost := slices.DeleteFunc(slices.Clone(before), func(v string) bool { return slices.Contains(after, v) })
	switch {
	case anyUsage(next):
		return d
	case anyUsage(old):
		d = d.warn(true, "the new certificate is limited to %s", d.After)
	default:
		d = d.warn(len(lost) > 0, "the new certificate is not for %s", strings.Join(lost, ", "))
	}
	noClients := !slices.Contains(next.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && (anyUsage(old) || slices.Contains(lost, "clientAuth"))
	return d.warn(noClients, "the new certificate is not for client authentication: clients with it are refused")
}

var extendedUsages = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny: "any", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
	x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
}

func extendedNames(c *x509.Certificate) []string {
	var names []string
	for _, u := range c.ExtKeyUsage {
		name, known := extendedUsages[u]
		if !known {
			name = "usage " + strconv.Itoa(int(u))
		}
		names = append(names, name)
	}
	for _, id := range c.UnknownExtKeyUsage {
		names = append(names, id.String())
	}
	return names
}

func orAny(names []string) string {
	if len(names) == 0 {
		return "any"
	}
	return joined(names)
}

func comparePathLength(old, next *x509.Certificate) Difference {
	show := func(c *x509.Certificate) string {
		if n, limited := pathLen(c); limited {
			return strconv.Itoa(n)
		}
		return "any"
	}
	return Difference{Field: "path_length", Before: show(old), After: show(next)}.
		warn(longerPath(next, old), "fewer intermediates may stand between the new CA and a client")
}

func compareNameConstraints(old, next *x509.Certificate) Difference {
	before, after := extension(old, nameConstraints), extension(next, nameConstraints)
	return Difference{Field: "name_constraints", Before: constraintsText(old, before), After: constraintsText(next, after)}.
		warn(after != nil && !bytes.Equal(before, after), "the new CA may vouch for other names than the old one: clients outside them are refused")
}

func constraintsText(c *x509.Certificate, raw []byte) string {
	if raw == nil {
		return ""
	}
	var parts []string
	for _, list := range []struct {
		word   string
		values []string
	}{
		{"permits", c.PermittedDNSDomains},
		{"permits", c.PermittedEmailAddresses},
		{"permits", c.PermittedURIDomains},
		{"excludes", c.ExcludedDNSDomains},
		{"excludes", c.ExcludedEmailAddresses},
		{"excludes", c.ExcludedURIDomains},
	} {
		if len(list.values) > 0 {
			parts = append(parts, list.word+" "+joined(list.values))
		}
	}
	if len(parts) == 0 { // directory names and addresses
		return "other: " + hex.EncodeToString(raw)
	}
	return strings.Join(parts, "; ")
}

func compareSignature(old, next *x509.Certificate) Difference {
	return Difference{Field: "signature", Before: signatureName(old), After: signatureName(next)}
}

func compareLifetime(old, next *x509.Certificate) Difference {
	before, after := old.NotAfter.Sub(old.NotBefore), next.NotAfter.Sub(next.NotBefore)
	const slack = 24 * time.Hour // issuers round, and leap days come and go
	return Difference{Field: "lifetime", Before: days(before), After: days(after)}.
		warn(after < before-slack, "the new certificate lives shorter: it has to be renewed sooner")
}

func compareValidity(old, next *x509.Certificate) Difference {
	show := func(c *x509.Certificate) string {
		return c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339)
	}
	return Difference{Field: "validity", Before: show(old), After: show(next)}.
		warn(next.NotBefore.After(old.NotAfter), "neither certificate is valid from %s to %s",
			old.NotAfter.UTC().Format(time.RFC3339), next.NotBefore.UTC().Format(time.RFC3339))
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return d.String()
	}
	return strconv.Itoa(int(d/day)) + " days"
}

// keyName is the type and size of a key, as people say it.
func keyName(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA " + strconv.Itoa(key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// weaker compares keys of one type by their size, others by their strength.
func weaker(c, than *x509.Certificate) bool {
	a, isRSA := c.PublicKey.(*rsa.PublicKey)
	b, wasRSA := than.PublicKey.(*rsa.PublicKey)
	if isRSA && wasRSA {
		return a.N.BitLen() < b.N.BitLen()
	}
	return strength(c) < strength(than)
}

// strength is the comparable strength of a key in bits (NIST SP 800-57 part 1,
// table 2), 0 when unknown.
func strength(c *x509.Certificate) int {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsaStrength(key.N.BitLen())
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize / 2
	case ed25519.PublicKey:
		return 128
	}
	return 0
}

func rsaStrength(bits int) int {
	switch {
	case bits >= 15360:
		return 256
	case bits >= 7680:
		return 192
	case bits >= 3072:
		return 128
	case bits >= 2048:
		return 112
	}
	return 80
}
