package cert

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// CheckSuccessor returns nil if next may take the place of old in a renewal:
// both are CAs or neither is, subject and set of SANs are equal, and next is
// not expired at now and ends later than old. Whether its issuer and key are
// trusted is the caller's to judge. Errors are faults with a Rule.
func CheckSuccessor(old, next *x509.Certificate, now time.Time) error {
	refuse := func(rule, format string, args ...any) *fault.Error {
		return fault.New(fault.Unprocessable, rule, format, args...)
	}
	switch {
	case old.IsCA && !next.IsCA:
		return refuse("not_a_ca", "the new certificate is not a CA, the present one is").
			WithHint("upload the renewed CA certificate")
	case !old.IsCA && next.IsCA:
		return refuse("is_a_ca", "the new certificate is a CA, the present one is not").
			WithHint("upload the renewed certificate itself, first in the file")
	case !sameSubject(old, next):
		return refuse("subject_differs", "the new certificate's subject is not that of the present one (%s)", SubjectDN(old)).
			WithHint("issue it with the same subject, or add it as a certificate of its own")
	case !sameSANs(old, next):
		return refuse("sans_differ", "the new certificate's alternative names are not those of the present one").
			WithHint("issue it with the same alternative names, or add it as a certificate of its own")
	case !next.NotAfter.After(old.NotAfter):
		return refuse("not_later", "the new certificate does not end later than the present one, at %s", old.NotAfter.UTC().Format(time.RFC3339)).
			WithHint("upload the certificate that was issued last")
	}
	return checkValidity(1, next, now)
}

// sameSubject admits the same attributes in another string encoding, which
// many a CA changes between its versions.
func sameSubject(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) || SubjectDN(a) == SubjectDN(b)
}

func sameSANs(a, b *x509.Certificate) bool {
	set := func(c *x509.Certificate) []string {
		return slices.Compact(slices.Sorted(slices.Values(SANs(c))))
	}
	return slices.Equal(set(a), set(b))
}

// SignedBy reports whether parent's key signed child. It looks at no name, and
// at nothing that parent may or may not do. SHA-1 signatures do not count.
func SignedBy(child, parent *x509.Certificate) bool {
	return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}
