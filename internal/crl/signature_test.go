package crl_test

import (
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
)

// TestCheckIssuer_Tampered changes every octet of a list in several ways: it
// no longer parses, or is not the CA's.
func TestCheckIssuer_Tampered(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]certtest.Option{"ECDSA": certtest.NewKey(), "RSA": certtest.RSA(2048)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewCA(key)
			der := ca.CRL(dates, certtest.RevokeSerials(big.NewInt(300)), certtest.RevokeWith(big.NewInt(5), certtest.Reason(1)))
			for i := range der {
				for _, mask := range []byte{0x01, 0x02, 0x80, 0xFF} {
					der[i] ^= mask
					l, err := crl.Parse(der)
					if err == nil {
						err = l.CheckIssuer(ca.Certificate)
					}
					if err == nil {
						t.Errorf("octet %d changed by %#x is not noticed", i, mask)
					}
					der[i] ^= mask
				}
			}
			if err := mustParse(t, der).CheckIssuer(ca.Certificate); err != nil {
				t.Errorf("the list as it was: %v", err)
			}
		})
	}
}

// TestCheckIssuer_AgreesWithX509 pairs lists with CAs that issued them, and
// with others: x509 and we think the same of each.
func TestCheckIssuer_AgreesWithX509(t *testing.T) {
	t.Parallel()
	var cas []*certtest.Certificate
	for _, key := range []certtest.Option{certtest.NewKey(), certtest.RSA(2048), certtest.RSA(3072), certtest.NewKey()} {
		cas = append(cas, certtest.NewCA(key))
	}
	first := cas[0]
	cas = append(cas,
		first.Renew(certtest.KeyUsage(x509.KeyUsageCertSign)), first.Renew(certtest.KeyUsage(0)), first.Renew(certtest.KeyUsage(x509.KeyUsageCRLSign)),
		first.Renew(certtest.IsCA(false)), first.Renew(certtest.NoBasicConstraints(), certtest.IsCA(false)))
	agreed := 0
	for i, issuer := range cas {
		der := issuer.CRL(certtest.RevokeSerials(big.NewInt(1)))
		ours := mustParse(t, der)
		theirs, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		for j, ca := range cas {
			our, their := ours.CheckIssuer(ca.Certificate), theirs.CheckSignatureFrom(ca.Certificate)
			if (our == nil) != (their == nil) {
				t.Errorf("list %d and CA %d: we say %v, x509 says %v", i, j, our, their)
			}
			if our == nil {
				agreed++
			}
		}
	}
	if want := 3 + 6*3; agreed != want { // the first and its five renewals by its three sound forms
		t.Errorf("%d pairs fit, want %d", agreed, want)
	}
}

// TestCheckIssuer_OtherEncoding: the same text in another type of string is the
// same name, since cfssl writes PrintableString where OpenSSL made the CA with
// UTF8String; another text is not.
func TestCheckIssuer_OtherEncoding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		issuer []byte
		rule   string
	}{
		{"a printable string", rdn(asn1.TagPrintableString, "Access CA"), ""},
		{"in other letters", rdn(asn1.TagPrintableString, "ACCESS CA"), "crl_issuer"},
		{"with another end", rdn(asn1.TagPrintableString, "Access CA "), "crl_issuer"},
	} {
		ca := certtest.NewCA(certtest.RawSubject(rdn(utf8String, "Access CA")))
		list := mustParse(t, ca.CRL(certtest.CRLIssuer(tt.issuer)))
		checkRule(t, list.CheckIssuer(ca.Certificate), tt.rule)
		namesake := certtest.NewCA(certtest.RawSubject(rdn(utf8String, "Access CA")))
		if err := list.CheckIssuer(namesake.Certificate); err == nil {
			t.Errorf("%s: another key's signature is accepted", tt.name)
		}
	}
}
