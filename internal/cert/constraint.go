package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

// nameConstraints is the extension of RFC 5280 §4.2.1.10.
var nameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// Widens reports whether a CA may vouch for more than another whose place it
// is to take: its path is longer, it has usages that the other had not, or its
// name constraints differ from the other's, since which of two is the narrower
// cannot be told in general.
func Widens(old, next *x509.Certificate) bool {
	return longerPath(old, next) || moreUsages(old, next) || otherNames(old, next)
}

func otherNames(old, next *x509.Certificate) bool {
	constrained := extension(old, nameConstraints)
	return constrained != nil && !bytes.Equal(constrained, extension(next, nameConstraints))
}

func longerPath(old, next *x509.Certificate) bool {
	limit, limited := pathLen(old)
	length, bounded := pathLen(next)
	return limited && (!bounded || length > limit)
}

func pathLen(c *x509.Certificate) (length int, limited bool) {
	return c.MaxPathLen, c.MaxPathLen > 0 || c.MaxPathLen == 0 && c.MaxPathLenZero
}

// moreUsages compares extended key usages, of which none at all means any.
func moreUsages(old, next *x509.Certificate) bool {
	if anyUsage(old) {
		return false
	}
	return anyUsage(next) ||
		slices.ContainsFunc(next.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return !slices.Contains(old.ExtKeyUsage, u) }) ||
		slices.ContainsFunc(next.UnknownExtKeyUsage, func(u asn1.ObjectIdentifier) bool {
			return !slices.ContainsFunc(old.UnknownExtKeyUsage, u.Equal)
		})
}

func anyUsage(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// extension returns the value of an extension, nil when there is none.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}
