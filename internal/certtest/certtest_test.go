package certtest_test

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/certtest"
)

func verify(t *testing.T, leaf *certtest.Certificate, usage x509.ExtKeyUsage, root *certtest.Certificate, intermediates ...*certtest.Certificate) error {
	t.Helper()
	pool := x509.NewCertPool()
	for _, c := range intermediates {
		pool.AddCert(c.Certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: root.Pool(), Intermediates: pool, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestIssue(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
	intermediate := ca.Intermediate(certtest.CommonName("Access Intermediate"))
	leaf := intermediate.Issue(certtest.CommonName("James Royal"), certtest.Client(), certtest.DNS(""))

	if err := verify(t, leaf, x509.ExtKeyUsageClientAuth, ca, intermediate); err != nil {
		t.Errorf("the leaf does not verify: %v", err)
	}
	if err := verify(t, leaf, x509.ExtKeyUsageServerAuth, ca, intermediate); err == nil {
		t.Error("the client certificate verifies as a server's")
	}
	if got := len(leaf.TLSChain().Certificate); got != 2 {
		t.Errorf("TLSChain has %d certificates, want the leaf and its intermediate", got)
	}
	if _, err := tls.X509KeyPair(leaf.PEM(), leaf.KeyPEM()); err != nil {
		t.Errorf("the key does not fit the certificate: %v", err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	end := ca.NotAfter.AddDate(1, 0, 0)
	renewed := ca.Renew(certtest.Validity(ca.NotBefore, end))
	leaf := ca.Issue(certtest.Client())

	if !renewed.NotAfter.Equal(end) || renewed.SerialNumber.Cmp(ca.SerialNumber) == 0 {
		t.Errorf("the renewed CA ends at %s with serial %X", renewed.NotAfter, renewed.SerialNumber)
	}
	if err := verify(t, leaf, x509.ExtKeyUsageClientAuth, renewed); err != nil {
		t.Errorf("a leaf of the CA does not verify under the renewed one: %v", err)
	}
	if err := verify(t, leaf, x509.ExtKeyUsageClientAuth, ca.Renew(certtest.NewKey())); err == nil {
		t.Error("a leaf of the CA verifies under one with another key")
	}
}

func TestCrossSigned(t *testing.T) {
	t.Parallel()
	old, next := certtest.NewCA(certtest.CommonName("old")), certtest.NewCA(certtest.CommonName("new"))
	leaf := next.Issue(certtest.Client())
	if err := verify(t, leaf, x509.ExtKeyUsageClientAuth, old, next.CrossSigned(old)); err != nil {
		t.Errorf("the leaf does not verify through the cross-signed CA: %v", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, option := range map[string]certtest.Option{
		"RSA": certtest.RSA(2048), "P-384": certtest.ECDSA(elliptic.P384()), "Ed25519": certtest.Ed25519(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewCA(option, certtest.Validity(now.Add(-time.Hour), now.Add(time.Hour)))
			if err := verify(t, ca.Issue(certtest.Server("example.com", "127.0.0.1")), x509.ExtKeyUsageServerAuth, ca); err != nil {
				t.Error(err)
			}
		})
	}
	sha1 := certtest.NewCA(certtest.RSA(2048), certtest.Signature(x509.SHA1WithRSA))
	if sha1.SignatureAlgorithm != x509.SHA1WithRSA {
		t.Errorf("signature algorithm %s", sha1.SignatureAlgorithm)
	}
}
