package config_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/templates"
)

// reaching is a configuration of one application with more keys.
func reaching(origin, more string) string {
	return `
[enforcer]
listen = ""
[[application]]
name = "orders"
hostname = "orders.example.com"
origin = "` + origin + `"
` + more
}

func TestLoad_OriginsByDefault(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"http://127.0.0.1:9000", "https://orders.internal", "h2c://[::1]:9000"} {
		a := load(t, reaching(origin, "")).Applications[0]
		if a.ConnectTimeout.Duration != 10*time.Second || a.OriginTimeout.Duration != 100*time.Second {
			t.Errorf("%s: timeouts %s, %s", origin, a.ConnectTimeout, a.OriginTimeout)
		}
		if a.OriginRoots != nil || a.OriginPair != nil || a.OriginServerName != "" || a.OriginTLSID != "" {
			t.Errorf("%s: TLS of its own: %+v", origin, a)
		}
		if got := a.OriginURL().String(); got != origin {
			t.Errorf("origin = %s, want %s", got, origin)
		}
	}
}

func TestLoad_ReadsTheTLSOfOrigins(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ca, other := certtest.NewCA(), certtest.NewCA(certtest.CommonName("other"))
	pair := ca.Issue(certtest.Client())
	write(t, filepath.Join(folder, "roots.pem"), "A comment.\n"+string(certtest.PEM(ca, other)), 0o644)
	write(t, filepath.Join(folder, "client.pem"), string(pair.PEM()), 0o644)
	write(t, filepath.Join(folder, "client-key.pem"), string(pair.KeyPEM()), 0o600)
	a := loadIn(t, folder, reaching("https://127.0.0.1:9000", `
origin_ca = "roots.pem"
origin_cert = "client.pem"
origin_key = "client-key.pem"
origin_server_name = "Orders.Internal."
connect_timeout = "${SPAN}"
`)).Applications[0]
	want := ca.Pool()
	want.AddCert(other.Certificate)
	if a.OriginRoots == nil || !a.OriginRoots.Equal(want) {
		t.Error("the roots are not those of the file")
	}
	if a.OriginPair == nil || !bytes.Equal(a.OriginPair.Certificate[0], pair.Certificate.Raw) {
		t.Error("the client certificate is not that of the file")
	}
	if a.OriginServerName != "orders.internal" || a.ConnectTimeout.Duration != 36*time.Hour || !filepath.IsAbs(a.OriginCA) {
		t.Errorf("name %q, timeout %s, file %s", a.OriginServerName, a.ConnectTimeout, a.OriginCA)
	}
}

// TestLoad_OriginTLSID holds that the id changes with everything that a
// connection is made by, so that none is shared that differs.
func TestLoad_OriginTLSID(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ca := certtest.NewCA()
	for name, c := range map[string]*certtest.Certificate{"one": ca.Issue(certtest.Client()), "two": ca.Issue(certtest.Client())} {
		write(t, filepath.Join(folder, name+".pem"), string(c.PEM()), 0o644)
		write(t, filepath.Join(folder, name+"-key.pem"), string(c.KeyPEM()), 0o600)
	}
	write(t, filepath.Join(folder, "ca.pem"), string(ca.PEM()), 0o644)
	id := func(more string) string {
		t.Helper()
		return loadIn(t, folder, reaching("https://127.0.0.1:9000", more)).Applications[0].OriginTLSID
	}
	const one, two = "origin_cert = \"one.pem\"\norigin_key = \"one-key.pem\"\n", "origin_cert = \"two.pem\"\norigin_key = \"two-key.pem\"\n"
	seen := map[string]string{}
	for _, more := range []string{
		"", "origin_ca = \"ca.pem\"\n", "origin_ca = \"one.pem\"\n", one, two, one + "origin_ca = \"ca.pem\"\n",
		"origin_server_name = \"a\"\n", "origin_server_name = \"b\"\n", one + "origin_server_name = \"b\"\n",
	} {
		got := id(more)
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q have one id", more, other)
		}
		if seen[got] = more; got != id(more) {
			t.Errorf("%q has two ids", more)
		}
	}
	before := id("origin_ca = \"ca.pem\"\n")
	write(t, filepath.Join(folder, "ca.pem"), string(certtest.NewCA().PEM()), 0o644)
	if id("origin_ca = \"ca.pem\"\n") == before {
		t.Error("another CA in the same file has the same id")
	}
}

func TestLoad_Denials(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "denied.html"), "<h1>{{.Title}}</h1><p>{{.Advice}} {{.Status}} {{.RequestID}}</p>{{with .Message}}<p>{{.}}</p>{{end}}", 0o644)
	a := loadIn(t, folder, reaching("http://127.0.0.1:9000", "custom_deny_page = \"denied.html\"\ncustom_deny_message = \"Ask\\nthe desk.\"\n")).Applications[0]
	var page bytes.Buffer
	if err := a.DenyTemplate.Execute(&page, templates.WebError{Status: 403, RequestID: "<id>", Message: a.DenyMessage}); err != nil {
		t.Fatal(err)
	}
	if got := page.String(); !bytes.Contains(page.Bytes(), []byte("403 &lt;id&gt;</p><p>Ask\nthe desk.</p>")) {
		t.Errorf("page %q", got)
	}
	if a.DenyMessage != "Ask\nthe desk." || a.DenyTarget() != nil {
		t.Errorf("message %q, URL %v", a.DenyMessage, a.DenyTarget())
	}
	a = load(t, reaching("http://127.0.0.1:9000", "custom_non_identity_deny_url = \"https://help.example.com/denied?from=orders\"\n")).Applications[0]
	if got := a.DenyTarget(); got == nil || got.String() != "https://help.example.com/denied?from=orders" || a.DenyTemplate != nil {
		t.Errorf("URL %v, page %v", got, a.DenyTemplate)
	}
}

func TestLoad_BoundsDenials(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "fits.html"), strings.Repeat("x", 256<<10), 0o644)
	write(t, filepath.Join(folder, "large.html"), strings.Repeat("x", 256<<10+1), 0o644)
	for _, tt := range []struct{ more, want string }{
		{`custom_deny_message = "` + strings.Repeat("é", 1000) + `"`, ""},
		{`custom_deny_message = "` + strings.Repeat("é", 1001) + `"`, "custom_deny_message: it has 1001 characters"},
		{`custom_deny_page = "fits.html"`, ""},
		{`custom_deny_page = "large.html"`, "large.html is larger than 256 KiB"},
	} {
		_, err := config.Load(write(t, filepath.Join(folder, "config.toml"), reaching("http://127.0.0.1:9000", tt.more+"\n"), 0o600), environment)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40s…: error %v, want %q", tt.more, err, tt.want)
		}
	}
}

func TestLoad_Listener(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := loadIn(t, folder, `
[enforcer]
listen = ""
crl_stale = "keep"
crl_grace = "${SPAN}"
key_rotation = "1d"
access_log = "access.log"
access_log_sample = 0
[enforcer.limits]
handshake_timeout = "1s"
header_bytes = 4096
chain_bytes = 262144
handshakes = 65536
`).Enforcer
	if e.CRLStale != config.CRLKeep || e.CRLGrace.Duration != 36*time.Hour || e.KeyRotation.Duration != 24*time.Hour {
		t.Errorf("enforcer %+v", e)
	}
	if e.AccessLog != filepath.Join(folder, "access.log") || e.AccessLogSample != 0 {
		t.Errorf("access log %q, %v", e.AccessLog, e.AccessLogSample)
	}
	want := config.Default().Enforcer.Limits
	want.HandshakeTimeout.Duration = time.Second
	want.HeaderBytes, want.ChainBytes, want.Handshakes = 4096, 262144, 65536
	if e.Limits != want {
		t.Errorf("limits %+v, want %+v", e.Limits, want)
	}
	e = load(t, "[enforcer]\ncrl_grace = \"\"\naccess_log = \"-\"\naccess_log_sample = 0.25\n").Enforcer
	if e.CRLGrace.Duration != 0 || e.AccessLog != "-" || e.AccessLogSample != 0.25 {
		t.Errorf("grace %s, log %q, sample %v", e.CRLGrace, e.AccessLog, e.AccessLogSample)
	}
}
