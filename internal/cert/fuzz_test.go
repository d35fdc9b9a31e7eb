package cert_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

func addSeeds(f *testing.F) {
	f.Helper()
	root := certtest.NewCA(valid)
	middle := root.Intermediate(valid)
	leaf := middle.Issue(valid, certtest.DNS(""))
	for _, seed := range [][]byte{
		nil, []byte("noise"), root.PEM(), root.Raw, certtest.PEM(middle, root), certtest.PEM(leaf, middle),
		root.KeyPEM(), root.KeyDER(), root.CSR(), append(root.PEM(), "more"...), append(root.Raw, 0),
		[]byte("-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
	} {
		f.Add(seed)
	}
}

// checkRefusal holds every fault to what a person and a program need of it.
func checkRefusal(t *testing.T, data []byte, err error) {
	t.Helper()
	if fault.Rule(err) == "" || fault.Hint(err) == "" || fault.KindOf(err) == fault.Internal {
		t.Errorf("a fault without rule, hint or kind: %v", err)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 2000 {
		t.Errorf("a fault that is not one short line: %q", err)
	}
	if len(data) <= cert.MaxSize && bytes.HasPrefix(data, []byte("-----BEGIN EC PRIVATE KEY-----")) && fault.Rule(err) != "private_key" {
		t.Errorf("a private key is refused as %s", fault.Rule(err))
	}
}

func FuzzParseCA(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := cert.ParseCA(data, testTime)
		if err != nil {
			checkRefusal(t, data, err)
			return
		}
		if len(u.Certificates) == 0 || len(u.Certificates) > cert.MaxCertificates || len(u.Anchors) != len(u.Certificates) {
			t.Fatalf("%d certificates with %d marks", len(u.Certificates), len(u.Anchors))
		}
		anchored := false
		for i, c := range u.Certificates {
			anchored = anchored || u.Anchors[i]
			if !c.IsCA {
				t.Error("a certificate that is not a CA passes for one")
			}
		}
		if !anchored {
			t.Error("an upload without an anchor")
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		leaf, _, err := cert.ParseLeaf(data, testTime)
		if err != nil {
			checkRefusal(t, data, err)
			return
		}
		if leaf.IsCA {
			t.Error("a CA passes for a leaf")
		}
		for _, text := range []string{cert.SubjectDN(leaf), cert.IssuerDN(leaf), cert.Serial(leaf)} {
			if strings.ContainsAny(text, "\n\r\x00") {
				t.Errorf("%q is not one line", text)
			}
		}
		cert.SANs(leaf)
		cert.CommonNames(leaf)
	})
}
