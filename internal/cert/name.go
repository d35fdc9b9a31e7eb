package cert

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"unicode"
)

// Fingerprint returns the SHA-256 of the certificate's DER as 64 lower-case
// hex digits.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// KeyHash returns the SHA-256 of the certificate's SubjectPublicKeyInfo as 64
// lower-case hex digits.
func KeyHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Serial returns the certificate's serial number as [FormatSerial] writes it.
func Serial(c *x509.Certificate) string { return FormatSerial(c.SerialNumber) }

// FormatSerial returns a serial number as upper-case hex without separators,
// two digits for each big-endian byte: "0A", "527E0F20".
func FormatSerial(n *big.Int) string {
	digits := n.Bytes()
	if len(digits) == 0 {
		return "00"
	}
	return fmt.Sprintf("%X", digits)
}

// SubjectDN returns the subject in the form of RFC 4514, most specific
// attribute first. What does not print (control characters, line separators,
// marks that reverse the text) is hex-escaped, so that the name is one line and
// reads as it is wherever it is put.
func SubjectDN(c *x509.Certificate) string { return distinguishedName(c.RawSubject, c.Subject) }

// IssuerDN returns the issuer in the form of [SubjectDN].
func IssuerDN(c *x509.Certificate) string { return distinguishedName(c.RawIssuer, c.Issuer) }

// distinguishedName reads the raw name, because pkix.Name forgets the order of
// its attributes; the parsed one serves where encoding/asn1 knows fewer string
// types than crypto/x509.
func distinguishedName(raw []byte, parsed pkix.Name) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		rdns = parsed.ToRDNSequence()
	}
	return escapeUnprintable(rdns.String())
}

func escapeUnprintable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, octet := range []byte(string(r)) {
			fmt.Fprintf(&b, `\%02X`, octet)
		}
	}
	return b.String()
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// CommonNames returns every common name of the subject, in order. x509 keeps
// only the last one in Subject.CommonName, so that a second, hidden one could
// be matched in place of the one that people see.
func CommonNames(c *x509.Certificate) []string {
	var names []string
	for _, attribute := range c.Subject.Names {
		if !attribute.Type.Equal(oidCommonName) {
			continue
		}
		if name, ok := attribute.Value.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// SANs returns the subject alternative names, typed: "dns:…", then "ip:…",
// "email:…" and "uri:…", each type in the certificate's order. Empty names,
// which cfssl writes for "hosts": [""], name nothing and are left out.
func SANs(c *x509.Certificate) []string {
	var sans []string
	add := func(kind, name string) {
		if name != "" {
			sans = append(sans, kind+name)
		}
	}
	for _, name := range c.DNSNames {
		add("dns:", name)
	}
	for _, ip := range c.IPAddresses {
		add("ip:", ip.String())
	}
	for _, address := range c.EmailAddresses {
		add("email:", address)
	}
	for _, uri := range c.URIs {
		add("uri:", uri.String())
	}
	return sans
}

// label names the n-th certificate (from 1) of an upload for a person.
func label(n int, c *x509.Certificate) string {
	const longest = 120
	name := []rune(SubjectDN(c))
	if len(name) > longest {
		name = append(name[:longest], '…')
	}
	return fmt.Sprintf("certificate %d (%s)", n, string(name))
}
