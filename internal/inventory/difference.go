package inventory

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
)

// compare returns how two certificates differ, and who vouches for each here.
func (s *Service) compare(ctx context.Context, old, next *x509.Certificate) ([]cert.Difference, error) {
	bundles, err := s.store.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	return append(cert.Compare(old, next), compareChains(bundles, old, next)), nil
}

func (s *Service) compareItems(ctx context.Context, oldID, newID string) ([]cert.Difference, error) {
	old, err := s.store.Certificate(ctx, oldID)
	if err != nil {
		return nil, err
	}
	next, err := s.store.Certificate(ctx, newID)
	if err != nil {
		return nil, err
	}
	return s.compare(ctx, old, next)
}

func changed(all []cert.Difference) []cert.Difference {
	return slices.DeleteFunc(all, func(d cert.Difference) bool { return !d.Changed() })
}

// compareChains tells who issued each certificate. What matters of a client is
// which bundles vouch for it, and where.
func compareChains(bundles []Bundle, old, next *x509.Certificate) cert.Difference {
	d := cert.Difference{Field: "chain", Before: issuedBy(bundles, old), After: issuedBy(bundles, next)}
	warn := func(format string, args ...any) { d.Loss, d.Warning = true, fmt.Sprintf(format, args...) }
	if next.IsCA {
		if cert.IssuerDN(old) != cert.IssuerDN(next) {
			warn("another issuer than before: clients that do not send the new chain may not verify it")
		}
		return d
	}
	before, after := vouched(bundles, old), vouched(bundles, next)
	lost := slices.DeleteFunc(slices.Clone(before), func(h string) bool { return slices.Contains(after, h) })
	switch {
	case len(lost) > 0:
		warn("no CA that is stored here for %s has issued the new certificate: without an intermediate that the client sends, it is refused there", strings.Join(lost, ", "))
	case d.Before != d.After:
		warn("another issuer than before: peers that know only that one refuse the new certificate")
	}
	return d
}

// issuedBy is the issuer's name, with the bundles here that hold its key.
func issuedBy(bundles []Bundle, c *x509.Certificate) string {
	if cert.SignedBy(c, c) {
		return "itself"
	}
	var names []string
	for _, b := range bundles {
		if vouches(b, c) {
			names = append(names, b.Name)
		}
	}
	if len(names) == 0 {
		return cert.IssuerDN(c)
	}
	return cert.IssuerDN(c) + " (stored here as " + strings.Join(names, ", ") + ")"
}

// vouched are the host names of the bundles that hold the issuer.
func vouched(bundles []Bundle, c *x509.Certificate) []string {
	var hosts []string
	for _, b := range bundles {
		if vouches(b, c) {
			hosts = append(hosts, b.Hostnames...)
		}
	}
	return set(hosts)
}

// vouches reports whether a trusted CA of the bundle has issued c.
func vouches(b Bundle, c *x509.Certificate) bool {
	return slices.ContainsFunc(b.Members, func(m Member) bool {
		return m.Item.Trust == alert.Trusted && cert.SignedBy(c, m.Certificate)
	})
}
