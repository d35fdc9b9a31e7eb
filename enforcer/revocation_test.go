package enforcer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
)

// newList returns a list of ca's that names serial numbers, in force from an
// instant on for a day.
func newList(t testing.TB, ca *certtest.Certificate, from time.Time, serials ...*big.Int) enforcer.RevocationList {
	t.Helper()
	list, err := crl.Parse(ca.CRL(certtest.Updates(from, from.Add(24*time.Hour)), certtest.RevokeSerials(serials...)))
	if err != nil {
		t.Fatal(err)
	}
	return enforcer.RevocationList{IssuerKey: sha256.Sum256(ca.RawSubjectPublicKeyInfo), List: list}
}

// spki is how State names a key.
func spki(c *certtest.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func set(names ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, name := range names {
		m[name] = struct{}{}
	}
	return m
}

// A small PKI: two roots, of which the second has signed the intermediate too.
type pki struct {
	root, other, middle, cross, leaf, direct *certtest.Certificate

	now time.Time
}

func newPKI() *pki {
	p := &pki{
		root:  certtest.NewCA(certtest.CommonName("Root")),
		other: certtest.NewCA(certtest.CommonName("Other")),
		now:   time.Now().UTC().Truncate(time.Second),
	}
	p.middle = p.root.Intermediate(certtest.CommonName("Middle"))
	p.cross = p.middle.CrossSigned(p.other)
	p.leaf = p.middle.Issue(certtest.Client())
	p.direct = p.root.Issue(certtest.Client())
	return p
}

// path is what the leaf sends to a host name of the root's.
func (p *pki) path(chain ...*certtest.Certificate) enforcer.PathCase {
	c := enforcer.PathCase{Bundles: []enforcer.Bundle{bundle("root", p.root)}, At: p.now}
	for _, member := range chain {
		c.Chain = append(c.Chain, member.Certificate)
	}
	return c
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	p := newPKI()
	list := func(ca *certtest.Certificate, from time.Time, named ...*certtest.Certificate) []enforcer.RevocationList {
		var serials []*big.Int
		for _, c := range named {
			serials = append(serials, c.SerialNumber)
		}
		return []enforcer.RevocationList{newList(t, ca, from, serials...)}
	}
	lists := slices.Concat[[]enforcer.RevocationList]
	impostor := certtest.NewCA(certtest.CommonName("Root"))
	both := []enforcer.Bundle{bundle("root", p.root), bundle("other", p.other)}
	sub := []enforcer.Bundle{bundle("sub", p.middle)}
	long := 7 * day // the longest default grace is one more period: a day here
	crossed := []*certtest.Certificate{p.leaf, p.middle, p.cross}
	direct, via := []*certtest.Certificate{p.direct}, []*certtest.Certificate{p.leaf, p.middle}
	for _, tt := range []struct {
		name    string
		chain   []*certtest.Certificate
		bundles []enforcer.Bundle
		state   enforcer.State
		want    enforcer.Reason
	}{
		{"no list known", via, nil, enforcer.State{}, ""},
		{"leaf named", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now, p.direct)}, enforcer.ReasonRevoked},
		{"another named", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now, p.leaf)}, ""},
		{"nobody named", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now)}, ""},
		{"leaf named by its intermediate", via, nil, enforcer.State{RevocationLists: list(p.middle, p.now, p.leaf)}, enforcer.ReasonRevoked},
		{"intermediate named", via, nil, enforcer.State{RevocationLists: list(p.root, p.now, p.middle)}, enforcer.ReasonRevoked},
		{"serial named by another CA", direct, nil, enforcer.State{RevocationLists: list(p.other, p.now, p.direct)}, ""},
		{"serial named by the issuer's issuer", via, nil, enforcer.State{RevocationLists: list(p.root, p.now, p.leaf)}, ""},
		{"serial named by a CA of the same name", direct, nil, enforcer.State{RevocationLists: list(impostor, p.now, p.direct)}, ""},
		{"anchor named by its issuer", via, sub, enforcer.State{RevocationLists: list(p.root, p.now, p.middle)}, ""},

		{"thisUpdate ahead", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(5*time.Minute+time.Second))}, enforcer.ReasonStaleCRL},
		{"thisUpdate ahead, kept", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(5*time.Minute+time.Second)), KeepStale: true}, ""},
		{"thisUpdate ahead by what clocks differ", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(5*time.Minute))}, ""},
		{"thisUpdate now", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now)}, ""},
		{"in its grace", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-36*time.Hour))}, ""},
		{"at the end of its grace", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-2*day))}, ""},
		{"past its grace", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-2*day-time.Second))}, enforcer.ReasonStaleCRL},
		{"past its grace, kept", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-9*day)), KeepStale: true}, ""},
		{"past its grace, kept, named", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-9*day), p.direct), KeepStale: true}, enforcer.ReasonRevoked},
		{"past its grace, named", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-9*day), p.direct)}, enforcer.ReasonRevoked},
		{"a longer grace", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-8*day)), Grace: long}, ""},
		{"a longer grace, over", direct, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-8*day-time.Second)), Grace: long}, enforcer.ReasonStaleCRL},
		{"that of the intermediate stale", via, nil, enforcer.State{RevocationLists: list(p.root, p.now.Add(-9*day))}, enforcer.ReasonStaleCRL},
		{"another CA's stale", direct, nil, enforcer.State{RevocationLists: list(p.other, p.now.Add(-9*day))}, ""},

		{"certificate revoked", via, nil, enforcer.State{Revoked: set(cert.Fingerprint(p.leaf.Certificate))}, enforcer.ReasonRevoked},
		{"intermediate revoked", via, nil, enforcer.State{Revoked: set(cert.Fingerprint(p.middle.Certificate))}, enforcer.ReasonRevoked},
		{"anchor revoked", via, nil, enforcer.State{Revoked: set(cert.Fingerprint(p.root.Certificate))}, enforcer.ReasonRevoked},
		{"key revoked", via, nil, enforcer.State{RevokedKeys: set(spki(p.leaf))}, enforcer.ReasonRevoked},
		{"intermediate's key revoked", via, nil, enforcer.State{RevokedKeys: set(spki(p.middle))}, enforcer.ReasonRevoked},
		{"anchor's key revoked", via, nil, enforcer.State{RevokedKeys: set(spki(p.root))}, enforcer.ReasonRevoked},
		{"another key revoked", via, nil, enforcer.State{RevokedKeys: set(spki(p.direct))}, ""},

		{"one chain named, one good", crossed, both, enforcer.State{RevocationLists: list(p.root, p.now, p.middle)}, ""},
		{"one chain stale, one good", crossed, both, enforcer.State{RevocationLists: list(p.root, p.now.Add(-9*day))}, ""},
		{"both chains named", crossed, both, enforcer.State{RevocationLists: lists(list(p.root, p.now, p.middle), list(p.other, p.now, p.cross))}, enforcer.ReasonRevoked},
		{"one chain named, one stale", crossed, both, enforcer.State{RevocationLists: lists(list(p.root, p.now, p.middle), list(p.other, p.now.Add(-9*day)))}, enforcer.ReasonStaleCRL},
		{"both chains share a key that is revoked", crossed, both, enforcer.State{RevokedKeys: set(spki(p.middle))}, enforcer.ReasonRevoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := p.path(tt.chain...)
			c.State = tt.state
			if tt.bundles != nil {
				c.Bundles = tt.bundles
			}
			valid, reason, detail, _ := c.Examine()
			if valid != (tt.want == "") || reason != tt.want {
				t.Errorf("valid %v, reason %q (%s), want %q", valid, reason, detail, tt.want)
			}
		})
	}
}

// TestRevocation_until: a verdict never outlives what a list says.
func TestRevocation_until(t *testing.T) {
	t.Parallel()
	p := newPKI()
	hour := func(n int) time.Time { return p.now.Add(time.Duration(n) * time.Hour) }
	for _, tt := range []struct {
		name  string
		state enforcer.State
		want  time.Time
	}{
		{"no list", enforcer.State{}, p.leaf.NotAfter.Add(time.Nanosecond)},
		{"in force", enforcer.State{RevocationLists: []enforcer.RevocationList{newList(t, p.middle, hour(-1))}}, hour(47).Add(time.Nanosecond)},
		{"grace of an hour", enforcer.State{RevocationLists: []enforcer.RevocationList{newList(t, p.middle, hour(-1))}, Grace: time.Hour}, hour(24).Add(time.Nanosecond)},
		{"not yet", enforcer.State{RevocationLists: []enforcer.RevocationList{newList(t, p.middle, hour(2))}}, hour(2).Add(-5 * time.Minute)},
		{"two lists", enforcer.State{RevocationLists: []enforcer.RevocationList{newList(t, p.middle, hour(-1)), newList(t, p.root, hour(-3))}}, hour(45).Add(time.Nanosecond)},
		{"a list that is not involved", enforcer.State{RevocationLists: []enforcer.RevocationList{newList(t, certtest.NewCA(), hour(2))}}, p.leaf.NotAfter.Add(time.Nanosecond)},
		{"of a chain that does not count", enforcer.State{
			Revoked: set(cert.Fingerprint(p.cross.Certificate)), RevocationLists: []enforcer.RevocationList{newList(t, p.other, hour(2)), newList(t, p.root, hour(3))},
		}, hour(3).Add(-5 * time.Minute)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := p.path(p.leaf, p.middle, p.cross)
			c.Bundles = []enforcer.Bundle{bundle("root", p.root), bundle("other", p.other)}
			c.State = tt.state
			if _, _, _, until := c.Examine(); !until.Equal(tt.want) {
				t.Errorf("holds until %v, want %v", until, tt.want)
			}
		})
	}
}

func TestApply_revocation(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	list := newList(t, g.ca, g.clock.Now())
	keyless := list
	keyless.IssuerKey = [sha256.Size]byte{}
	for _, tt := range []struct {
		name   string
		change func(*enforcer.State)
		rule   string
	}{
		{"list without its issuer's key", func(s *enforcer.State) { s.RevocationLists = []enforcer.RevocationList{keyless} }, "revocation_list"},
		{"two lists of one key", func(s *enforcer.State) { s.RevocationLists = []enforcer.RevocationList{list, list} }, "revocation_list"},
		{"empty list", func(s *enforcer.State) { s.RevocationLists = []enforcer.RevocationList{{IssuerKey: list.IssuerKey}} }, "revocation_list"},
		{"negative grace", func(s *enforcer.State) { s.Grace = -1 }, "crl_grace"},
		{"revoked fingerprint in upper case", func(s *enforcer.State) { s.Revoked = set("AB" + aud[2:]) }, "revoked"},
		{"revoked key cut short", func(s *enforcer.State) { s.RevokedKeys = set(aud[2:]) }, "revoked"},
		{"lifetime", constrained(enforcer.Constraints{MaxLeafLifetime: -1}), "constraint"},
		{"two stars", constrained(enforcer.Constraints{PermitSAN: []string{"**.example"}}), "constraint"},
		{"no pattern", constrained(enforcer.Constraints{PermitSAN: []string{""}}), "constraint"},
		{"no pattern after the kind", constrained(enforcer.Constraints{PermitSAN: []string{"uri:"}}), "constraint"},
		{"kind left out", constrained(enforcer.Constraints{PermitSAN: []string{"spiffe://example/*"}}), "constraint"},
		{"address glob", constrained(enforcer.Constraints{PermitSAN: []string{"ip:10.0.0.*"}}), "constraint"},
		{"bits beyond the prefix", constrained(enforcer.Constraints{PermitSAN: []string{"ip:10.0.0.1/8"}}), "constraint"},
		{"common name", constrained(enforcer.Constraints{PermitCN: []string{"a**"}}), "constraint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := g.state
			state.Bundles = slices.Clone(state.Bundles)
			tt.change(&state)
			wantRule(t, g.Apply(state), tt.rule)
			// The last good state is in force.
			wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
		})
	}
}
