package app

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
)

// with is guarding with more keys of the application.
func (h *house) with(policy, more string) string {
	return strings.Replace(h.guarding(policy, "30d"), "[[application.policy]]", more+"\n[[application.policy]]", 1)
}

func (h *house) reload(text string) {
	h.t.Helper()
	h.write("config.toml", text)
	if err := h.Reload(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// TestOriginTLS shows that what the configuration says of TLS to the origin
// counts, and that other content of the same files counts after a reload.
func TestOriginTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := certtest.NewCA(), certtest.NewCA(certtest.CommonName("stranger"))
	gateway := ca.Issue(certtest.Client())
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.ServerName)
	}))
	origin.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(certtest.Server("orders.internal")).TLS()}, MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
	}
	origin.StartTLS()
	t.Cleanup(origin.Close)
	const more = `origin_ca = "origin-ca.pem"
origin_cert = "gateway.pem"
origin_key = "gateway-key.pem"
origin_server_name = "orders.internal"`
	h := newHouse(t, func(h *house) string {
		h.origin = origin.URL
		h.write("origin-ca.pem", string(ca.PEM()))
		h.write("gateway.pem", string(gateway.PEM()))
		h.write("gateway-key.pem", string(gateway.KeyPEM()))
		return h.with(open, more)
	})
	if answer, body := h.visit(); answer.StatusCode != http.StatusOK || body != "orders.internal" {
		t.Fatalf("%d %q, want the origin's answer", answer.StatusCode, body)
	}
	for _, tt := range []struct {
		name string
		do   func()
		want int
	}{
		{"another CA in the same file", func() {
			h.write("origin-ca.pem", string(stranger.PEM()))
			h.reload(h.with(open, more))
		}, http.StatusBadGateway},
		{"the CA is back", func() {
			h.write("origin-ca.pem", string(ca.PEM()))
			h.reload(h.with(open, more))
		}, http.StatusOK},
		{"a certificate that the origin does not know", func() {
			other := stranger.Issue(certtest.Client())
			h.write("gateway.pem", string(other.PEM()))
			h.write("gateway-key.pem", string(other.KeyPEM()))
			h.reload(h.with(open, more))
		}, http.StatusBadGateway},
		{"the certificate is back", func() {
			h.write("gateway.pem", string(gateway.PEM()))
			h.write("gateway-key.pem", string(gateway.KeyPEM()))
			h.reload(h.with(open, more))
		}, http.StatusOK},
		{"another name", func() { h.reload(h.with(open, strings.Replace(more, "orders.internal", "shop.internal", 1))) }, http.StatusBadGateway},
		{"the system's roots", func() { h.reload(h.with(open, strings.Replace(more, `origin_ca = "origin-ca.pem"`, "", 1))) }, http.StatusBadGateway},
		{"all as before", func() { h.reload(h.with(open, more)) }, http.StatusOK},
	} {
		tt.do()
		if got := h.status(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestDenials(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.with(closed, `custom_deny_message = "Ask the <desk>."`) })
	if answer, body := h.visit(); answer.StatusCode != http.StatusForbidden || !strings.Contains(body, "Ask the &lt;desk&gt;.") {
		t.Errorf("a message: %d\n%s", answer.StatusCode, body)
	}
	h.write("denied.html", "<h1>Not here</h1>{{.Message}} {{.RequestID}}")
	h.reload(h.with(closed, "custom_deny_message = \"Ask.\"\ncustom_deny_page = \"denied.html\""))
	answer, body := h.visit()
	if want := "<h1>Not here</h1>Ask. " + answer.Header.Get("X-Request-Id"); answer.StatusCode != http.StatusForbidden || body != want {
		t.Errorf("a page: %d %q, want %q", answer.StatusCode, body, want)
	}
	h.reload(h.with(closed, `custom_non_identity_deny_url = "https://help.example.com/denied"`))
	if answer, _ := h.visit(); answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != "https://help.example.com/denied" {
		t.Errorf("an address: %d, to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	// What the enforcer alone can see is refused, and the old answer stays.
	h.write("config.toml", h.with(closed, `custom_non_identity_deny_url = "https://`+orders+`/denied"`))
	if err := h.Reload(t.Context()); err == nil {
		t.Error("a circle was taken")
	}
	if answer, _ := h.visit(); answer.StatusCode != http.StatusFound {
		t.Errorf("after a refused reload: %d, want 302 as before", answer.StatusCode)
	}
}
