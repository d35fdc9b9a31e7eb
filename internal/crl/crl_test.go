package crl_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
)

// The dates of the test lists, unless a test's name says otherwise.
var (
	thisUpdate = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	nextUpdate = thisUpdate.AddDate(0, 0, 5)
	dates      = certtest.Updates(thisUpdate, nextUpdate)
)

func mustParse(t testing.TB, der []byte) *crl.List {
	t.Helper()
	l, err := crl.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// checkRule holds a fault to its rule and to what a person needs of it; the
// empty rule means no fault.
func checkRule(t testing.TB, err error, rule string) {
	t.Helper()
	if fault.Rule(err) != rule || (err == nil) != (rule == "") {
		t.Errorf("the rule is %q (%v), want %q", fault.Rule(err), err, rule)
	}
	if err != nil && (fault.Hint(err) == "" || fault.KindOf(err) == fault.Internal || len(err.Error()) > 500) {
		t.Errorf("a fault without hint or kind, or too long: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
	leaf, other := ca.Issue(), ca.Issue()
	l := mustParse(t, ca.CRL(dates, certtest.CRLNumber(300), certtest.Revoke(leaf)))

	if l.Issuer != "CN=Access Testing CA" || string(l.RawIssuer) != string(ca.RawSubject) {
		t.Errorf("issuer %q", l.Issuer)
	}
	if l.ThisUpdate != thisUpdate || l.NextUpdate != nextUpdate {
		t.Errorf("from %s to %s", l.ThisUpdate, l.NextUpdate)
	}
	if l.Number == nil || l.Number.Int64() != 300 {
		t.Errorf("number %s", l.Number)
	}
	if !l.Revokes(leaf.SerialNumber) || l.Revokes(other.SerialNumber) || l.Len() != 1 {
		t.Errorf("of two certificates, of which one is revoked: %t, %t, length %d", l.Revokes(leaf.SerialNumber), l.Revokes(other.SerialNumber), l.Len())
	}
	if err := l.CheckIssuer(ca.Certificate); err != nil {
		t.Error(err)
	}
}

func TestParse_WithoutNumber(t *testing.T) {
	t.Parallel()
	if l := mustParse(t, certtest.NewCA().CRL(certtest.NoCRLNumber())); l.Number != nil {
		t.Errorf("number %s", l.Number)
	}
}

func TestList_Serials(t *testing.T) {
	t.Parallel()
	number := func(hex string) *big.Int {
		n, ok := new(big.Int).SetString(hex, 16)
		if !ok {
			t.Fatalf("%q is no hex", hex)
		}
		return n
	}
	listed := []*big.Int{
		number("0"), number("1"), number("7f"), number("80"), number("ff"), number("100"), number("ff00"),
		number("7fffffffffffffffffffffffffffffffffffffff"), number("ffffffffffffffffffffffffffffffffffffffff"),
	}
	ca := certtest.NewCA()
	l := mustParse(t, ca.CRL(certtest.RevokeSerials(listed...), certtest.RevokeSerials(listed[:3]...)))

	got := slices.SortedFunc(l.Serials(), (*big.Int).Cmp)
	if diff := cmp.Diff(listed, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("serials (-want +got):\n%s", diff)
	}
	if l.Len() != len(listed) {
		t.Errorf("length %d, want %d: duplicates count once", l.Len(), len(listed))
	}
	for _, n := range listed {
		if !l.Revokes(n) {
			t.Errorf("%X is not revoked", n)
		}
	}
	for _, n := range []*big.Int{
		number("2"), number("ff01"), number("10000"), number("-1"), number("-7f"),
		number("1ffffffffffffffffffffffffffffffffffffffff"), number("ffffffffffffffffffffffffffffffffffffffff00"),
	} {
		if l.Revokes(n) {
			t.Errorf("%X is revoked", n)
		}
	}
	for range l.Serials() {
		break // an early end is no panic
	}
}

func TestList_Empty(t *testing.T) {
	t.Parallel()
	l := mustParse(t, certtest.NewCA().CRL())
	if l.Len() != 0 || l.Revokes(big.NewInt(0)) || l.Revokes(big.NewInt(1)) {
		t.Errorf("an empty list names %d", l.Len())
	}
	for n := range l.Serials() {
		t.Errorf("an empty list yields %s", n)
	}
}

func TestList_InForceUntil(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name            string
		validity, grace time.Duration
		want            time.Duration // after nextUpdate
	}{
		{"one more period", 5 * day, 0, 5 * day},
		{"just seven days", 7 * day, 0, 7 * day},
		{"at most seven days", 7*day + time.Second, 0, 7 * day},
		{"as told", 5 * day, time.Hour, time.Hour},
		{"as told, longer than the default", 5 * day, 30 * day, 30 * day},
	}
	ca := certtest.NewCA()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			next := thisUpdate.Add(tt.validity)
			l := mustParse(t, ca.CRL(certtest.Updates(thisUpdate, next)))
			if got := l.InForceUntil(tt.grace).Sub(next); got != tt.want {
				t.Errorf("in force for %s after nextUpdate, want %s", got, tt.want)
			}
		})
	}
}

func TestList_CheckIssuer(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	l := mustParse(t, ca.CRL())
	sameName := certtest.NewCA()
	tests := []struct {
		name string
		list *crl.List
		ca   *certtest.Certificate
		rule string
	}{
		{"its issuer", l, ca, ""},
		{"its issuer, renewed", l, ca.Renew(), ""},
		{"its issuer without key usage", l, ca.Renew(certtest.KeyUsage(0)), ""},
		{"its issuer, cross-signed", l, ca.CrossSigned(sameName), ""},
		{"another CA", l, certtest.NewCA(certtest.CommonName("other")), "crl_issuer"},
		{"the key under another name", l, ca.Renew(certtest.CommonName("other")), "crl_issuer"},
		{"another CA of the same name", l, sameName, "crl_signature"},
		{"another kind of key", l, certtest.NewCA(certtest.RSA(2048)), "crl_signature"},
		{"a CA that may not sign lists", l, ca.Renew(certtest.KeyUsage(x509.KeyUsageCertSign)), "crl_sign_usage"},
		{"no CA", l, ca.Renew(certtest.IsCA(false)), "crl_issuer_ca"},
		{"without basic constraints", l, ca.Renew(certtest.IsCA(false), certtest.NoBasicConstraints()), "crl_issuer_ca"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkRule(t, tt.list.CheckIssuer(tt.ca.Certificate), tt.rule)
		})
	}
}

func TestList_CheckIssuer_Algorithms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		algorithm x509.SignatureAlgorithm
		key       certtest.Option
		rule      string // of Parse
	}{
		{x509.SHA256WithRSA, certtest.RSA(2048), ""},
		{x509.SHA384WithRSA, certtest.RSA(2048), ""},
		{x509.SHA512WithRSA, certtest.RSA(2048), ""},
		{x509.ECDSAWithSHA256, certtest.ECDSA(elliptic.P256()), ""},
		{x509.ECDSAWithSHA384, certtest.ECDSA(elliptic.P384()), ""},
		{x509.ECDSAWithSHA512, certtest.ECDSA(elliptic.P521()), ""},
		{x509.ECDSAWithSHA512, certtest.ECDSA(elliptic.P256()), ""},
		{x509.SHA1WithRSA, certtest.RSA(2048), "signature_algorithm"},
		{x509.ECDSAWithSHA1, certtest.ECDSA(elliptic.P256()), "signature_algorithm"},
		{x509.SHA256WithRSAPSS, certtest.RSA(2048), "signature_algorithm"},
		{x509.PureEd25519, certtest.Ed25519(), "signature_algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.algorithm.String(), func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewCA(tt.key)
			der := ca.CRL(certtest.CRLSignature(tt.algorithm))
			l, err := crl.Parse(der)
			checkRule(t, err, tt.rule)
			if err != nil {
				return
			}
			if err := l.CheckIssuer(ca.Certificate); err != nil {
				t.Error(err)
			}
			parsed, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.CheckSignatureFrom(ca.Certificate); err != nil {
				t.Error("x509 does not agree:", err)
			}
		})
	}
}
