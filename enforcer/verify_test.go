package enforcer_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// A public key alone, to be certified without that anybody has the private one.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }

func (public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, os.ErrInvalid }

// rsaKey has a modulus of that many bits, the lowest of which is low.
func rsaKey(bits int, low uint, exponent int) certtest.Option {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return certtest.Key(public{&rsa.PublicKey{N: n.SetBit(n, 0, low), E: exponent}})
}

// TestKeys has the bounds of keys, from which a signature is never asked.
func TestKeys(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	p224 := certtest.ECDSA(elliptic.P224())
	for _, tt := range []struct {
		name string
		key  certtest.Option
		want enforcer.Reason
	}{
		{"RSA 2048", rsaKey(2048, 1, 65537), ""},
		{"RSA 8192", rsaKey(8192, 1, 65537), ""},
		{"RSA 2040", rsaKey(2040, 1, 65537), enforcer.ReasonKey},
		{"RSA 2047", rsaKey(2047, 1, 65537), enforcer.ReasonKey},
		{"RSA 2049", rsaKey(2049, 1, 65537), enforcer.ReasonKey},
		{"RSA 8200", rsaKey(8200, 1, 65537), enforcer.ReasonKey},
		{"RSA with an even modulus", rsaKey(2048, 0, 65537), enforcer.ReasonKey},
		{"RSA with the exponent 3", rsaKey(2048, 1, 3), ""},
		{"RSA with the exponent 1", rsaKey(2048, 1, 1), enforcer.ReasonKey},
		{"RSA with an even exponent", rsaKey(2048, 1, 65536), enforcer.ReasonKey},
		{"P-224", p224, enforcer.ReasonKey},
		{"P-384", certtest.ECDSA(elliptic.P384()), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPKI()
			c := p.path(ca.Issue(tt.key))
			c.Bundles = []enforcer.Bundle{bundle("root", ca)}
			if valid, reason, detail, _ := c.Examine(); valid != (tt.want == "") || reason != tt.want {
				t.Errorf("valid %v, reason %q (%s), want %q", valid, reason, detail, tt.want)
			}
		})
	}
}

// TestAnchorAsLeaf: nobody vouches for himself, though he be an anchor and no CA.
func TestAnchorAsLeaf(t *testing.T) {
	t.Parallel()
	self := certtest.SelfSigned(certtest.Client())
	c := newPKI().path(self)
	c.Bundles = []enforcer.Bundle{bundle("self", self)}
	if valid, reason, _, _ := c.Examine(); valid || reason != enforcer.ReasonUntrusted {
		t.Errorf("valid %v, reason %q", valid, reason)
	}
}

// TestEmptyBundles: where there is nothing to trust, nobody is.
func TestEmptyBundles(t *testing.T) {
	t.Parallel()
	p := newPKI()
	for name, bundles := range map[string][]enforcer.Bundle{
		"none": nil, "without certificates": {{Name: "empty"}},
		"intermediates alone": {{Name: "middle", Intermediates: []*x509.Certificate{p.middle.Certificate}}},
	} {
		c := p.path(p.leaf, p.middle, p.root)
		c.Bundles = bundles
		if valid, reason, _, _ := c.Examine(); valid || reason != enforcer.ReasonNoAuthority {
			t.Errorf("%s: valid %v, reason %q", name, valid, reason)
		}
	}
}

// TestPanic: a defect in verification refuses the chain that provokes it.
func TestPanic(t *testing.T) {
	t.Parallel()
	p := newPKI()
	c := p.path(p.direct)
	c.Chain = append(c.Chain, nil) // which crypto/tls never hands over
	if valid, reason, detail, _ := c.Examine(); valid || reason != enforcer.ReasonUntrusted || !strings.Contains(detail, "panicked") {
		t.Errorf("valid %v, reason %q (%s)", valid, reason, detail)
	}
}

// TestDetail_bounded: what is kept of a refused stranger, and logged with each
// of his requests, does not grow with the names in what he sends.
func TestDetail_bounded(t *testing.T) {
	t.Parallel()
	long := certtest.CommonName(strings.Repeat("\x01", 20000))
	leaf := certtest.NewCA(long).Issue(certtest.Client())
	c := newPKI().path(leaf, certtest.NewCA().Intermediate(long)) // of that name, with another key
	valid, reason, detail, _ := c.Examine()
	if valid || reason != enforcer.ReasonUntrusted || !strings.Contains(detail, "unknown authority") || len(detail) > 1024 {
		t.Errorf("valid %v, reason %q, %d bytes of detail: %.100s", valid, reason, len(detail), detail)
	}
}

const systemRoot = "CERTVIGIL_TEST_SYSTEM_ROOT"

// TestSystemRoots runs itself in a process whose system trusts a CA, and sees
// that CA trusted by crypto/x509 on its own and not by us, whatever the CA set.
func TestSystemRoots(t *testing.T) {
	t.Parallel()
	if file := os.Getenv(systemRoot); file != "" {
		judgeBySystemRoot(t, file)
		return
	}
	ca := certtest.NewCA()
	file := t.TempDir() + "/system.pem"
	if err := os.WriteFile(file, bytes.Join([][]byte{ca.PEM(), ca.Issue(certtest.Client()).PEM()}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSystemRoots$", "-test.v")
	child.Env = append(os.Environ(), "SSL_CERT_FILE="+file, "SSL_CERT_DIR=/nonexistent", systemRoot+"="+file)
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("judged three sets")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func judgeBySystemRoot(t *testing.T, file string) {
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := cert.ParsePEMCertificates(pem)
	if err != nil || len(certs) != 2 {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	leaf := certs[1]
	if _, err := leaf.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Fatalf("the system does not trust the CA: %v", err)
	}
	sets := [][]enforcer.Bundle{nil, {{Name: "empty"}}, {bundle("another", certtest.NewCA())}}
	for i, bundles := range sets {
		c := enforcer.PathCase{Chain: []*x509.Certificate{leaf}, Bundles: bundles, At: time.Now()}
		if valid, _, _, _ := c.Examine(); valid {
			t.Errorf("set %d: the system's roots count", i)
		}
	}
	t.Log("judged three sets")
}
