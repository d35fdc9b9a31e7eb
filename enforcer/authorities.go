package enforcer

import (
	"crypto/x509"
	"fmt"
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
	bundles       []guarantor
	roots         *x509.CertPool
	hint          *x509.CertPool
	hints         int
	intermediates []*x509.Certificate
	members       []*x509.Certificate // all of them, for their dates
}

// A guarantor is a bundle as far as it vouches for clients.
type guarantor struct {
	name    string
	anchors []*x509.Certificate
	constraint
}

func newAuthorities(id int) *authorities {
	return &authorities{id: id, roots: x509.NewCertPool(), hint: x509.NewCertPool()}
}

func (a *authorities) add(b *Bundle) error {
	if slices.Contains(b.Anchors, nil) || slices.Contains(b.Intermediates, nil) {
		return refuse("bundle", "bundle %q holds an empty certificate", b.Name)
	}
	constraint, err := compileConstraint(b.Constraints)
	if err != nil {
		return refuse("constraint", "bundle %q: %w", b.Name, err)
	}
	a.bundles = append(a.bundles, guarantor{b.Name, slices.Clone(b.Anchors), constraint})
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
	return !slices.ContainsFunc(a.bundles, func(b guarantor) bool { return len(b.anchors) > 0 })
}

// vouching returns the names of the bundles that have the chain's root among
// their anchors and are content with its leaf, or the last one's objection.
func (a *authorities) vouching(chain []*x509.Certificate) (vouching []string, objection string) {
	leaf, root := chain[0], chain[len(chain)-1]
	for i := range a.bundles {
		b := &a.bundles[i]
		if !slices.ContainsFunc(b.anchors, root.Equal) {
			continue
		}
		if what := b.objection(leaf); what != "" {
			objection = fmt.Sprintf("bundle %q: %s", b.name, what)
			continue
		}
		vouching = append(vouching, b.name)
	}
	return vouching, objection
}

// horizon returns the first instant after now at which one of the
// certificates becomes valid or ceases to be; the zero time if none does.
// NotAfter is inclusive (RFC 5280 §4.1.2.5).
func horizon(now time.Time, certs ...[]*x509.Certificate) time.Time {
	var first time.Time
	for _, list := range certs {
		for _, c := range list {
			first = sooner(first, c.NotBefore, now)
			first = sooner(first, c.NotAfter.Add(time.Nanosecond), now)
		}
	}
	return first
}

// sooner returns the earlier of the instants, of which first may be zero for
// none, and at counts only if it is after now.
func sooner(first, at, now time.Time) time.Time {
	if at.After(now) && (first.IsZero() || at.Before(first)) {
		return at
	}
	return first
}
