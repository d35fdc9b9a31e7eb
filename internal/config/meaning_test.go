package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

func TestLoad_EmptyFileMeansTheDefaults(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cfg := loadIn(t, folder, "")
	want := config.Default()
	want.Storage.DSN = filepath.Join(folder, "certvigil.db")
	want.Storage.KeyFile = filepath.Join(folder, "certvigil.db.key")
	want.Alerts = []config.Alert{{
		Name: "default", Kinds: []string{"ca", "client", "server", "crl"},
		Before: []config.Duration{{Duration: 720 * time.Hour}, {Duration: 336 * time.Hour}},
	}}
	want.File = filepath.Join(folder, "config.toml")
	want.Warnings = []string{"no [[channel]] is configured: nothing would be sent, but to destinations made by the API"}
	if diff := cmp.Diff(&want, cfg, durations); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestLoad_ImpliedAlertTellsEveryChannel(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
[[channel]]
name = "a"
type = "webhook"
url = "http://127.0.0.1:1"
[[channel]]
name = "b"
type = "webhook"
url = "http://[::1]:1"
`)
	if diff := cmp.Diff([]string{"a", "b"}, cfg.Alerts[0].Channels); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings = %q, want none", cfg.Warnings)
	}
}

func TestLoad_NormalisesNames(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
[admin]
public_url = "https://certs.example.com/vigil/"
[enforcer]
listen = ""
default_hostname = "A.Bücher.example"
trusted_proxies = ["10.0.0.0/8", "2001:db8::1", "::ffff:192.0.2.1"]
[[application]]
name = "orders"
hostname = "*.BÜCHER.example."
origin = "https://127.0.0.1:9000/"
[[application.policy]]
name = "office"
action = "bypass"
include = [{ ip = "192.0.2.7" }, { certificate = true, ca = "root" }, { ca = "root" }]
[[channel]]
name = "mail"
type = "email"
smtp = "localhost:25"
from = "Certvigil <certvigil@example.com>"
to = ["On Call <oncall@example.com>"]
`)
	app := cfg.Applications[0]
	for _, c := range []struct{ name, got, want string }{
		{"hostname", app.Hostname, "*.xn--bcher-kva.example"},
		{"default host name", cfg.Enforcer.DefaultHostname, "a.xn--bcher-kva.example"},
		{"public URL", cfg.Admin.PublicURL, "https://certs.example.com/vigil"},
		{"recipient", cfg.Channels[0].To[0], "oncall@example.com"},
		{"origin", app.OriginURL().Host, "127.0.0.1:9000"},
		{"selector", app.Policies[0].Include[0].Prefixes()[0].String(), "192.0.2.7/32"},
		{"tls", cfg.Channels[0].TLS, "starttls"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.name, c.got, c.want)
		}
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("192.0.2.1/32")}
	if diff := cmp.Diff(want, cfg.Enforcer.Proxies(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("proxies (-want +got):\n%s", diff)
	}
}

func TestLoad_ExpandsTheEnvironment(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
[storage]
dsn = "${HOST}-$$5$.db"
retention = "${SPAN}"
[admin]
account_id = "${INJECTION}"
[[channel]]
name = "hook"
type = "webhook"
url = "http://127.0.0.1:1/${TOKEN}"
[[alert]]
name = "default"
channels = ["hook"]
match = { host = "${HOST}" }
`)
	for _, c := range []struct{ name, got, want string }{
		{"dsn", filepath.Base(cfg.Storage.DSN), "orders.example.com-$5$.db"},
		{"retention", cfg.Storage.Retention.String(), "1d12h"},
		{"url", cfg.Channels[0].URL.Reveal(), "http://127.0.0.1:1/hunter2"},
		{"match", cfg.Alerts[0].Match["host"], "orders.example.com"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.name, c.got, c.want)
		}
	}
	if cfg.Admin.Insecure || !strings.Contains(cfg.Admin.AccountID, "[admin]") {
		t.Errorf("admin = %+v: what the variable holds was read as TOML", cfg.Admin)
	}
}

func TestLoad_ReadsFilesBesideTheConfiguration(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writePair(t, folder, "orders.example.com")
	write(t, filepath.Join(folder, "hook"), "s3cret\n", 0o644)
	cfg := loadIn(t, folder, `
[admin]
listen = "0.0.0.0:8080"
tls_cert = "server.pem"
tls_key = "server-key.pem"
[[enforcer.certificate]]
cert = "server.pem"
key = "server-key.pem"
[[application]]
name = "orders"
hostname = "orders.example.com"
origin = "http://127.0.0.1:9000"
[[application]]
name = "shop"
hostname = "*.shop.example.com"
origin = "http://127.0.0.1:9000"
[[channel]]
name = "hook"
type = "webhook"
url = "http://127.0.0.1:1"
secret_file = "hook"
`)
	if got := cfg.Channels[0].Secret.Reveal(); got != "s3cret" {
		t.Errorf("secret = %q, want the file's without its line break", got)
	}
	if cfg.Admin.TLS == nil || cfg.Enforcer.Certificates[0].Pair.Leaf == nil {
		t.Error("the certificates were not read")
	}
	want := []string{
		"channel[0].secret_file: every user can read " + filepath.Join(folder, "hook") + ": make it 0600",
		`alert "default" has the one channel "hook", and notifier.fallback names no other: nobody would be told when it fails`,
		`no server certificate names *.shop.example.com: clients of application "shop" will refuse the connection`,
	}
	if diff := cmp.Diff(want, cfg.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLoad_Warnings(t *testing.T) {
	t.Parallel()
	const local = "[[channel]]\nname = \"c\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1\"\n"
	tests := []struct{ name, text, want string }{
		{"a rule without channels", local + "[[alert]]\nname = \"quiet\"\nchannels = []\n", `alert "quiet" names no channels: it tells nobody`},
		{"a rule with one channel", local, `alert "default" has the one channel "c", and notifier.fallback names no other: nobody would be told when it fails`},
		{"a rule whose fallback is its one channel", local + "[notifier]\nfallback = [\"c\"]\n", `alert "default" has the one channel "c", and notifier.fallback names no other`},
		{"a kind that no rule covers", local + "[[alert]]\nname = \"some\"\nkinds = [\"ca\", \"client\", \"crl\"]\nchannels = [\"c\"]\n", `no alert covers every item of kind "server": some may expire unnoticed, unless a policy made by the API covers them`},
		{"a rule of labelled items alone", local + "[[alert]]\nname = \"some\"\nmatch = { team = \"x\" }\nchannels = [\"c\"]\n", `no alert covers every item of kind "ca": some may expire unnoticed, unless a policy made by the API covers them`},
		{"loopback links", "[[channel]]\nname = \"c\"\ntype = \"slack\"\ntoken = \"x\"\nchannel = \"#ops\"\n", `admin.public_url "http://127.0.0.1:8080" is loopback: links in messages will not work elsewhere`},
		{"links to another port", local + "[admin]\nlisten = \"127.0.0.1:9443\"\n", `admin.public_url "http://127.0.0.1:8080" is not the port of admin.listen "127.0.0.1:9443": links in messages lead nowhere`},
		{"a password in the clear", "[[channel]]\nname = \"c\"\ntype = \"email\"\nsmtp = \"mail.example.com:25\"\ntls = \"none\"\nusername = \"u\"\npassword = \"p\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n", `channel "c" sends its password unencrypted: set tls to starttls or tls`},
		{"a webhook in the clear", "[[channel]]\nname = \"c\"\ntype = \"webhook\"\nurl = \"http://hooks.example.com/x\"\n", `channel "c" posts over http, unencrypted`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(load(t, tt.text).Warnings, "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("warnings:\n%s\nwant among them:\n%s", got, tt.want)
			}
		})
	}
}

// What fails is told by another channel of the rule, or by the fallback.
func TestLoad_WarnsOfNoOtherChannel(t *testing.T) {
	t.Parallel()
	const two = "[[channel]]\nname = \"c\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1\"\n[[channel]]\nname = \"d\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1\"\n"
	rule := func(name, channels string) string {
		return "[[alert]]\nname = \"" + name + "\"\nchannels = [" + channels + "]\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"the rule's other channel", two + rule("r", `"c", "d"`), ""},
		{"the fallback", two + rule("r", `"c"`) + "[notifier]\nfallback = [\"d\"]\n", ""},
		{"the fallback, itself among others", two + rule("r", `"c"`) + "[notifier]\nfallback = [\"c\", \"d\"]\n", ""},
		{"none", two + rule("r", `"c"`), `alert "r" has the one channel "c"`},
		{"none for one of the rules", two + rule("r", `"c", "d"`) + rule("s", `"d"`), `alert "s" has the one channel "d"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(load(t, tt.text).Warnings, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("warnings %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLoad_NoFile(t *testing.T) {
	t.Parallel()
	_, err := config.Load(filepath.Join(t.TempDir(), "absent.toml"), environment)
	if !fault.Is(err, fault.NotFound) || fault.Hint(err) == "" {
		t.Errorf("error = %v, want NotFound with a hint", err)
	}
}

func TestLoadStorage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, wantErr string }{
		{"opens no secret and minds no other table", "[storage]\ndsn = \"x.db\"\n[[channel]]\nsecret_file = \"absent\"\n[nonsense]\nx = 1\n", ""},
		{"default", "", ""},
		{"unknown key of its own", "[storage]\ndns = \"x.db\"\n", "storage.dns: unknown key"},
		{"broken value of its own", "[storage]\nretention = \"x\"\n", "storage.retention"},
		{"no TOML", "[[[", "syntax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			s, err := config.LoadStorage(write(t, filepath.Join(folder, "config.toml"), tt.text, 0o600))
			if tt.wantErr == "" {
				if err != nil || filepath.Dir(s.DSN) != folder || s.KeyFile != s.DSN+".key" || s.Retention.Duration <= 0 {
					t.Errorf("storage = %+v, %v", s, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error = %v, want %q in it", err, tt.wantErr)
			}
		})
	}
}

func TestFind(t *testing.T) { // not parallel: it changes folder and environment
	t.Chdir(t.TempDir())
	t.Setenv(config.Variable, "")
	if _, err := os.Stat("/etc/certvigil/config.toml"); err != nil {
		if _, err := config.Find(""); !fault.Is(err, fault.NotFound) || fault.Hint(err) == "" {
			t.Errorf("with nothing there: %v, want NotFound with a hint", err)
		}
	}
	write(t, "config.toml", "", 0o600)
	find := func(flag, want string) {
		t.Helper()
		if got, err := config.Find(flag); err != nil || got != want {
			t.Errorf("Find(%q) = %q, %v, want %q", flag, got, err, want)
		}
	}
	find("", "config.toml")
	t.Setenv(config.Variable, "from-variable.toml")
	find("", "from-variable.toml")
	find("from-flag.toml", "from-flag.toml")
}
