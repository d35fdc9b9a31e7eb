package enforcer

import (
	"crypto/x509"
	"slices"
	"time"
)

// maxHints bounds the certificate_authorities that a handshake names.
const maxHints = 100

// An authorities is the CA set of a host name: the bundles associated with it,
// each an alternative. Its pools are never nil, so crypto/x509 can never fall
// back on the system's roots; an empty set denies.
type authorities struct {
	id            int // within the snapshot
	bundles       []Bundle
	roots         *x509.CertPool
	hint          *x509.CertPool
	hints         int
	intermediates []*x509.Certificate
	members       []*x509.Certificate // all of them, for their dates
}

func newAuthorities(id int) *authorities {
	return &authorities{id: id, roots: x509.NewCertPool(), hint: x509.NewCertPool()}
}

func (a *authorities) add(b *Bundle) error {
	if slices.Contains(b.Anchors, nil) || slices.Contains(b.Intermediates, nil) {
		return refuse("bundle", "bundle %q holds an empty certificate", b.Name)
	}
	a.bundles = append(a.bundles, *b)
	for _, c := range b.Anchors {
		a.roots.AddCert(c)
		a.addHint(c)
	}
	for _, c := range b.Intermediates {
		a.intermediates = append(a.intermediates, c)
		a.addHint(c)
	}
	a.members = slices.Concat(a.members, b.Anchors, b.Intermediates)
	return nil
}

func (a *authorities) addHint(c *x509.Certificate) {
	if a.hints < maxHints {
		a.hint.AddCert(c)
		a.hints++
	}
}

func (a *authorities) isEmpty() bool {
	return !slices.ContainsFunc(a.bundles, func(b Bundle) bool { return len(b.Anchors) > 0 })
}

// vouching returns the names of the bundles that have root among their anchors.
func (a *authorities) vouching(root *x509.Certificate) []string {
	var vouching []string
	for _, b := range a.bundles {
		if slices.ContainsFunc(b.Anchors, root.Equal) {
			vouching = append(vouching, b.Name)
		}
	}
	return vouching
}

// horizon returns the first instant after now at which one of the
// certificates becomes valid or ceases to be; the zero time if none does.
// NotAfter is inclusive (RFC 5280 §4.1.2.5).
func horizon(now time.Time, certs ...[]*x509.Certificate) time.Time {
	var first time.Time
	for _, list := range certs {
		for _, c := range list {
			for _, at := range [...]time.Time{c.NotBefore, c.NotAfter.Add(time.Nanosecond)} {
				if at.After(now) && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
		}
	}
	return first
}
