package cert_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// points is a certificate's extension with one CRL distribution point.
func points(t *testing.T, url string) certtest.Option {
	t.Helper()
	type name struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type point struct {
		Name name `asn1:"optional,tag:0"`
	}
	der, err := asn1.Marshal([]point{{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return certtest.Extension(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: der})
}

func TestCompare(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	year := certtest.Validity(begin, begin.AddDate(1, 0, 0))
	next := certtest.Validity(begin.AddDate(0, 11, 0), begin.AddDate(1, 11, 0))
	ca := certtest.NewCA()
	leaf := func(o ...certtest.Option) *certtest.Certificate {
		return ca.Issue(append([]certtest.Option{certtest.CommonName("James"), certtest.Client(), year}, o...)...)
	}
	authority := func(o ...certtest.Option) *certtest.Certificate {
		return certtest.NewCA(append([]certtest.Option{certtest.CommonName("Root"), year}, o...)...)
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, tt := range []struct {
		name      string
		old, next *certtest.Certificate
		field     string
		loss      bool
		warning   string // part of it
	}{
		{"the same", leaf(), leaf(), "extended_key_usage", false, ""},
		{"smaller RSA key", leaf(certtest.RSA(3072)), leaf(certtest.RSA(2048)), "key", true, "RSA 2048 in place of RSA 3072"},
		{"larger RSA key", leaf(certtest.RSA(2048)), leaf(certtest.RSA(3072)), "key", false, ""},
		{"another type of key", leaf(certtest.RSA(2048)), leaf(), "key", true, "knows only RSA"},
		{"a weaker curve", leaf(certtest.ECDSA(elliptic.P384())), leaf(), "key", true, "ECDSA P-256 in place of ECDSA P-384"},
		{"a client's new key", leaf(), leaf(certtest.NewKey()), "public_key_sha256", false, ""},
		{"a CA's new key", authority(), authority(certtest.NewKey()), "public_key_sha256", true, "does not verify by the new one"},
		{"a name lost", leaf(certtest.DNS("a.example", "b.example")), leaf(certtest.DNS("b.example")), "sans", true, "lacks the names dns:a.example"},
		{"a name more", leaf(certtest.DNS("a.example")), leaf(certtest.DNS("b.example", "a.example")), "sans", false, ""},
		{"key usage lost", leaf(certtest.KeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment)), leaf(certtest.KeyUsage(x509.KeyUsageDigitalSignature)), "key_usage", true, "keyEncipherment"},
		{"key usage limited", leaf(certtest.KeyUsage(0)), leaf(certtest.KeyUsage(x509.KeyUsageDigitalSignature)), "key_usage", true, "limited to digitalSignature"},
		{"usage lost", leaf(certtest.Usage(both...)), leaf(), "extended_key_usage", true, "not for serverAuth"},
		{"client authentication lost", leaf(certtest.Usage(both...)), leaf(certtest.Usage(x509.ExtKeyUsageServerAuth)), "extended_key_usage", true, "clients with it are refused"},
		{"any usage lost", leaf(certtest.Usage()), leaf(), "extended_key_usage", true, "limited to clientAuth"},
		{"any usage won", leaf(), leaf(certtest.Usage()), "extended_key_usage", false, ""},
		{"distribution point lost", leaf(points(t, "http://crl.example/a")), leaf(), "crl_distribution_points", true, "http://crl.example/a"},
		{"distribution point kept", leaf(points(t, "http://crl.example/a")), leaf(points(t, "http://crl.example/a")), "crl_distribution_points", false, ""},
		{"shorter path", authority(certtest.MaxPathLen(2)), authority(certtest.MaxPathLen(1)), "path_length", true, "fewer intermediates"},
		{"longer path", authority(certtest.MaxPathLen(1)), authority(certtest.MaxPathLen(2)), "path_length", false, ""},
		{"constrained", authority(), authority(certtest.PermittedDNS("example.com")), "name_constraints", true, "other names"},
		{"freed", authority(certtest.PermittedDNS("example.com")), authority(), "name_constraints", false, ""},
		{"shorter life", leaf(), leaf(certtest.Validity(begin, begin.AddDate(0, 3, 0))), "lifetime", true, "lives shorter"},
		{"a day shorter", leaf(), leaf(certtest.Validity(begin, begin.AddDate(1, 0, -1))), "lifetime", false, ""},
		{"overlapping", leaf(), leaf(next), "validity", false, ""},
		{"a gap", leaf(), leaf(certtest.Validity(begin.AddDate(1, 1, 0), begin.AddDate(2, 1, 0))), "validity", true, "neither certificate is valid from 2027-03-01T00:00:00Z to 2027-04-01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := false
			for _, d := range cert.Compare(tt.old.Certificate, tt.next.Certificate) {
				if (d.Warning != "") != d.Loss {
					t.Errorf("%s: loss %v with the warning %q", d.Field, d.Loss, d.Warning)
				}
				if d.Field != tt.field {
					continue
				}
				found = true
				if d.Loss != tt.loss || !strings.Contains(d.Warning, tt.warning) {
					t.Errorf("%+v, want loss %v and a warning of %q", d, tt.loss, tt.warning)
				}
			}
			if !found {
				t.Errorf("no difference of %s", tt.field)
			}
		})
	}
}

// TestCompare_Same holds that nothing differs between a certificate and itself.
func TestCompare_Same(t *testing.T) {
	t.Parallel()
	for _, c := range []*certtest.Certificate{certtest.NewCA(certtest.PermittedDNS("example.com")), certtest.NewCA().Issue(certtest.DNS("b", "a"), certtest.Client())} {
		for _, d := range cert.Compare(c.Certificate, c.Certificate) {
			if d.Changed() {
				t.Errorf("%+v", d)
			}
		}
	}
}
