package certtest_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/certtest"
)

func TestCRL(t *testing.T) {
	t.Parallel()
	thisUpdate := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ca := certtest.NewCA()
	leaf := ca.Issue()
	list, err := x509.ParseRevocationList(ca.CRL(
		certtest.CRLNumber(7), certtest.Updates(thisUpdate, thisUpdate.AddDate(30, 0, 0)),
		certtest.Revoke(leaf), certtest.RevokeWith(big.NewInt(5), certtest.Reason(1))))
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(ca.Certificate); err != nil {
		t.Error(err)
	}
	if !list.ThisUpdate.Equal(thisUpdate) || !list.NextUpdate.Equal(thisUpdate.AddDate(30, 0, 0)) || list.Number.Int64() != 7 {
		t.Errorf("number %s, from %s to %s", list.Number, list.ThisUpdate, list.NextUpdate)
	}
	entries := list.RevokedCertificateEntries
	if len(entries) != 2 || entries[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 || entries[1].ReasonCode != 1 {
		t.Errorf("entries %v", entries)
	}
}

func TestCRL_Signatures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		algorithm x509.SignatureAlgorithm
		key       certtest.Option
	}{
		{x509.SHA256WithRSA, certtest.RSA(2048)},
		{x509.SHA512WithRSAPSS, certtest.RSA(2048)},
		{x509.ECDSAWithSHA384, certtest.ECDSA(elliptic.P384())},
		{x509.PureEd25519, certtest.Ed25519()},
	}
	for _, tt := range tests {
		t.Run(tt.algorithm.String(), func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewCA(tt.key)
			list, err := x509.ParseRevocationList(ca.CRL(certtest.CRLSignature(tt.algorithm)))
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(ca.Certificate); err != nil || list.SignatureAlgorithm != tt.algorithm {
				t.Errorf("%s: %v", list.SignatureAlgorithm, err)
			}
		})
	}
}
