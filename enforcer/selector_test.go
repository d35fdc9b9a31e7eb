package enforcer_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// device is a certificate with a name of each kind that selectors know.
func device(ca *certtest.Certificate) *certtest.Certificate {
	return ca.Issue(
		certtest.CommonName("device-7"), certtest.Client(), certtest.Serial(0x0a0b),
		certtest.DNS("d7.Vendor.example", "spare.example"), certtest.URI("spiffe://vendor.example/ns/plant/sa/d7"),
	)
}

// TestSelectors evaluates each kind of selector against one certificate. Every
// row that matches is tried again on a certificate that does not hold, and
// must then not match.
func TestSelectors(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("Vendor CA"))
	leaf := device(ca).Certificate
	fingerprint := cert.Fingerprint(leaf)
	other := strings.Repeat("0", 64)
	list := func(values ...string) []string { return values }
	for _, tt := range []struct {
		name     string
		selector enforcer.Selector
		want     bool
	}{
		{"certificate", enforcer.Selector{Certificate: true}, true},
		{"certificate of its ca", enforcer.Selector{Certificate: true, CA: "vendor"}, true},
		{"certificate of another ca", enforcer.Selector{Certificate: true, CA: "root"}, false},
		{"common_name", enforcer.Selector{CommonName: list("a", "device-7", "b")}, true},
		{"common_name, none of them", enforcer.Selector{CommonName: list("a", "b")}, false},
		{"common_name is no pattern", enforcer.Selector{CommonName: list("device-*")}, false},
		{"common_name of its ca", enforcer.Selector{CommonName: list("device-7"), CA: "vendor"}, true},
		{"common_name of another ca", enforcer.Selector{CommonName: list("device-7"), CA: "root"}, false},
		{"san_dns", enforcer.Selector{SANDNS: list("spare.example")}, true},
		{"san_dns in another case", enforcer.Selector{SANDNS: list("D7.vendor.EXAMPLE")}, true},
		{"san_dns, pattern", enforcer.Selector{SANDNS: list("x", "*.vendor.example")}, true},
		{"san_dns, star within a label", enforcer.Selector{SANDNS: list("d*.vendor.example")}, true},
		{"san_dns, star is not two labels", enforcer.Selector{SANDNS: list("d7.*")}, false},
		{"san_dns is anchored in front", enforcer.Selector{SANDNS: list("vendor.example")}, false},
		{"san_dns is anchored at the end", enforcer.Selector{SANDNS: list("d7.vendor")}, false},
		{"san_dns does not look at the common name", enforcer.Selector{SANDNS: list("device-7")}, false},
		{"san_dns of another ca", enforcer.Selector{SANDNS: list("spare.example"), CA: "root"}, false},
		{"san_uri", enforcer.Selector{SANURI: list("spiffe://vendor.example/ns/plant/sa/d7")}, true},
		{"san_uri, pattern", enforcer.Selector{SANURI: list("spiffe://vendor.example/ns/*/sa/*")}, true},
		{"san_uri, star is one segment", enforcer.Selector{SANURI: list("spiffe://vendor.example/*")}, false},
		{"san_uri in another case", enforcer.Selector{SANURI: list("spiffe://vendor.example/ns/PLANT/sa/d7")}, false},
		{"issuer", enforcer.Selector{Issuer: list("CN=x", "CN=Vendor CA")}, true},
		{"issuer, another", enforcer.Selector{Issuer: list("CN=Vendor")}, false},
		{"serial", enforcer.Selector{Serial: list("01", "0A0B")}, true},
		{"serial, another", enforcer.Selector{Serial: list("0B")}, false},
		{"fingerprint", enforcer.Selector{Fingerprint: list(other, fingerprint)}, true},
		{"fingerprint, another", enforcer.Selector{Fingerprint: list(other)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policies := []enforcer.Policy{policy("p", enforcer.Bypass, tt.selector)}
			for _, valid := range []bool{true, false} {
				action, _, _, err := enforcer.Decide(policies, leaf, valid, []string{"vendor"}, netip.Addr{})
				if err != nil {
					t.Fatal(err)
				}
				if got := action == enforcer.Bypass; got != (tt.want && valid) {
					t.Errorf("valid %v: matches %v", valid, got)
				}
			}
		})
	}
}

// TestSelectors_refused: what could match more, or less, than was meant.
func TestSelectors_refused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		selector enforcer.Selector
		want     string
	}{
		{"nothing", enforcer.Selector{}, `policy "p": require[1]: it has none, but needs exactly one of`},
		{"ca alone", enforcer.Selector{CA: "root"}, "it has none"},
		{"two", enforcer.Selector{Everyone: true, CommonName: []string{"a"}}, "it has everyone and common_name"},
		{"two lists", enforcer.Selector{Serial: []string{"01"}, SANDNS: []string{"a"}}, "it has serial and san_dns"},
		{"empty name", enforcer.Selector{CommonName: []string{"a", ""}}, "common_name has an empty value"},
		{"empty pattern", enforcer.Selector{SANDNS: []string{""}}, "san_dns has an empty value"},
		{"two stars", enforcer.Selector{SANURI: []string{"a/**"}}, `"a/**" is no pattern`},
		{"serial in lower case", enforcer.Selector{Serial: []string{"0a"}}, `serial "0a" is not upper-case hex`},
		{"serial with colons", enforcer.Selector{Serial: []string{"0A:0B"}}, `serial "0A:0B" is not upper-case hex`},
		{"short fingerprint", enforcer.Selector{Fingerprint: []string{"abcd"}}, `fingerprint "abcd" is not 64`},
		{"no address", enforcer.Selector{IP: []netip.Prefix{{}}}, "ip has an address that is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy("p", enforcer.Allow, anyone...)
			p.Require = []enforcer.Selector{anyone[0], tt.selector}
			_, _, _, err := enforcer.Decide([]enforcer.Policy{p}, nil, false, nil, netip.Addr{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// manySelectors is a policy in which every kind of selector is looked at.
func manySelectors(leaf *certtest.Certificate) enforcer.Policy {
	p := policy("p", enforcer.Allow, named("nobody"), enforcer.Selector{SANDNS: []string{"x.example", "*.vendor.example"}})
	p.Require = []enforcer.Selector{
		{SANURI: []string{"spiffe://vendor.example/ns/*/sa/*"}},
		{Issuer: []string{cert.IssuerDN(leaf.Certificate)}},
		{Serial: []string{cert.Serial(leaf.Certificate)}},
		{Fingerprint: []string{cert.Fingerprint(leaf.Certificate)}},
		{IP: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		{CommonName: []string{"device-7"}, CA: "root"},
	}
	p.Exclude = []enforcer.Selector{{SANDNS: []string{"*.evil.example"}}, {Serial: []string{"FF"}}}
	return p
}

// TestSelectors_allocations holds policies to the budget of a warm verdict.
func TestSelectors_allocations(t *testing.T) {
	g := newGuard(t)
	leaf := device(g.ca)
	g.state.Applications[0].Policies = []enforcer.Policy{manySelectors(leaf)}
	g.apply()
	j := enforcer.NewJudge(g.Enforcer, orders, leaf.Certificate)
	now := g.clock.Now()
	if got := j.Judge(now); got != 0 {
		t.Fatalf("status %d", got)
	}
	if n := testing.AllocsPerRun(100, func() { j.Judge(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPolicy(b *testing.B) {
	g := newGuard(b)
	leaf := device(g.ca)
	g.state.Applications[0].Policies = []enforcer.Policy{manySelectors(leaf)}
	g.apply()
	j := enforcer.NewJudge(g.Enforcer, orders, leaf.Certificate)
	now := g.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		if j.Judge(now) != 0 {
			b.Fatal("refused")
		}
	}
}

// FuzzPolicy holds the evaluation to a second, naive one, and to the laws that
// no policy may break.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, true)
	f.Add([]byte{1, 0x11, 0x22, 0x33, 3, 0x41}, false)
	f.Add([]byte{2, 0x80, 0xff, 0x07, 0x16, 0x25}, true)
	leaf := device(certtest.NewCA(certtest.CommonName("Vendor CA"))).Certificate
	atoms := []struct {
		selector enforcer.Selector
		matches  bool // for a valid certificate
		always   bool // without one, too
	}{
		{enforcer.Selector{Everyone: true}, true, true},
		{enforcer.Selector{Certificate: true}, true, false},
		{enforcer.Selector{CommonName: []string{"device-7"}}, true, false},
		{enforcer.Selector{CommonName: []string{"x"}}, false, false},
		{from("192.0.2.0/24"), true, true},
		{from("198.51.100.0/24"), false, false},
		{enforcer.Selector{SANDNS: []string{"*.vendor.example"}}, true, false},
		{enforcer.Selector{Everyone: true, CA: "vendor"}, true, false},
	}
	actions := []enforcer.Action{enforcer.Allow, enforcer.Block, enforcer.Bypass, enforcer.ServiceAuth}
	f.Fuzz(func(t *testing.T, program []byte, valid bool) {
		if len(program) > 64 {
			return
		}
		holds := func(i byte) bool { a := atoms[i%8]; return a.always || valid && a.matches }
		var policies []enforcer.Policy
		var first, second []enforcer.Action // of those that match, in their order
		for ; len(program) >= 4; program = program[4:] {
			p := policy("p", actions[program[0]%4], atoms[program[1]%8].selector)
			p.Require = []enforcer.Selector{atoms[program[2]%8].selector}
			p.Exclude = []enforcer.Selector{atoms[program[3]%8].selector}
			policies = append(policies, p)
			switch matches := holds(program[1]) && holds(program[2]) && !holds(program[3]); {
			case matches && (p.Action == enforcer.Bypass || p.Action == enforcer.ServiceAuth):
				first = append(first, p.Action)
			case matches:
				second = append(second, p.Action)
			}
		}
		want := enforcer.Action("")
		for _, action := range append(first, second...) {
			if action == enforcer.Bypass || action == enforcer.Block || valid {
				want = action
				break
			}
		}
		got, _, reason, err := enforcer.Decide(policies, leaf, valid, []string{"vendor"}, netip.MustParseAddr("192.0.2.7"))
		if err != nil {
			t.Fatal(err)
		}
		if want == enforcer.Block {
			want = ""
		}
		if got != want || (got == "") != (reason != "") {
			t.Errorf("%v\ngot %q (%s), want %q", policies, got, reason, want)
		}
		if !valid && got != "" && got != enforcer.Bypass {
			t.Errorf("%q without a valid certificate", got)
		}
	})
}
