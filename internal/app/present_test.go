package app

import (
	"crypto/x509"
	"maps"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
)

// The certificates of both listeners are watched, each with its file.
func TestPresented(t *testing.T) {
	t.Parallel()
	guard, admin := certtest.NewCA().Issue(certtest.Server("a.example.com")).TLS(), certtest.NewCA().Issue(certtest.Server("b.example.com")).TLS()
	cfg := config.Default()
	if got := presented(&cfg); len(got) != 0 {
		t.Errorf("without certificates: %d are presented", len(got))
	}
	cfg.Enforcer.Certificates = []config.Certificate{{Cert: "guard.pem", Pair: guard}}
	cfg.Admin.TLSCert, cfg.Admin.TLS = "admin.pem", &admin
	got := map[string]*x509.Certificate{}
	for _, p := range presented(&cfg) {
		got[p.Path] = p.Certificate
	}
	if want := map[string]*x509.Certificate{"guard.pem": guard.Leaf, "admin.pem": admin.Leaf}; !maps.Equal(got, want) {
		t.Errorf("presented: %d of %d certificates, or of other files", len(got), len(want))
	}
}
