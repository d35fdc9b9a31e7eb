package enforcer_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

// rawExtension is an extension as encoded by hand.
func rawExtension(critical bool, value string, id ...int) certtest.Option {
	return certtest.Extension(pkix.Extension{Id: id, Critical: critical, Value: []byte(value)})
}

// manyNames is a subject alternative name extension of n entries, every other one
// of a kind that crypto/x509 passes over.
func manyNames(n int) certtest.Option {
	names := make([]asn1.RawValue, n)
	for i := range names {
		names[i] = otherName()
		if i%2 == 0 {
			names[i] = generalName(2, fmt.Sprintf("n%d.example", i))
		}
	}
	return generalNames(names...)
}

// manyAttributes is a subject of n units.
func manyAttributes(n int) certtest.Option {
	var name pkix.Name
	for i := range n {
		name.ExtraNames = append(name.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: fmt.Sprint("unit ", i)})
	}
	return certtest.Subject(name)
}

func manyDomains(n int) []string {
	domains := make([]string, n)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example", i)
	}
	return domains
}

func manyPolicies(n int) certtest.Option {
	var policies [][]asn1.ObjectIdentifier
	for i := range n {
		policies = append(policies, []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, i}})
	}
	value, err := asn1.Marshal(policies)
	if err != nil {
		panic(err)
	}
	return rawExtension(false, string(value), 2, 5, 29, 32)
}

// TestAdmission_path is the security table of what lies between a leaf and the
// anchor, and of the leaf's own form.
func TestAdmission_path(t *testing.T) {
	t.Parallel()
	now := time.Now()
	past := certtest.Validity(now.AddDate(0, 0, -9), now.AddDate(0, 0, -1))
	future := certtest.Validity(now.Add(time.Hour), now.AddDate(1, 0, 0))
	// direct has the leaf issued by the host name's CA.
	direct := func(options ...certtest.Option) func(*guard) *tls.Certificate {
		return func(g *guard) *tls.Certificate { return g.james(options...) }
	}
	// through has it issued by an intermediate of that CA, which the client sends.
	through := func(middle ...certtest.Option) func(*guard) *tls.Certificate {
		return func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(middle...).Issue(g.commonJames()...).TLSChain()
			return &pair
		}
	}
	// under makes the host name's only anchor a CA of its own.
	under := func(name string, want int, reason enforcer.Reason, anchor *certtest.Certificate, options ...certtest.Option) admission {
		pair := anchor.Issue(append([]certtest.Option{certtest.Client()}, options...)...).TLSChain()
		return admission{
			name, orders, func(*guard) *tls.Certificate { return &pair },
			func(s *enforcer.State) { s.Bundles[0].Anchors = []*x509.Certificate{anchor.Certificate} }, want, reason,
		}
	}
	for _, tt := range []admission{
		{"intermediate with Ed25519", orders, through(certtest.Ed25519()), nil, 403, enforcer.ReasonKey},
		{"100 names", orders, direct(manyNames(100)), nil, 200, ""},
		{"101 names, of which Go reads 51", orders, direct(manyNames(101)), nil, 403, enforcer.ReasonTooManyNames},
		{"101 names in the intermediate", orders, through(manyNames(101)), nil, 403, enforcer.ReasonTooManyNames},
		{"101 attributes of the subject", orders, direct(manyAttributes(101)), nil, 403, enforcer.ReasonTooManyNames},
		{"100 constraints", orders, through(certtest.PermittedDNS(manyDomains(100)...)), nil, 200, ""},
		{"101 constraints", orders, through(certtest.PermittedDNS(manyDomains(101)...)), nil, 403, enforcer.ReasonTooManyRules},
		{"100 policies", orders, direct(manyPolicies(100)), nil, 200, ""},
		{"101 policies", orders, direct(manyPolicies(101)), nil, 403, enforcer.ReasonTooManyRules},
		{"over 64 KiB", orders, through(rawExtension(false, string(bytes.Repeat([]byte{5, 0}, 32<<10)), 1, 2, 3)), nil, 403, enforcer.ReasonTooLarge},
		{"six certificates", orders, func(g *guard) *tls.Certificate {
			ca := g.ca
			for range 5 {
				ca = ca.Intermediate()
			}
			pair := ca.Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 200, ""},

		{"key usage without digitalSignature", orders, direct(certtest.KeyUsage(x509.KeyUsageKeyEncipherment)), nil, 403, enforcer.ReasonKeyUsage},
		{"key usage with more", orders, direct(certtest.KeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment)), nil, 200, ""},
		{"key usage absent", orders, direct(certtest.KeyUsage(0)), nil, 200, ""},
		{"key usage that allows nothing", orders, direct(certtest.KeyUsage(0), rawExtension(true, "\x03\x02\x07\x00", 2, 5, 29, 15)), nil, 403, enforcer.ReasonKeyUsage},
		{"leaf that may sign certificates", orders, direct(certtest.KeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign)), nil, 403, enforcer.ReasonKeyUsage},
		{"extended key usage that allows nothing", orders, direct(certtest.Usage(), rawExtension(false, "\x30\x00", 2, 5, 29, 37)), nil, 403, enforcer.ReasonProfile},
		{"extended key usage unknown", orders, direct(certtest.Usage(), rawExtension(false, "\x30\x04\x06\x02\x2a\x03", 2, 5, 29, 37)), nil, 403, enforcer.ReasonUsage},
		{"leaf with name constraints", orders, direct(certtest.PermittedDNS("example.com")), nil, 403, enforcer.ReasonProfile},
		{"unknown critical extension", orders, direct(rawExtension(true, "\x05\x00", 1, 2, 3)), nil, 403, enforcer.ReasonUntrusted},
		{"unknown extension", orders, direct(rawExtension(false, "\x05\x00", 1, 2, 3)), nil, 200, ""},
		{"authority key identifier of another", orders, direct(rawExtension(false, "\x30\x04\x80\x02\x01\x02", 2, 5, 29, 35)), nil, 200, ""},
		{"no basic constraints", orders, direct(certtest.NoBasicConstraints()), nil, 200, ""},

		{"leaf issued by a leaf", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Issue(certtest.Client()).Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonUntrusted},
		{"intermediate without basic constraints", orders, through(certtest.NoBasicConstraints()), nil, 403, enforcer.ReasonUntrusted},
		{"intermediate without keyCertSign", orders, through(certtest.KeyUsage(x509.KeyUsageCRLSign)), nil, 403, enforcer.ReasonUntrusted},
		{"intermediate with a key usage that allows nothing", orders, through(certtest.KeyUsage(0), rawExtension(true, "\x03\x02\x07\x00", 2, 5, 29, 15)), nil, 403, enforcer.ReasonProfile},
		{"intermediate with an unknown critical extension", orders, through(rawExtension(true, "\x05\x00", 1, 2, 3)), nil, 403, enforcer.ReasonUntrusted},
		{"intermediate not yet valid", orders, through(future), nil, 403, enforcer.ReasonNotYetValid},
		{"intermediate that has just expired", orders, through(certtest.Validity(now.AddDate(0, 0, -9), now.Add(-time.Minute))), nil, 403, enforcer.ReasonExpired},
		{"path length kept", orders, through(certtest.MaxPathLen(0)), nil, 200, ""},
		{"path length exceeded", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.MaxPathLen(0)).Intermediate().Issue(certtest.Client()).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonUntrusted},
		{"name constraints kept", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.PermittedDNS("ours.example")).Issue(certtest.DNS("a.ours.example")).TLSChain()
			return &pair
		}, nil, 200, ""},
		{"name constraints broken", orders, func(g *guard) *tls.Certificate {
			pair := g.ca.Intermediate(certtest.PermittedDNS("ours.example")).Issue(certtest.DNS("a.evil.example")).TLSChain()
			return &pair
		}, nil, 403, enforcer.ReasonUntrusted},
		// permittedSubtrees: directoryName CN=x, and not critical, so that Go passes over it.
		{"name constraints that Go does not read", orders, through(rawExtension(false,
			"\x30\x14\xa0\x12\x30\x10\xa4\x0e\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x", 2, 5, 29, 30)), nil, 403, enforcer.ReasonProfile},

		{"SHA-1 on the leaf", orders, direct(certtest.Signature(x509.ECDSAWithSHA1)), nil, 403, enforcer.ReasonUntrusted},
		{"SHA-1 on the intermediate", orders, through(certtest.Signature(x509.ECDSAWithSHA1)), nil, 403, enforcer.ReasonUntrusted},
		under("SHA-1 on the anchor itself", 200, "", certtest.NewCA(certtest.Signature(x509.ECDSAWithSHA1))),
		under("RSA-PSS", 200, "", certtest.NewCA(certtest.RSA(2048)), certtest.Signature(x509.SHA256WithRSAPSS)),
		under("expired CA", 403, enforcer.ReasonExpired, certtest.NewCA(past)),
		under("CA not yet valid", 403, enforcer.ReasonNotYetValid, certtest.NewCA(future)),
		under("CA with a weak key", 403, enforcer.ReasonKey, certtest.NewCA(certtest.RSA(1024))),
		under("CA without a name", 403, enforcer.ReasonProfile, certtest.NewCA(certtest.CommonName())),
	} {
		t.Run(tt.name, tt.run)
	}
}
