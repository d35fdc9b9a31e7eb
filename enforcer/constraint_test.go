package enforcer_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

// constrained limits what the bundle of "orders" may vouch for.
func constrained(c enforcer.Constraints) func(*enforcer.State) {
	return func(s *enforcer.State) { s.Bundles[0].Constraints = c }
}

func wantRule(t *testing.T, err error, rule string) {
	t.Helper()
	if !fault.Is(err, fault.Invalid) || fault.Rule(err) != rule {
		t.Fatalf("error %v (rule %q), want rule %q", err, fault.Rule(err), rule)
	}
}

// generalNames is a subject alternative name extension as encoded by hand.
func generalNames(names ...asn1.RawValue) certtest.Option {
	value, err := asn1.Marshal(names)
	if err != nil {
		panic(err)
	}
	return certtest.Extension(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value})
}

func generalName(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

// otherName is the kind that Microsoft's user principal names have.
func otherName() asn1.RawValue {
	return asn1.RawValue{
		Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
		Bytes: []byte("\x06\x03\x2a\x03\x04\xa0\x04\x0c\x02hi"),
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	now := time.Now()
	vendor := enforcer.Constraints{PermitSAN: []string{"*.vendor.example"}}
	several := enforcer.Constraints{PermitSAN: []string{
		"dns:Host.Vendor.example.", "uri:spiffe://vendor.example/device/*", "email:*@vendor.example", "ip:192.0.2.0/24", "ip:2001:db8::1",
	}}
	named := enforcer.Constraints{PermitCN: []string{"device-*"}}
	short := enforcer.Constraints{MaxLeafLifetime: 24 * time.Hour}
	lasting := func(d time.Duration) certtest.Option {
		return certtest.Validity(now.Add(-time.Hour), now.Add(-time.Hour).Add(d))
	}
	type options = []certtest.Option
	for _, tt := range []struct {
		name string
		c    enforcer.Constraints
		leaf options
		want string // of the detail; "" is admitted
	}{
		{"none", enforcer.Constraints{}, options{certtest.CommonName()}, ""},
		{"none, a name that nobody reads", enforcer.Constraints{}, options{generalNames(otherName())}, ""},

		{"DNS name", vendor, options{certtest.DNS("a.vendor.example")}, ""},
		{"DNS name, case and dot", vendor, options{certtest.DNS("A.Vendor.EXAMPLE.")}, ""},
		{"DNS name, case and dot of the pattern", several, options{certtest.DNS("host.vendor.example")}, ""},
		{"DNS name, two labels deep", vendor, options{certtest.DNS("b.a.vendor.example")}, `"dns:b.a.vendor.example"`},
		{"DNS name, apex", vendor, options{certtest.DNS("vendor.example")}, `"dns:vendor.example"`},
		{"DNS name, longer at the end", vendor, options{certtest.DNS("a.vendor.example.evil")}, "not permitted"},
		{"DNS name, longer in front", several, options{certtest.DNS("x.host.vendor.example")}, "not permitted"},
		{"one of two DNS names", vendor, options{certtest.DNS("a.vendor.example", "evil.example")}, `"dns:evil.example"`},
		{"no name at all", vendor, options{}, "no subject alternative name"},
		{"common name only", vendor, options{certtest.CommonName("a.vendor.example")}, "no subject alternative name"},
		{"empty name only", vendor, options{certtest.DNS("")}, "no subject alternative name"},
		{"empty name beside", vendor, options{certtest.DNS("", "a.vendor.example")}, ""},
		{"URI that looks like the DNS name", vendor, options{certtest.URI("a.vendor.example")}, `"uri:a.vendor.example"`},
		{"address where names are meant", vendor, options{certtest.DNS("a.vendor.example"), certtest.IP("192.0.2.7")}, `"ip:192.0.2.7"`},

		{"each kind", several, options{
			certtest.DNS("host.vendor.example"), certtest.URI("spiffe://vendor.example/device/7"),
			certtest.Email("a.b@VENDOR.example"), certtest.IP("192.0.2.255", "2001:db8::1"),
		}, ""},
		{"URI, deeper", several, options{certtest.URI("spiffe://vendor.example/device/7/admin")}, "not permitted"},
		{"URI, case", several, options{certtest.URI("spiffe://vendor.example/Device/7")}, "not permitted"},
		{"mail, below", several, options{certtest.Email("a@x.vendor.example")}, "not permitted"},
		{"address, next to the prefix", several, options{certtest.IP("192.0.3.0")}, `"ip:192.0.3.0"`},
		{"address, next to it", several, options{certtest.IP("2001:db8::2")}, "not permitted"},
		{"DNS name that looks like an address", several, options{certtest.DNS("192.0.2.7")}, `"dns:192.0.2.7"`},

		{"otherName", vendor, options{generalNames(generalName(2, "a.vendor.example"), otherName())}, "otherName"},
		{"directoryName", vendor, options{generalNames(generalName(2, "a.vendor.example"), asn1.RawValue{
			Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0},
		})}, "directoryName"},
		{"registeredID", vendor, options{generalNames(generalName(8, "\x2a\x03"), generalName(2, "a.vendor.example"))}, "unknown"},

		{"common name", named, options{certtest.CommonName("device-7")}, ""},
		{"common name, case", named, options{certtest.CommonName("Device-7")}, "no permitted common name"},
		{"common name, more in front", named, options{certtest.CommonName("a device-7")}, "no permitted common name"},
		{"no common name", named, options{certtest.CommonName()}, "no permitted common name"},
		{"DNS name in place of the common name", named, options{certtest.CommonName(), certtest.DNS("device-7")}, "no permitted common name"},

		{"as long as it may", short, options{lasting(24 * time.Hour)}, ""},
		{"a second longer", short, options{lasting(24*time.Hour + time.Second)}, "24h0m1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			leaf := ca.Issue(tt.leaf...)
			b := bundle("partner", ca)
			b.Constraints = tt.c
			c := (&pki{root: ca, now: now}).path(leaf)
			c.Bundles = []enforcer.Bundle{b}
			valid, reason, detail, _ := c.Examine()
			if tt.want == "" {
				if !valid {
					t.Errorf("refused: %s %s", reason, detail)
				}
				return
			}
			if valid || reason != enforcer.ReasonConstraint || !strings.Contains(detail, `bundle "partner"`) || !strings.Contains(detail, tt.want) {
				t.Errorf("valid %v, reason %q, detail %q, want one that tells %q", valid, reason, detail, tt.want)
			}
		})
	}
}

// TestConstraints_alternatives: of several bundles with one anchor, those that
// are content vouch, and no others.
func TestConstraints_alternatives(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		free := s.Bundles[0]
		free.ID, free.Name = "free", "free"
		s.Bundles[0].Constraints.PermitCN = []string{"device-*"}
		free.Constraints.PermitCN = []string{"James *"}
		s.Bundles = append(s.Bundles, free)
		s.Applications[0].Policies[0].Include = []enforcer.Selector{{Certificate: true, CA: "free"}}
	})
	for name, want := range map[string]int{"James Royal": 200, "device-7": 403, "nobody": 403} {
		wantStatus(t, get(t, g.client(leaf(g.ca, certtest.CommonName(name))), "https://"+orders+"/"), want)
	}
	if !strings.Contains(g.log.String(), "reason="+string(enforcer.ReasonConstraint)+" ") {
		t.Errorf("the log lacks the reason:\n%s", g.log)
	}
}
