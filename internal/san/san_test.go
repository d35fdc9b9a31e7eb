package san_test

import (
	"testing"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/san"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"*.Vendor.Example.":         "dns:*.vendor.example",
		"DNS:a":                     "", // a kind is lower case
		"dns:A.example":             "dns:a.example",
		"uri:spiffe://Vendor/*":     "uri:spiffe://Vendor/*",
		"email:A.b@Vendor.example":  "email:A.b@vendor.example",
		"email:":                    "",
		"ip:192.0.2.7":              "ip:192.0.2.7",
		"ip:::ffff:192.0.2.7":       "ip:192.0.2.7",
		"ip:::ffff:192.0.2.0/120":   "",
		"ip:192.0.2.0/24":           "ip:192.0.2.0/24",
		"ip:2001:DB8::/32":          "ip:2001:db8::/32",
		"ip:10.0.0.1/8":             "",
		"ip:fe80::1%eth0":           "",
		"ip:10.0.0.*":               "",
		"2001:db8::1":               "",
		"spiffe://vendor/*":         "",
		"":                          "",
		".":                         "",
		"..":                        "", // folded twice it is nothing at all
		"a..":                       "",
		"dns:":                      "",
		"**.example":                "",
		"büro.example":              "",
		"a b.example":               "",
		"\xff":                      "",
		"a\x7fb":                    "",
		"uri:http://example/ü":      "",
		"email:*@xn--bro-hoa.test.": "email:*@xn--bro-hoa.test.",
	} {
		p, err := san.Parse(in)
		if (err == nil) != (want != "") || err == nil && p.String() != want {
			t.Errorf("%q: %q, %v, want %q", in, p, err, want)
		}
		if err != nil && (!fault.Is(err, fault.Invalid) || fault.Rule(err) != "constraint" || fault.Hint(err) == "") {
			t.Errorf("%q: rule %q, hint %q", in, fault.Rule(err), fault.Hint(err))
		}
	}
}

func TestParseCN(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{"device-*": true, "Büro 7": true, "": false, "a**": false, "\xff": false} {
		if _, err := san.ParseCN(in); (err == nil) != ok || err != nil && fault.Rule(err) != "constraint" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzParse holds that what is read is read again as the same: what one part of
// the program stores, the other understands.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.Vendor.example.", "..", "dns:a..", "uri:spiffe://*", "email:A@B.", "ip:::ffff:1.2.3.4", "ip:10.0.0.0/8", "email:@.", "dns:*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := san.Parse(in)
		if err != nil {
			return
		}
		again, err := san.Parse(p.String())
		if err != nil || again != p {
			t.Errorf("%q became %q, and that %q: %v", in, p, again, err)
		}
	})
}
