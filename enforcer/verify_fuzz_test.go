package enforcer_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// FuzzExamine: whatever a client sends, verification does not panic, admits
// nobody without signatures up to an anchor at a time when all of them hold,
// and a constraint only ever takes away.
func FuzzExamine(f *testing.F) {
	for _, c := range readLimbo(f, "testdata/limbo/limbo.json") {
		chain, err := parseAll(append([]string{c.Peer}, c.Intermediates...))
		if err != nil {
			continue
		}
		anchors, err := parseAll(c.Trusted)
		if err != nil {
			continue
		}
		at := time.Now()
		if c.Time != nil {
			at = *c.Time
		}
		f.Add(ders(anchors), ders(chain), at.Unix())
	}
	f.Fuzz(func(t *testing.T, anchors, chain []byte, at int64) {
		roots, err := x509.ParseCertificates(anchors)
		if err != nil {
			return
		}
		sent, err := x509.ParseCertificates(chain)
		if err != nil || len(sent) == 0 {
			return
		}
		p := enforcer.PathCase{Chain: sent, Bundles: []enforcer.Bundle{{Name: "free", Anchors: roots}}, At: time.Unix(at, 0), Usage: x509.ExtKeyUsageServerAuth}
		free := examineSoundly(t, p)
		if free && !signed(sent[0], sent[1:], roots, p.At) {
			t.Error("admitted without a signature")
		}
		p.Bundles[0].Constraints.PermitSAN = []string{"*.example.com"}
		if !examineSoundly(t, p) {
			return
		}
		if !free {
			t.Error("a constraint has let somebody in")
		}
		leaf := sent[0]
		if len(leaf.EmailAddresses)+len(leaf.IPAddresses)+len(leaf.URIs) > 0 || !slices.ContainsFunc(leaf.DNSNames, below) {
			t.Errorf("admitted against the constraint: %q", leaf.DNSNames)
		}
	})
}

func below(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(strings.ToLower(name), "."), ".example.com")
}

func ders(certs []*x509.Certificate) []byte {
	var all [][]byte
	for _, c := range certs {
		all = append(all, c.Raw)
	}
	return bytes.Join(all, nil)
}

// examineSoundly wants a reason for every refusal, and none that was a panic.
func examineSoundly(t *testing.T, p enforcer.PathCase) bool {
	t.Helper()
	valid, reason, detail, _ := p.Examine()
	if strings.Contains(detail, "panicked") || valid != (reason == "") {
		t.Errorf("valid %v, reason %q: %s", valid, reason, detail)
	}
	return valid
}

// signed looks for any way from a certificate to an anchor.
func signed(c *x509.Certificate, others, anchors []*x509.Certificate, at time.Time) bool {
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return false
	}
	for _, anchor := range anchors {
		if c.CheckSignatureFrom(anchor) == nil && !at.Before(anchor.NotBefore) && !at.After(anchor.NotAfter) {
			return true
		}
	}
	for i, other := range others {
		rest := slices.Delete(slices.Clone(others), i, i+1)
		if c.CheckSignatureFrom(other) == nil && signed(other, rest, anchors, at) {
			return true
		}
	}
	return false
}
