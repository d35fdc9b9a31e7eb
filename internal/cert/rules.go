package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // only to tell a self-signature from a foreign one; nothing relies on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// allowedSignatures are the reference product's algorithms for CAs without its
// two SHA-1 ones, which crypto/x509 never verifies.
var allowedSignatures = []x509.SignatureAlgorithm{
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
}

const allowedSignaturesHint = "have it issued again with one of SHA256-RSA, SHA384-RSA, SHA512-RSA, ECDSA-SHA256, ECDSA-SHA384, ECDSA-SHA512"

// checkCA applies the rules that concern one CA certificate alone.
func checkCA(n int, c *x509.Certificate, now time.Time) error {
	if err := checkIsCA(n, c); err != nil {
		return err
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fault.New(fault.Unprocessable, "key_usage", "%s has a key usage without keyCertSign: it may not issue certificates", label(n, c)).
			WithHint("have the CA issued again with keyCertSign in its key usage")
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		return fault.New(fault.Unprocessable, "critical_extension", "%s has the critical extension %s, which verification does not know", label(n, c), c.UnhandledCriticalExtensions[0]).
			WithHint("have the CA issued again without it: no client certificate could be verified")
	}
	if !listed(c) && !sha1Signed(c) {
		return signatureFault(n, c)
	}
	if _, ok := c.PublicKey.(ed25519.PublicKey); ok {
		return keyFault(n, c, "an Ed25519 key, whose signatures are not on the list")
	}
	if err := checkKey(n, c); err != nil {
		return err
	}
	return checkValidity(n, c, now)
}

// checkLeaf applies the rules for a client or server certificate.
func checkLeaf(c *x509.Certificate, now time.Time) error {
	if c.IsCA {
		return fault.New(fault.Unprocessable, "is_a_ca", "%s is a CA, where a client or server certificate is asked", label(1, c)).
			WithHint("put the client or server certificate first; a CA is added with: certvigil ca add")
	}
	if err := checkKey(1, c); err != nil {
		return err
	}
	if !listed(c) && c.SignatureAlgorithm != x509.PureEd25519 {
		return signatureFault(1, c)
	}
	return checkValidity(1, c, now)
}

// checkIsCA tells a leaf, which has its issuer uploaded in its place, from a CA
// that was made wrongly, which has to be made again.
func checkIsCA(n int, c *x509.Certificate) error {
	switch {
	case c.IsCA:
		return nil
	case !bytes.Equal(c.RawSubject, c.RawIssuer):
		return fault.New(fault.Unprocessable, "not_a_ca", "%s is not a CA but looks like a client or server certificate: %s", label(n, c), basicConstraints(c)).
			WithHint("upload the CA that issued it: its subject is the issuer of this one")
	default:
		return fault.New(fault.Unprocessable, "not_a_ca", "%s issued itself but is not a CA: %s", label(n, c), basicConstraints(c)).
			WithHint("make the CA again with basic constraints CA:TRUE (cfssl gencert -initca does)")
	}
}

func basicConstraints(c *x509.Certificate) string {
	if c.BasicConstraintsValid {
		return "its basic constraints say CA:FALSE"
	}
	return "it has no basic constraints"
}

// checkKey admits RSA of 2048 to 8192 bits (more would let a peer burn our
// CPU), the three NIST curves and Ed25519.
func checkKey(n int, c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 {
			return keyFault(n, c, fmt.Sprintf("an RSA key of %d bits", bits))
		}
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return keyFault(n, c, "an ECDSA key on the curve P-224")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return keyFault(n, c, "a key of the type "+c.PublicKeyAlgorithm.String())
}

func keyFault(n int, c *x509.Certificate, what string) error {
	return fault.New(fault.Unprocessable, "public_key", "%s has %s", label(n, c), what).
		WithHint("use RSA with 2048 to 8192 bits or ECDSA on P-256, P-384 or P-521; client and server certificates may have Ed25519 too")
}

// checkValidity refuses what has ended. notAfter itself is still valid (RFC
// 5280 §4.1.2.5).
func checkValidity(n int, c *x509.Certificate, now time.Time) error {
	if c.NotAfter.Before(c.NotBefore) {
		return fault.New(fault.Unprocessable, "validity", "%s ends before it begins", label(n, c)).
			WithHint("have it issued again with a sound validity period")
	}
	if now.After(c.NotAfter) {
		return fault.New(fault.Unprocessable, "expired", "%s expired on %s", label(n, c), c.NotAfter.UTC().Format(time.RFC3339)).
			WithHint("upload its renewed certificate")
	}
	return nil
}

func listed(c *x509.Certificate) bool {
	return slices.Contains(allowedSignatures, c.SignatureAlgorithm)
}

// checkSHA1 admits SHA-1 on an anchor's signature of itself alone, which is
// never verified.
func checkSHA1(u Upload) error {
	for i, c := range u.Certificates {
		if sha1Signed(c) && !(u.Anchors[i] && selfSigned(c)) {
			return signatureFault(i+1, c)
		}
	}
	return nil
}

func signatureFault(n int, c *x509.Certificate) error {
	return fault.New(fault.Unprocessable, "signature_algorithm", "%s is signed with %s, which is not accepted", label(n, c), signatureName(c)).
		WithHint("%s", allowedSignaturesHint)
}

// signatureName returns the name of the signature algorithm, or its OID.
func signatureName(c *x509.Certificate) string {
	if c.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return c.SignatureAlgorithm.String()
	}
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		return "an unknown algorithm"
	}
	return outer.Algorithm.Algorithm.String()
}

func sha1Signed(c *x509.Certificate) bool {
	return c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1
}

// selfSigned reports whether c's own key signed it. Equal names do not
// suffice: a CA that changed its key issues certificates to its own name.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && (SignedBy(c, c) || sha1SignedByItself(c))
}

func sha1SignedByItself(c *x509.Certificate) bool {
	if !sha1Signed(c) {
		return false
	}
	sum := sha1.Sum(c.RawTBSCertificate) //nolint:gosec // see the import
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], c.Signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum[:], c.Signature)
	}
	return false
}
