package app

import (
	"crypto/tls"
	"crypto/x509"
	"html/template"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/scanner"
)

var (
	mailChannel  = config.Channel{Name: "mail", Type: config.TypeEmail, SMTP: "127.0.0.1:25", TLS: "starttls", Username: "u", Password: "p", From: "a@example.com", To: []string{"x@example.com", "y@example.com"}}
	slackChannel = config.Channel{Name: "slack", Type: config.TypeSlack, WebhookURL: "https://hooks.example.com/services/T/B/x"}
	hookChannel  = config.Channel{Name: "hook", Type: config.TypeWebhook, URL: "https://hooks.example.com/x", Format: "access", Secret: "s"}
	plainChannel = config.Channel{Name: "plain", Type: config.TypeWebhook, URL: "https://hooks.example.com/y", Format: "standard"}
)

func everyChannel() *config.Config {
	return &config.Config{
		Admin:    config.Admin{PublicURL: "https://vigil.example.com"},
		Notifier: config.Notifier{Fallback: []string{"slack"}},
		Channels: []config.Channel{mailChannel, slackChannel, hookChannel, plainChannel},
		Alerts: []config.Alert{
			{
				Name: "default", Kinds: []string{"ca", "client"}, Before: []config.Duration{{Duration: 30 * alert.Day}, {Duration: 0}},
				Channels: []string{"mail", "hook", "plain"}, Match: map[string]string{"team": "payments"}, ScaleShortLived: true,
			},
			{Name: "deaf", Kinds: []string{"crl"}},
		},
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	want := []scanner.Rule{
		{
			Name: "default", Kinds: []alert.Kind{alert.KindCA, alert.KindClient}, Before: []time.Duration{30 * alert.Day, 0},
			Match: map[string]string{"team": "payments"}, Scale: true,
			Targets: []scanner.Target{
				{Channel: "mail", Recipients: []string{"x@example.com", "y@example.com"}},
				{Channel: "hook", Recipients: []string{"hook"}, Single: true}, // its format carries one item
				{Channel: "plain", Recipients: []string{"plain"}},
			},
		},
		{Name: "deaf", Kinds: []alert.Kind{alert.KindCRL}},
	}
	if diff := cmp.Diff(want, Rules(everyChannel())); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	got, err := setup(everyChannel(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	hashes := map[string]bool{}
	for _, c := range got.Channels {
		names = append(names, c.Name)
		hashes[c.Hash] = true
	}
	if diff := cmp.Diff([]string{"mail", "slack", "hook", "plain"}, names); diff != "" || len(hashes) != 4 {
		t.Errorf("channels, with %d different hashes (-want +got):\n%s", len(hashes), diff)
	}
	want := map[string][]notifier.Route{
		"default": {{Channel: "mail", Recipients: []string{"x@example.com", "y@example.com"}}, {Channel: "hook", Recipients: []string{"hook"}}, {Channel: "plain", Recipients: []string{"plain"}}},
		"deaf":    nil,
	}
	if diff := cmp.Diff(want, got.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]notifier.Route{{Channel: "slack", Recipients: []string{"slack"}}}, got.Fallback); diff != "" {
		t.Errorf("fallback (-want +got):\n%s", diff)
	}
	if got.AdminURL != "https://vigil.example.com" {
		t.Errorf("links start with %q", got.AdminURL)
	}
}

func TestSetup_NamesTheChannelAndNoSecret(t *testing.T) {
	t.Parallel()
	cfg := everyChannel()
	cfg.Channels[2].URL = "ftp://hooks.example.com/topsecret"
	_, err := setup(cfg, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `channel "hook"`) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("error %v, want one that names the channel and not its URL", err)
	}
	if err := CheckConfig(cfg); err == nil {
		t.Error("`config check` takes it for good")
	}
}

// The configuration knows the formats that there are.
func TestFormats(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(webhook.Formats(), slices.Sorted(slices.Values(config.Formats))); diff != "" {
		t.Error(diff)
	}
}

func TestChannelHash(t *testing.T) {
	t.Parallel()
	hash := func(c config.Channel, account string) string {
		t.Helper()
		h, err := channelHash(&config.Config{Admin: config.Admin{AccountID: account}}, c)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := config.Channel{Name: "c", Type: "t", Password: "1", WebhookURL: "2", Token: "3", URL: "4", Secret: "5", SMTP: "6", To: []string{"7"}}
	if first, again := hash(base, ""), hash(base, ""); first != again {
		t.Fatal("the hash is not the same twice")
	}
	seen := map[string]string{hash(base, ""): "the original"}
	for name, change := range map[string]func(*config.Channel){
		"password": func(c *config.Channel) { c.Password = "x" }, "webhook URL": func(c *config.Channel) { c.WebhookURL = "x" },
		"token": func(c *config.Channel) { c.Token = "x" }, "URL": func(c *config.Channel) { c.URL = "x" }, "secret": func(c *config.Channel) { c.Secret = "x" },
		"previous secret": func(c *config.Channel) { c.PreviousSecret = "x" }, "authorization": func(c *config.Channel) { c.Authorization = "x" }, "template": func(c *config.Channel) { c.TemplateText = "x" },
		"server": func(c *config.Channel) { c.SMTP = "x" }, "recipients": func(c *config.Channel) { c.To = []string{"7", "8"} }, "TLS": func(c *config.Channel) { c.TLS = "none" },
		"a secret moved to another key":   func(c *config.Channel) { c.Password, c.WebhookURL = "", "12" },
		"a character moved to the secret": func(c *config.Channel) { c.URL, c.Secret = "", "45" },
	} {
		changed := base
		change(&changed)
		h := hash(changed, "")
		if other, ok := seen[h]; ok {
			t.Errorf("a changed %s has the hash of %s", name, other)
		}
		seen[h] = name
	}
	if _, ok := seen[hash(base, "account")]; ok {
		t.Error("a changed account id does not change the hash")
	}
	for h := range seen {
		if len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
			t.Errorf("%q is no SHA-256", h)
		}
	}
}

func TestApplication(t *testing.T) {
	t.Parallel()
	roots, pair, page := x509.NewCertPool(), &tls.Certificate{}, template.New("page")
	in := config.Application{
		Name: "orders", Hostname: "orders.example.com", Path: "/api", Origin: "https://127.0.0.1:9000", SessionDuration: config.Duration{Duration: time.Hour},
		Mode: config.ModeReportOnly, Forwarding: "first",
		RFC9440: true, TLSClientAuthHeaders: true, RequestHeaders: map[string]string{"X-Cert-Serial": "{serial}"}, OptionsPreflightBypass: true,
		OriginRoots: roots, OriginPair: pair, OriginServerName: "orders.internal", OriginTLSID: "id",
		ConnectTimeout: config.Duration{Duration: time.Second}, OriginTimeout: config.Duration{Duration: time.Minute},
		DenyMessage: "Ask the desk.", DenyTemplate: page, DenyURL: "https://help.example.com/",
		Policies: []config.Policy{{
			Name: "devices", Action: "allow",
			Include: []config.Selector{
				{Certificate: true},
				{CA: "root"},
				{CommonName: config.Texts{"James Royal"}, CA: "root"},
				{SANDNS: config.Texts{"*.example.com", "a"}},
				{SANURI: config.Texts{"spiffe://a/*"}},
				{Issuer: config.Texts{"CN=Root"}},
				{Serial: config.Texts{"0A"}},
				{Fingerprint: config.Texts{"ab"}},
			},
			Require: []config.Selector{{IP: config.Texts{"192.0.2.0/24", "192.0.2.7"}}, {IP: config.Texts{"2001:db8::1"}, CA: "root"}},
			Exclude: []config.Selector{{Everyone: true}},
		}},
	}
	want := enforcer.Application{
		ID: objectID("application", "orders"), Name: "orders", Hostname: "orders.example.com", Path: "/api", Origin: in.OriginURL(),
		SessionDuration: time.Hour, ReportOnly: true, Forwarding: enforcer.ForwardFirst,
		RFC9440: true, TLSClientAuthHeaders: true, RequestHeaders: map[string]string{"X-Cert-Serial": "{serial}"}, OptionsPreflightBypass: true,
		OriginTLS:      enforcer.OriginTLS{Roots: roots, Certificate: pair, ServerName: "orders.internal", ID: "id"},
		ConnectTimeout: time.Second, OriginTimeout: time.Minute,
		Deny: enforcer.Denial{Message: "Ask the desk.", Page: page, URL: in.DenyTarget()},
		Policies: []enforcer.Policy{{
			Name: "devices", Action: enforcer.Allow,
			Include: []enforcer.Selector{
				{Certificate: true},
				{Certificate: true, CA: "root"},
				{CommonName: []string{"James Royal"}, CA: "root"},
				{SANDNS: []string{"*.example.com", "a"}},
				{SANURI: []string{"spiffe://a/*"}},
				{Issuer: []string{"CN=Root"}},
				{Serial: []string{"0A"}},
				{Fingerprint: []string{"ab"}},
			},
			Require: []enforcer.Selector{
				{IP: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.7/32")}},
				{IP: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/128")}, CA: "root"},
			},
			Exclude: []enforcer.Selector{{Everyone: true}},
		}},
	}
	if in.DenyTarget() == nil || in.DenyTarget().Host != "help.example.com" {
		t.Errorf("deny target %v", in.DenyTarget())
	}
	same := cmp.Options{
		cmpopts.EquateComparable(netip.Prefix{}),
		cmp.Comparer(func(a, b *x509.CertPool) bool { return a == b }),
		cmp.Comparer(func(a, b *tls.Certificate) bool { return a == b }),
		cmp.Comparer(func(a, b *template.Template) bool { return a == b }),
	}
	if diff := cmp.Diff(want, application(in), same); diff != "" {
		t.Errorf("application (-want +got):\n%s", diff)
	}
	plain := enforcer.Application{
		ID: objectID("application", ""), Hostname: "h", Path: "/", Origin: config.Application{Origin: "http://h"}.OriginURL(), Forwarding: enforcer.ForwardOff,
	}
	if diff := cmp.Diff(plain, application(config.Application{Hostname: "h", Path: "/", Origin: "http://h", Mode: config.ModeEnforce, Forwarding: "off"}), same); diff != "" {
		t.Errorf("what is off is on (-want +got):\n%s", diff)
	}
}

// TestApplication_TranslatesEveryField holds that a field that the enforcer
// gains is told to it.
func TestApplication_TranslatesEveryField(t *testing.T) {
	t.Parallel()
	roots, pair, page := x509.NewCertPool(), &tls.Certificate{}, template.New("page")
	span := config.Duration{Duration: time.Hour}
	full := application(config.Application{
		Name: "a", Hostname: "a", Path: "/", Origin: "https://a", SessionDuration: span, Mode: config.ModeReportOnly, Forwarding: "every",
		RFC9440: true, TLSClientAuthHeaders: true, RequestHeaders: map[string]string{"a": "b"}, OptionsPreflightBypass: true,
		OriginRoots: roots, OriginPair: pair, OriginServerName: "a", OriginTLSID: "a", ConnectTimeout: span, OriginTimeout: span,
		DenyMessage: "a", DenyTemplate: page, DenyURL: "https://a", Policies: []config.Policy{{Name: "p"}},
	})
	full.AUD = "from the store"
	for _, part := range []any{full, full.OriginTLS, full.Deny} {
		for i := range reflect.TypeOf(part).NumField() {
			name := reflect.TypeOf(part).Field(i).Name
			if byAPI := name == "OriginGuard" || name == "Cookie"; reflect.ValueOf(part).Field(i).IsZero() != byAPI {
				t.Errorf("%T: %s is left out, or is the API's alone", part, name)
			}
		}
	}
}

// TestDeclared holds that what the configuration says of the state is told,
// each field of it, and that the defaults stay the defaults.
func TestDeclared(t *testing.T) {
	t.Parallel()
	full := declared(&config.Config{
		Applications: []config.Application{{Name: "a"}},
		Enforcer: config.Enforcer{
			CRLStale: config.CRLKeep, CRLGrace: config.Duration{Duration: time.Hour}, DefaultHostname: "a", Issuer: "https://a", RequireEKU: true,
			SessionTickets: true, TrustedProxies: []string{"10.0.0.0/8"}, Certificates: make([]config.Certificate, 1),
		},
	})
	stored := []string{"Generation", "Bundles", "Revoked", "RevokedKeys", "RevocationLists", "SigningKeys"}
	for i := range reflect.TypeOf(full).NumField() {
		name := reflect.TypeOf(full).Field(i).Name
		if got := !reflect.ValueOf(full).Field(i).IsZero(); got == slices.Contains(stored, name) {
			t.Errorf("%s is said by the configuration: %t", name, got)
		}
	}
	cfg := config.Default()
	if got := declared(&cfg); got.KeepStale || got.Grace != 0 || !got.SessionTickets {
		t.Errorf("by default: %+v", got)
	}
}

func TestObjectID(t *testing.T) {
	t.Parallel()
	if a, b := objectID("application", "orders"), objectID("application", "orders"); a != b {
		t.Errorf("%s, then %s for the same object", a, b)
	}
	if objectID("application", "orders") == objectID("channel", "orders") || objectID("a", "bc") == objectID("ab", "c") {
		t.Error("two objects have one id")
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	some := []config.Certificate{{Cert: "server.pem"}}
	for _, tt := range []struct {
		name string
		cfg  config.Config
		want bool
	}{
		{"nothing", config.Config{}, false},
		{"a listener alone", config.Config{Enforcer: config.Enforcer{Listen: ":8443"}}, false},
		{"a server certificate alone", config.Config{Enforcer: config.Enforcer{Certificates: some}}, false},
		{"both, without any application", config.Config{Enforcer: config.Enforcer{Listen: ":8443", Certificates: some}}, true},
	} {
		if got := guards(&tt.cfg); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
