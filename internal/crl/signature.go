package crl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"

	// The hashes of the algorithms below.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// An algorithm is a signature algorithm. Those without a hash are refused, and
// known only so that the refusal can name them.
type algorithm struct {
	oid  string // contents of the OBJECT IDENTIFIER
	name string // as x509 writes it
	key  x509.PublicKeyAlgorithm
	hash crypto.Hash
}

// algorithms are those of uploaded certificates (cert.ParseCA), and others that
// CAs are known to use.
var algorithms = []algorithm{
	{"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "SHA256-RSA", x509.RSA, crypto.SHA256},
	{"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", "SHA384-RSA", x509.RSA, crypto.SHA384},
	{"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", "SHA512-RSA", x509.RSA, crypto.SHA512},
	{"\x2a\x86\x48\xce\x3d\x04\x03\x02", "ECDSA-SHA256", x509.ECDSA, crypto.SHA256},
	{"\x2a\x86\x48\xce\x3d\x04\x03\x03", "ECDSA-SHA384", x509.ECDSA, crypto.SHA384},
	{"\x2a\x86\x48\xce\x3d\x04\x03\x04", "ECDSA-SHA512", x509.ECDSA, crypto.SHA512},

	{oid: "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", name: "MD5-RSA"},
	{oid: "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", name: "SHA1-RSA"},
	{oid: "\x2b\x0e\x03\x02\x1d", name: "SHA1-RSA"}, // sha1WithRSASignature of ISO
	{oid: "\x2a\x86\x48\xce\x3d\x04\x01", name: "ECDSA-SHA1"},
	{oid: "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", name: "RSA-PSS"},
	{oid: "\x2b\x65\x70", name: "Ed25519"},
}

// readAlgorithm reads the contents of an AlgorithmIdentifier. The parameters of
// the accepted ones are NULL or absent: RSA has the first by RFC 4055, ECDSA the
// second by RFC 5758, and issuers confuse them.
func readAlgorithm(contents []byte) (algorithm, error) {
	r := reader(contents)
	oid, ok := r.take(tagOID)
	if !ok || !validOID(oid) {
		return algorithm{}, malformed("its signature algorithm")
	}
	found := algorithm{name: oidText(oid)}
	for _, a := range algorithms {
		if a.oid == string(oid) {
			found = a
		}
	}
	if found.hash == 0 {
		return algorithm{}, fault.New(fault.Unprocessable, "signature_algorithm", "the list is signed with %s, which is not accepted", found.name).
			WithHint("have the CA sign its lists with one of SHA256-RSA, SHA384-RSA, SHA512-RSA, ECDSA-SHA256, ECDSA-SHA384, ECDSA-SHA512")
	}
	if null, ok := r.take(tagNull); ok && len(null) > 0 || len(r) > 0 {
		return algorithm{}, malformed("the parameters of its signature algorithm")
	}
	return found, nil
}

// A signature is what is kept to check a list against its issuer: the digest of
// the signed part stands for it.
type signature struct {
	algorithm algorithm
	digest    []byte
	value     []byte
}

func newSignature(a algorithm, o outer) signature {
	sum := a.hash.New()
	sum.Write(o.signed)
	return signature{a, sum.Sum(nil), bytes.Clone(o.signature)}
}

func (s signature) madeBy(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return s.algorithm.key == x509.RSA && rsa.VerifyPKCS1v15(key, s.algorithm.hash, s.digest, s.value) == nil
	case *ecdsa.PublicKey:
		return s.algorithm.key == x509.ECDSA && ecdsa.VerifyASN1(key, s.digest, s.value)
	}
	return false
}

// BearsNameOf reports whether the list's issuer is the name of ca. The same
// text in another type of string is the same name (RFC 5280 §7.1): cfssl turns
// the UTF8String that OpenSSL writes into a PrintableString.
func (l *List) BearsNameOf(ca *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, ca.RawSubject) || l.Issuer == cert.SubjectDN(ca)
}

// CheckIssuer reports whether ca issued the list: its name is the list's
// issuer, its key made the signature, it is a CA, and its key usage, if it has
// one, allows cRLSign (RFC 5280 §6.3.3 f). The error's rule names what does not
// fit: crl_issuer, crl_signature, crl_issuer_ca or crl_sign_usage.
func (l *List) CheckIssuer(ca *x509.Certificate) error {
	if !l.BearsNameOf(ca) {
		return fault.New(fault.Unprocessable, "crl_issuer", "the list was issued by %s, not by %s", shorten(l.Issuer), shorten(cert.SubjectDN(ca))).
			WithHint("add the CA that issued the list, or ask for the list of the CA that is meant")
	}
	if !l.signature.madeBy(ca.PublicKey) {
		return fault.New(fault.Unprocessable, "crl_signature", "the %s signature of the list of %s was not made by the CA's key (%s)",
			l.signature.algorithm.name, shorten(l.Issuer), ca.PublicKeyAlgorithm).
			WithHint("the CA may have another key by now, or the list was changed: have the CA issue the list again with the key of the certificate that is stored here")
	}
	if ca.Version == 3 && !ca.BasicConstraintsValid || ca.BasicConstraintsValid && !ca.IsCA {
		return fault.New(fault.Unprocessable, "crl_issuer_ca", "%s issued the list but is not a CA", shorten(l.Issuer)).
			WithHint("have the list issued by the CA itself")
	}
	if ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return fault.New(fault.Unprocessable, "crl_sign_usage", "the key usage of %s does not allow it to sign revocation lists", shorten(l.Issuer)).
			WithHint("have the CA issued again, with the same key, with cRLSign in its key usage")
	}
	return nil
}

// shorten cuts a name to what a person reads.
func shorten(name string) string {
	const longest = 120
	if r := []rune(name); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return name
}
