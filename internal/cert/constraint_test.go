package cert_test

import (
	"crypto/x509"
	"testing"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

func TestWidens(t *testing.T) {
	t.Parallel()
	client, server := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	ca := func(options ...certtest.Option) *x509.Certificate { return certtest.NewCA(options...).Certificate }
	for _, tc := range []struct {
		name      string
		old, next *x509.Certificate
		want      bool
	}{
		{"nothing constrained", ca(), ca(), false},
		{"a path length is new", ca(), ca(certtest.MaxPathLen(0)), false},
		{"the path length is the same", ca(certtest.MaxPathLen(1)), ca(certtest.MaxPathLen(1)), false},
		{"the path is shorter", ca(certtest.MaxPathLen(1)), ca(certtest.MaxPathLen(0)), false},
		{"the path is longer", ca(certtest.MaxPathLen(0)), ca(certtest.MaxPathLen(1)), true},
		{"the path is unlimited", ca(certtest.MaxPathLen(0)), ca(), true},
		{"usages are new", ca(), ca(certtest.Usage(client)), false},
		{"the usages are the same", ca(certtest.Usage(client)), ca(certtest.Usage(client)), false},
		{"one usage less", ca(certtest.Usage(client, server)), ca(certtest.Usage(client)), false},
		{"one usage more", ca(certtest.Usage(server)), ca(certtest.Usage(client, server)), true},
		{"any usage", ca(certtest.Usage(server)), ca(certtest.Usage(server, x509.ExtKeyUsageAny)), true},
		{"no usage, which is any", ca(certtest.Usage(server)), ca(), true},
		{"it was any", ca(certtest.Usage(x509.ExtKeyUsageAny)), ca(), false},
		{"the names are the same", ca(certtest.PermittedDNS("a.example")), ca(certtest.PermittedDNS("a.example")), false},
		{"names unconstrained", ca(certtest.PermittedDNS("a.example")), ca(), true},
		{"other names", ca(certtest.PermittedDNS("a.example")), ca(certtest.PermittedDNS("b.example")), true},
		{"names newly constrained", ca(), ca(certtest.PermittedDNS("a.example")), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := cert.Widens(tc.old, tc.next); got != tc.want {
				t.Errorf("Widens = %v, want %v", got, tc.want)
			}
		})
	}
}
