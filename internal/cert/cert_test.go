package cert_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// testTime is when every test certificate is valid, unless its name says not.
var (
	testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	valid    = certtest.Validity(testTime.AddDate(-1, 0, 0), testTime.AddDate(1, 0, 0))
)

func TestSerial(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	for serial, want := range map[int64]string{
		1: "01", 0x0A: "0A", 0xFF: "FF", 0x0ABC: "0ABC", 0x527E0F20: "527E0F20",
	} {
		if got := cert.Serial(ca.Issue(certtest.Serial(serial)).Certificate); got != want {
			t.Errorf("Serial(%d) = %q, want %q", serial, got, want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	c := &x509.Certificate{Raw: []byte("abc")}
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4, "abc"
	if got := cert.Fingerprint(c); got != want {
		t.Errorf("Fingerprint = %q, want %q", got, want)
	}
}

func TestDistinguishedNames(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.Subject(pkix.Name{
		Country: []string{"US"}, Province: []string{"Texas"}, Locality: []string{"Austin"},
		Organization: []string{"Access Testing, Inc."}, OrganizationalUnit: []string{"TX"}, CommonName: "Access Testing CA",
	}))
	leaf := ca.Issue(certtest.CommonName("James\nRoyal"))

	const wantIssuer = `CN=Access Testing CA,OU=TX,O=Access Testing\, Inc.,L=Austin,ST=Texas,C=US`
	if got := cert.IssuerDN(leaf.Certificate); got != wantIssuer {
		t.Errorf("IssuerDN = %s, want %s", got, wantIssuer)
	}
	if got, want := cert.SubjectDN(leaf.Certificate), `CN=James\0ARoyal`; got != want {
		t.Errorf("SubjectDN = %q, want %q", got, want)
	}
	reversed := ca.Issue(certtest.CommonName("Roy\u202eal Zoë"))
	if got, want := cert.SubjectDN(reversed.Certificate), `CN=Roy\E2\80\AEal Zoë`; got != want {
		t.Errorf("SubjectDN = %q, want %q", got, want)
	}
	if got := cert.SubjectDN(ca.Issue(certtest.CommonName()).Certificate); got != "" {
		t.Errorf("SubjectDN of an empty subject = %q", got)
	}
}

func TestCommonNames(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	for name, want := range map[string][]string{
		"none": nil, "one": {"James Royal"}, "several": {"admin", "James Royal"}, "empty": {""},
	} {
		t.Run(name, func(t *testing.T) {
			got := cert.CommonNames(ca.Issue(certtest.CommonName(want...)).Certificate)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSANs(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	leaf := ca.Issue(certtest.URI("spiffe://example.com/a"), certtest.Email("a@example.com"),
		certtest.IP("10.0.0.1", "2001:db8::1"), certtest.DNS("b.example.com", "a.example.com"))
	want := []string{
		"dns:b.example.com", "dns:a.example.com", "ip:10.0.0.1", "ip:2001:db8::1",
		"email:a@example.com", "uri:spiffe://example.com/a",
	}
	if diff := cmp.Diff(want, cert.SANs(leaf.Certificate)); diff != "" {
		t.Error(diff)
	}
	// cfssl writes an empty dNSName for "hosts": [""].
	if got := cert.SANs(ca.Issue(certtest.DNS("")).Certificate); len(got) != 0 {
		t.Errorf("SANs of an empty name = %q, want none", got)
	}
}

func TestSignedBy(t *testing.T) {
	t.Parallel()
	ca, other := certtest.NewCA(), certtest.NewCA()
	leaf := ca.Issue()
	tests := []struct {
		name          string
		child, parent *certtest.Certificate
		want          bool
	}{
		{"its issuer", leaf, ca, true},
		{"an issuer with the same key and another name", leaf, certtest.NewCA(certtest.Key(ca.Key), certtest.CommonName("renamed")), true},
		{"another CA of the same name", leaf, other, false},
		{"itself", ca, ca, true},
		{"the reverse", ca, leaf, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cert.SignedBy(tt.child.Certificate, tt.parent.Certificate); got != tt.want {
				t.Errorf("SignedBy = %t", got)
			}
		})
	}
}

func TestCheckSuccessor(t *testing.T) {
	t.Parallel()
	later := certtest.Validity(testTime, testTime.AddDate(2, 0, 0))
	ca := certtest.NewCA(valid, certtest.CommonName("CA"))
	leaf := ca.Issue(valid, certtest.CommonName("James Royal"), certtest.DNS("a", "b"))
	utf8, err := asn1.MarshalWithParams("James Royal", "utf8")
	if err != nil {
		t.Fatal(err)
	}
	otherEncoding := certtest.RawSubject(rawCommonName(t, utf8))

	tests := []struct {
		name      string
		old, next *certtest.Certificate
		rule      string
	}{
		{"a renewed CA", ca, ca.Renew(later), ""},
		{"a renewed CA with another key", ca, ca.Renew(later, certtest.NewKey()), ""},
		{"a renewed leaf", leaf, leaf.Renew(later), ""},
		{"a renewed leaf of another issuer", leaf, certtest.NewCA(valid).Issue(later, certtest.CommonName("James Royal"), certtest.DNS("a", "b")), ""},
		{"another order of names", leaf, ca.Issue(later, certtest.CommonName("James Royal"), certtest.DNS("b", "a")), ""},
		{"another string encoding", leaf, leaf.Renew(later, otherEncoding), ""},
		{"an empty name more", leaf, leaf.Renew(later, certtest.DNS("")), ""},
		{"the same certificate", leaf, leaf, "not_later"},
		{"the same end", leaf, leaf.Renew(), "not_later"},
		{"an earlier end", leaf, leaf.Renew(certtest.Validity(testTime.AddDate(-1, 0, 0), testTime.AddDate(0, 6, 0))), "not_later"},
		{"another subject", leaf, leaf.Renew(later, certtest.CommonName("Jane Royal")), "subject_differs"},
		{"a second common name", leaf, leaf.Renew(later, certtest.CommonName("James Royal", "James Royal")), "subject_differs"},
		{"a name more", leaf, leaf.Renew(later, certtest.DNS("c")), "sans_differ"},
		{"a name less", leaf, ca.Issue(later, certtest.CommonName("James Royal"), certtest.DNS("a")), "sans_differ"},
		{"the same name of another type", leaf, ca.Issue(later, certtest.CommonName("James Royal"), certtest.DNS("a"), certtest.Email("b")), "sans_differ"},
		{"a leaf for a CA", ca, ca.Renew(later, certtest.IsCA(false), certtest.KeyUsage(0)), "not_a_ca"},
		{"a CA for a leaf", leaf, leaf.Renew(later, certtest.IsCA(true)), "is_a_ca"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkRule(t, cert.CheckSuccessor(tt.old.Certificate, tt.next.Certificate, testTime), tt.rule)
		})
	}
	t.Run("expired meanwhile", func(t *testing.T) {
		next := leaf.Renew(later)
		checkRule(t, cert.CheckSuccessor(leaf.Certificate, next.Certificate, next.NotAfter), "")
		checkRule(t, cert.CheckSuccessor(leaf.Certificate, next.Certificate, next.NotAfter.Add(time.Second)), "expired")
	})
}

func TestLongSubjectIsCut(t *testing.T) {
	t.Parallel()
	leaf := certtest.NewCA(valid).Issue(valid, certtest.ECDSA(elliptic.P256()), certtest.CommonName(strings.Repeat("x", 5000)))
	_, err := cert.ParseCA(leaf.PEM(), testTime)
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("the fault for a long subject has %d bytes", len(err.Error()))
	}
}

// rawCommonName encodes a subject whose only attribute is a CN of that value.
func rawCommonName(t *testing.T, value []byte) []byte {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type relativeNameSET []attribute // the suffix makes encoding/asn1 write a SET
	name := []relativeNameSET{{{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{FullBytes: value}}}}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
