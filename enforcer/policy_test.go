package enforcer_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
)

var (
	anyone    = []enforcer.Selector{{Everyone: true}}
	certified = []enforcer.Selector{{Certificate: true}}
)

func named(cn string) enforcer.Selector { return enforcer.Selector{CommonName: []string{cn}} }

// namedLeaf is as much of a certificate as a name selector looks at.
func namedLeaf(cn string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: cn}}
}

func from(prefix string) enforcer.Selector {
	return enforcer.Selector{IP: []netip.Prefix{netip.MustParsePrefix(prefix)}}
}

func policy(name string, action enforcer.Action, include ...enforcer.Selector) enforcer.Policy {
	return enforcer.Policy{Name: name, Action: action, Include: include}
}

// TestPolicyOrder is the documented example: Allow A, Block B, Service Auth C,
// Bypass D, Allow E are evaluated C, D, A, B, E. Each step takes the policy
// that decided out and asks who is next.
func TestPolicyOrder(t *testing.T) {
	t.Parallel()
	policies := []enforcer.Policy{
		policy("A", enforcer.Allow, anyone...), policy("B", enforcer.Block, anyone...),
		policy("C", enforcer.ServiceAuth, anyone...), policy("D", enforcer.Bypass, anyone...),
		policy("E", enforcer.Allow, anyone...),
	}
	var order string
	for len(policies) > 0 {
		_, name, _, err := enforcer.Decide(policies, namedLeaf("x"), true, nil, netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		order += name
		for i, p := range policies {
			if p.Name == name {
				policies = append(policies[:i:i], policies[i+1:]...)
			}
		}
	}
	if order != "CDABE" {
		t.Errorf("order %s, want CDABE", order)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	exclude := func(p enforcer.Policy, s ...enforcer.Selector) enforcer.Policy { p.Exclude = s; return p }
	require := func(p enforcer.Policy, s ...enforcer.Selector) enforcer.Policy { p.Require = s; return p }
	narrowed := func(s enforcer.Selector, ca string) enforcer.Selector { s.CA = ca; return s }
	allow := func(s ...enforcer.Selector) enforcer.Policy { return policy("p", enforcer.Allow, s...) }
	tests := []struct {
		name     string
		policies []enforcer.Policy
		cn       string // "" = no valid certificate
		want     enforcer.Action
		reason   enforcer.Reason
	}{
		{"no policy, valid", nil, "x", "", enforcer.ReasonNoPolicy},
		{"no policy, no certificate", nil, "", "", enforcer.ReasonNoCertificate},
		{"allow everyone, no certificate", []enforcer.Policy{allow(anyone...)}, "", "", enforcer.ReasonNoCertificate},
		{"service_auth everyone, no certificate", []enforcer.Policy{policy("p", enforcer.ServiceAuth, anyone...)}, "", "", enforcer.ReasonNoCertificate},
		{"service_auth ip, no certificate", []enforcer.Policy{policy("p", enforcer.ServiceAuth, from("192.0.2.0/24"))}, "", "", enforcer.ReasonNoCertificate},
		{"bypass everyone, no certificate", []enforcer.Policy{policy("p", enforcer.Bypass, anyone...)}, "", enforcer.Bypass, ""},
		{"bypass certificate, no certificate", []enforcer.Policy{policy("p", enforcer.Bypass, certified...)}, "", "", enforcer.ReasonNoCertificate},
		{"allow certificate", []enforcer.Policy{allow(certified...)}, "x", enforcer.Allow, ""},
		{"exact name", []enforcer.Policy{allow(named("James Royal"))}, "James Royal", enforcer.Allow, ""},
		{"other case", []enforcer.Policy{allow(named("James Royal"))}, "james royal", "", enforcer.ReasonNoPolicy},
		{"prefix", []enforcer.Policy{allow(named("James"))}, "James Royal", "", enforcer.ReasonNoPolicy},
		{"include is OR", []enforcer.Policy{allow(named("a"), named("b"))}, "b", enforcer.Allow, ""},
		{"require is AND, met", []enforcer.Policy{require(allow(anyone...), named("a"), from("192.0.2.0/24"))}, "a", enforcer.Allow, ""},
		{"require is AND, one missed", []enforcer.Policy{require(allow(anyone...), named("a"), from("198.51.100.0/24"))}, "a", "", enforcer.ReasonNoPolicy},
		{"exclude is NOT", []enforcer.Policy{exclude(allow(anyone...), named("z"), named("a"))}, "a", "", enforcer.ReasonNoPolicy},
		{"exclude another", []enforcer.Policy{exclude(allow(anyone...), named("z"))}, "a", enforcer.Allow, ""},
		{"block first", []enforcer.Policy{policy("b", enforcer.Block, named("a")), allow(anyone...)}, "a", "", enforcer.ReasonBlocked},
		{"block second", []enforcer.Policy{allow(anyone...), policy("b", enforcer.Block, named("a"))}, "a", enforcer.Allow, ""},
		{"block that does not match", []enforcer.Policy{policy("b", enforcer.Block, named("z"))}, "a", "", enforcer.ReasonNoPolicy},
		{"bypass before block", []enforcer.Policy{policy("b", enforcer.Block, anyone...), policy("p", enforcer.Bypass, anyone...)}, "", enforcer.Bypass, ""},
		{"ip", []enforcer.Policy{policy("p", enforcer.Bypass, from("192.0.2.7/32"))}, "", enforcer.Bypass, ""},
		{"other ip", []enforcer.Policy{policy("p", enforcer.Bypass, from("192.0.2.8/32"))}, "", "", enforcer.ReasonNoCertificate},
		{"ca narrows, its own", []enforcer.Policy{allow(narrowed(named("a"), "root"))}, "a", enforcer.Allow, ""},
		{"ca narrows, another", []enforcer.Policy{allow(narrowed(named("a"), "vendor"))}, "a", "", enforcer.ReasonNoPolicy},
		{"ca narrows everyone, no certificate", []enforcer.Policy{policy("p", enforcer.Bypass, narrowed(anyone[0], "root"))}, "", "", enforcer.ReasonNoCertificate},
		{"ca narrows everyone", []enforcer.Policy{policy("p", enforcer.Bypass, narrowed(anyone[0], "root"))}, "a", enforcer.Bypass, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var leaf *x509.Certificate
			if tt.cn != "" {
				leaf = namedLeaf(tt.cn)
			}
			got, _, reason, err := enforcer.Decide(tt.policies, leaf, leaf != nil, []string{"root"}, netip.MustParseAddr("192.0.2.7"))
			if err != nil || got != tt.want || reason != tt.reason {
				t.Errorf("got %q (%s), want %q (%s); error %v", got, reason, tt.want, tt.reason, err)
			}
		})
	}
}

// TestSelectorCA sees on the wire that the bundle which vouches is the one
// that `ca` means.
func TestSelectorCA(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		s.Bundles[1].Hostnames = append(s.Bundles[1].Hostnames, orders)
		s.Applications[0].Policies = []enforcer.Policy{policy("p", enforcer.Allow, enforcer.Selector{CommonName: []string{"James Royal"}, CA: "root"})}
	})
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
	impostor := leaf(g.other, g.commonJames()...)
	wantStatus(t, get(t, g.client(impostor), "https://"+orders+"/"), 403)
}

func TestReportOnly(t *testing.T) {
	t.Parallel()
	g := newGuard(t, reportsOnly)
	a := get(t, g.client(nil), "https://"+orders+"/")
	wantStatus(t, a, 200)
	if len(a.Cookies()) > 0 || (<-g.seen).Header.Get("Cf-Access-Jwt-Assertion") != "" {
		t.Error("an unverified client was given an identity")
	}
	if log := g.log.String(); !strings.Contains(log, `msg="request would be denied"`) || !strings.Contains(log, "reason=no_certificate") {
		t.Errorf("log:\n%s", log)
	}
}
