package config_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
)

// selecting is a configuration whose one policy has one selector.
func selecting(selector string) string {
	return `
[enforcer]
listen = ""
[[application]]
name = "orders"
hostname = "orders.example.com"
origin = "http://127.0.0.1:9000"
[[application.policy]]
name = "p"
action = "allow"
include = [` + selector + `]
`
}

func selector(t *testing.T, text string) config.Selector {
	t.Helper()
	return load(t, selecting(text)).Applications[0].Policies[0].Include[0]
}

func TestLoad_SelectorsInTheFormThatIsCompared(t *testing.T) {
	t.Parallel()
	const fingerprint = "00aa11bb22cc33dd44ee55ff66778899aabbccddeeff00112233445566778899"
	colons := strings.ToUpper(fingerprint[:2])
	for i := 2; i < len(fingerprint); i += 2 {
		colons += ":" + strings.ToUpper(fingerprint[i:i+2])
	}
	for _, tt := range []struct {
		text string
		want config.Selector
	}{
		{`{ common_name = "James Royal" }`, config.Selector{CommonName: config.Texts{"James Royal"}}},
		{`{ common_name = ["a", "*"], ca = "root" }`, config.Selector{CommonName: config.Texts{"a", "*"}, CA: "root"}},
		{`{ common_name = "${HOST}" }`, config.Selector{CommonName: config.Texts{"orders.example.com"}}},
		{`{ common_name = ["x", "${HOST}"] }`, config.Selector{CommonName: config.Texts{"x", "orders.example.com"}}},
		{`{ ip = "192.0.2.7" }`, config.Selector{IP: config.Texts{"192.0.2.7"}}},
		{`{ san_dns = "*.Devices.Example.com" }`, config.Selector{SANDNS: config.Texts{"*.devices.example.com"}}},
		{`{ san_uri = "spiffe://Example.com/ns/*/sa/Web" }`, config.Selector{SANURI: config.Texts{"spiffe://Example.com/ns/*/sa/Web"}}},
		{`{ issuer = "cn=Root,O=Example\\, Inc.,1.2.3=#0401ff" }`, config.Selector{Issuer: config.Texts{`CN=Root,O=Example\, Inc.,1.2.3=#0401ff`}}},
		{`{ serial = "527E0F20" }`, config.Selector{Serial: config.Texts{"527E0F20"}}},
		{`{ serial = ["0x7f", "00:0a:BC", "abc", "0", "00:00"] }`, config.Selector{Serial: config.Texts{"7F", "0ABC", "0ABC", "00", "00"}}},
		{`{ fingerprint = ["` + fingerprint + `", "` + colons + `"] }`, config.Selector{Fingerprint: config.Texts{fingerprint, fingerprint}}},
		{`{ ca = "root" }`, config.Selector{CA: "root"}},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, selector(t, tt.text)); diff != "" {
				t.Errorf("selector (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLoad_SelectorsTakeWhatIsPrinted holds that a serial, a fingerprint and an
// issuer are taken as the commands print them, and compared as the enforcer
// reads them off a certificate.
func TestLoad_SelectorsTakeWhatIsPrinted(t *testing.T) {
	t.Parallel()
	for _, issuer := range []pkix.Name{
		{CommonName: "Root"},
		{CommonName: "Access Testing CA", Organization: []string{"Access, Inc.", "+Plus"}, Country: []string{"US"}},
		{CommonName: ` spaced "quoted" \ <a;b>= `, Locality: []string{"São Paulo"}, SerialNumber: "1"},
		{CommonName: "#hash", ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@example.com"}}},
	} {
		leaf := certtest.NewCA(certtest.Subject(issuer)).Issue(certtest.Client(), certtest.Serial(0x0a0b)).Certificate
		want := config.Selector{Issuer: config.Texts{cert.IssuerDN(leaf)}}
		if diff := cmp.Diff(want, selector(t, fmt.Sprintf("{ issuer = '''%s''' }", cert.IssuerDN(leaf)))); diff != "" {
			t.Errorf("issuer (-want +got):\n%s", diff)
		}
		if got := selector(t, fmt.Sprintf("{ serial = %q }", "00:"+strings.ToLower(cert.Serial(leaf)))).Serial[0]; got != cert.Serial(leaf) {
			t.Errorf("serial = %s, want %s", got, cert.Serial(leaf))
		}
		if got := selector(t, fmt.Sprintf("{ fingerprint = %q }", strings.ToUpper(cert.Fingerprint(leaf)))).Fingerprint[0]; got != cert.Fingerprint(leaf) {
			t.Errorf("fingerprint = %s, want %s", got, cert.Fingerprint(leaf))
		}
	}
}

func TestSelector_Name(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0", 64)
	for text, want := range map[string]string{
		`{ certificate = true }`:             "",
		`{ everyone = true }`:                "",
		`{ ip = "192.0.2.7" }`:               "",
		`{ fingerprint = "` + digits + `" }`: "",
		`{ ca = "root" }`:                    "",
		`{ common_name = "a" }`:              "common_name",
		`{ san_dns = "a" }`:                  "san_dns",
		`{ san_uri = "a" }`:                  "san_uri",
		`{ issuer = "CN=a" }`:                "issuer",
		`{ serial = "1", ca = "root" }`:      "serial",
	} {
		if got := selector(t, text).Name(); got != want {
			t.Errorf("%s goes by the name %q, want %q", text, got, want)
		}
	}
}
