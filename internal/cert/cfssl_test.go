package cert_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/cert"
)

// cfsslTime is when the certificates under testdata/cfssl are valid. cfssl
// v1.6.5 made them from the reference page's files; openssl 3.0 confirms the
// identities below.
var cfsslTime = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func cfssl(t *testing.T, names ...string) []byte {
	t.Helper()
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", "cfssl", name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return slices.Concat(all...)
}

func TestCFSSL_Client(t *testing.T) {
	t.Parallel()
	leaf, chain, err := cert.ParseLeaf(cfssl(t, "client.pem", "ca.pem"), cfsslTime)
	checkRule(t, err, "")
	if err != nil {
		return
	}
	got := map[string]any{
		"fingerprint": cert.Fingerprint(leaf), "serial": cert.Serial(leaf), "subject": cert.SubjectDN(leaf), "issuer": cert.IssuerDN(leaf),
		"common names": cert.CommonNames(leaf), "SANs": len(cert.SANs(leaf)), "empty names": len(leaf.DNSNames), "chain": len(chain),
	}
	want := map[string]any{
		"fingerprint":  "f1a77a268f9d466c9d1cb3202705e45cc59e4a2ee54845b37af87cd8d3d8fb3a",
		"serial":       "3E43B7BBB4851FBBDDFD1CD38E2A9E70E228B1F0",
		"subject":      "CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US",
		"issuer":       "CN=Access Testing CA,OU=TX,O=Access Testing,L=Austin,ST=Texas,C=US",
		"common names": []string{"James Royal"}, "SANs": 0, "empty names": 1, "chain": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCFSSL_CA(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		files   []string
		anchors []bool
		rule    string
	}{
		{"the root", []string{"ca.pem"}, []bool{true}, ""},
		{"intermediate first, then root", []string{"intermediate.pem", "ca.pem"}, []bool{false, true}, ""},
		{"the client", []string{"client.pem"}, nil, "not_a_ca"},
		{"the request", []string{"ca.csr"}, nil, "csr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := cert.ParseCA(cfssl(t, tt.files...), cfsslTime)
			checkRule(t, err, tt.rule)
			if diff := cmp.Diff(tt.anchors, u.Anchors); diff != "" {
				t.Error(diff)
			}
		})
	}
}
