package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLoad_GuardWarnings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writePair(t, folder, "orders.example.com")
	warnings := func(t *testing.T, listen, enforcer, origin, more string) []string {
		t.Helper()
		return loadIn(t, t.TempDir(), `
[enforcer]
listen = "`+listen+`"
`+enforcer+`
[[enforcer.certificate]]
cert = "`+filepath.Join(folder, "server.pem")+`"
key = "`+filepath.Join(folder, "server-key.pem")+`"
[[application]]
name = "orders"
hostname = "orders.example.com"
origin = "`+origin+`"
`+more+`
[[channel]]
name = "c"
type = "webhook"
url = "http://127.0.0.1:1"
[[channel]]
name = "d"
type = "webhook"
url = "http://127.0.0.1:1"
`).Warnings
	}
	policy := func(key, selector string) string {
		return "[[application.policy]]\nname = \"p\"\naction = \"allow\"\ninclude = [{ everyone = true }]\n" + key + " = [" + selector + "]\n"
	}
	const near = "http://127.0.0.1:9000"
	for _, tt := range []struct{ name, enforcer, origin, more, want string }{
		{"nothing", "", near, "", ""},
		{"stale lists kept", `crl_stale = "keep"`, near, "", `enforcer.crl_stale = "keep": `},
		{"a public address", "", "http://192.0.2.1:9000", "", `application "orders": identity headers and answers travel unencrypted to 192.0.2.1:9000`},
		{"a public name", "", "http://orders.example.com", "", `travel unencrypted to orders.example.com`},
		{"gRPC in the clear", "", "h2c://[2001:db8::1]:9000", "", `travel unencrypted to [2001:db8::1]:9000`},
		{"TLS", "", "https://192.0.2.1:9000", "", ""},
		{"loopback", "", "h2c://localhost:9000", "", ""},
		{"a private address", "", "http://10.0.0.7:9000", "", ""},
		{"a private address in IPv6", "", "http://[fd00::7]:9000", "", ""},
		{"a name of the local network", "", "http://orders:9000", "", ""},
		{"an internal name", "", "http://orders.internal.:9000", "", ""},
		{"a serial of any CA", "", near, policy("require", `{ serial = "12" }`), `application "orders", policy "p": serial numbers are unique to one CA only`},
		{"a serial of any CA that is excluded", "", near, policy("exclude", `{ serial = "12" }`), `serial numbers are unique to one CA only`},
		{"a serial of one CA", "", near, policy("require", `{ serial = "12", ca = "root" }`), ""},
		{"a fingerprint", "", near, policy("require", `{ fingerprint = "`+strings.Repeat("0", 64)+`" }`), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := warnings(t, "127.0.0.1:8443", tt.enforcer, tt.origin, tt.more)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("warnings %q, want none", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("warnings %q, want %q alone", got, tt.want)
			}
			without := warnings(t, "", tt.enforcer, tt.origin, tt.more)
			if slices.ContainsFunc(without, func(w string) bool { return tt.want != "" && strings.Contains(w, tt.want) }) {
				t.Errorf("without a listener: %q", without)
			}
		})
	}
}
