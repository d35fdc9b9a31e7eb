package cert_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

// checkRule fails the test unless err is nil for the rule "", and otherwise a
// fault with that rule, a text and a hint.
func checkRule(t *testing.T, err error, rule string) {
	t.Helper()
	if rule == "" {
		if err != nil {
			t.Errorf("refused: %v (rule %s)", err, fault.Rule(err))
		}
		return
	}
	switch {
	case err == nil:
		t.Errorf("accepted, want the rule %s", rule)
	case fault.Rule(err) != rule:
		t.Errorf("rule %q (%v), want %q", fault.Rule(err), err, rule)
	case fault.Hint(err) == "":
		t.Errorf("%v: no hint", err)
	case fault.KindOf(err) == fault.Internal:
		t.Errorf("%v: counts as internal", err)
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePEMCertificates_Accepts(t *testing.T) {
	t.Parallel()
	a, b := certtest.NewCA(certtest.CommonName("a")), certtest.NewCA(certtest.CommonName("b"))
	both := certtest.PEM(a, b)
	tests := []struct {
		name string
		data []byte
		want int
	}{
		{"one", a.PEM(), 1},
		{"two in order", both, 2},
		{"bare DER", a.Raw, 1},
		{"explanatory text before each block", []byte("Subject: a\n" + string(a.PEM()) + "Subject: b\n" + string(b.PEM())), 2},
		{"white space around", []byte("\n\t \r\n" + strings.ReplaceAll(string(both), "-----\n-----", "-----\n\n-----") + " \n\n"), 2},
		{"CRLF", bytes.ReplaceAll(both, []byte("\n"), []byte("\r\n")), 2},
		{"no final line break", bytes.TrimSpace(both), 2},
		{"a byte order mark", append([]byte("\xef\xbb\xbf"), a.PEM()...), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certs, err := cert.ParsePEMCertificates(tt.data)
			checkRule(t, err, "")
			if len(certs) != tt.want || len(certs) > 0 && !bytes.Equal(certs[0].Raw, a.Raw) {
				t.Errorf("got %d certificates, want %d in order", len(certs), tt.want)
			}
		})
	}
}

func TestParsePEMCertificates_Refuses(t *testing.T) {
	t.Parallel()
	a, b := certtest.NewCA(certtest.CommonName("a")), certtest.NewCA(certtest.CommonName("b"))
	rsa := certtest.NewCA(certtest.RSA(2048))
	pkcs1 := mustPKCS1(t, rsa)
	sec1 := mustSEC1(t, a)
	crl := mustCRL(t, a)
	public, err := x509.MarshalPKIXPublicKey(a.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var seven [][]byte
	for range cert.MaxCertificates + 1 {
		seven = append(seven, a.Renew().PEM())
	}
	broken := bytes.Replace(a.PEM(), []byte("MII"), []byte("!!!"), 1)
	flipped := append([]byte{}, a.Raw...)
	flipped[len(flipped)/3] ^= 0xff

	tests := []struct {
		name string
		data []byte
		rule string
	}{
		{"nothing", nil, "empty"},
		{"white space", []byte(" \r\n\t\n"), "empty"},
		{"a byte order mark alone", []byte("\xef\xbb\xbf"), "empty"},
		{"10 MB of noise", bytes.Repeat([]byte("x"), 10<<20), "too_large"},
		{"one byte too many", append(a.PEM(), bytes.Repeat([]byte(" "), cert.MaxSize-len(a.PEM())+1)...), "too_large"},
		{"noise", bytes.Repeat([]byte{0x5a, 0x00, 0xff}, 1000), "not_pem"},
		{"base64 without armour", []byte(strings.Join(strings.Split(string(a.PEM()), "\n")[1:3], "\n")), "not_pem"},
		{"PKCS#8 key PEM", a.KeyPEM(), "private_key"},
		{"key before the certificate", append(a.KeyPEM(), a.PEM()...), "private_key"},
		{"key after the certificate", append(a.PEM(), a.KeyPEM()...), "private_key"},
		{"RSA key PEM", block("RSA PRIVATE KEY", pkcs1), "private_key"},
		{"EC key PEM", block("EC PRIVATE KEY", sec1), "private_key"},
		{"encrypted key PEM", block("ENCRYPTED PRIVATE KEY", []byte{1}), "private_key"},
		{"OpenSSH key", block("OPENSSH PRIVATE KEY", []byte{1}), "private_key"},
		{"cut-off key PEM", append(a.PEM(), a.KeyPEM()[:60]...), "private_key"},
		{"PKCS#8 key DER", a.KeyDER(), "private_key"},
		{"PKCS#8 key DER with a line break", append(a.KeyDER(), '\n'), "private_key"},
		{"PKCS#1 key DER", pkcs1, "private_key"},
		{"SEC 1 key DER", sec1, "private_key"},
		{"encrypted PKCS#8 key DER", mustEncryptedKey(t), "private_key"},
		{"key in a CERTIFICATE block", block("CERTIFICATE", a.KeyDER()), "private_key"},
		{"PKCS#12", mustPKCS12(t), "private_key"},
		{"CSR", a.CSR(), "csr"},
		{"old CSR", block("NEW CERTIFICATE REQUEST", a.CSRDER()), "csr"},
		{"CSR DER", a.CSRDER(), "csr"},
		{"CSR in a CERTIFICATE block", block("CERTIFICATE", a.CSRDER()), "csr"},
		{"CRL", block("X509 CRL", crl), "crl"},
		{"CRL DER", crl, "crl"},
		{"PKCS#7", block("PKCS7", []byte{1}), "pkcs7"},
		{"PKCS#7 DER", mustPKCS7(t), "pkcs7"},
		{"public key", block("PUBLIC KEY", public), "public_key"},
		{"public key DER", public, "public_key"},
		{"trusted certificate", block("TRUSTED CERTIFICATE", a.Raw), "trusted_certificate"},
		{"parameters", block("EC PARAMETERS", []byte{1}), "unexpected_block"},
		{"text after", append(a.PEM(), "and more"...), "trailing_data"},
		{"NUL after", append(a.PEM(), 0), "trailing_data"},
		{"text after DER", append(bytes.Clone(a.Raw), "more"...), "trailing_data"},
		{"garbage after the certificate in its block", block("CERTIFICATE", append(bytes.Clone(a.Raw), 0)), "malformed_certificate"},
		{"damaged base64 first", append(bytes.Clone(broken), b.PEM()...), "malformed_pem"},
		{"damaged base64 in between", slices.Concat(b.PEM(), broken, certtest.NewCA().PEM()), "malformed_pem"},
		{"damaged base64 last", append(b.PEM(), broken...), "malformed_pem"},
		{"cut off", a.PEM()[:200], "malformed_pem"},
		{"indented", append([]byte("  "), a.PEM()...), "malformed_pem"},
		{"line breaks as \\n", bytes.ReplaceAll(a.PEM(), []byte("\n"), []byte(`\n`)), "malformed_pem"},
		{"another END", bytes.Replace(a.PEM(), []byte("END CERTIFICATE"), []byte("END CERTIFICATES"), 1), "malformed_pem"},
		{"headers", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"k": "v"}, Bytes: a.Raw}), "malformed_pem"},
		{"no certificate inside", block("CERTIFICATE", []byte("hello")), "malformed_certificate"},
		{"damaged DER inside", block("CERTIFICATE", flipped), "malformed_certificate"},
		{"the same twice", certtest.PEM(a, b, a), "duplicate"},
		{"seven", bytes.Join(seven, nil), "too_many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cert.ParsePEMCertificates(tt.data)
			checkRule(t, err, tt.rule)
		})
	}
	t.Run("six", func(t *testing.T) {
		_, err := cert.ParsePEMCertificates(bytes.Join(seven[:cert.MaxCertificates], nil))
		checkRule(t, err, "")
	})
	t.Run("kinds", func(t *testing.T) {
		_, large := cert.ParsePEMCertificates(bytes.Repeat([]byte("x"), cert.MaxSize+1))
		_, key := cert.ParsePEMCertificates(a.KeyPEM())
		_, noise := cert.ParsePEMCertificates([]byte("noise"))
		got := []fault.Kind{fault.KindOf(large), fault.KindOf(key), fault.KindOf(noise)}
		if diff := cmp.Diff([]fault.Kind{fault.TooLarge, fault.Unprocessable, fault.Invalid}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFaultsRepeatNoInput(t *testing.T) {
	t.Parallel()
	const canary = "canary-in-the-input"
	ca := certtest.NewCA()
	badURI := bytes.Replace(ca.Issue(certtest.URI("http://aaaaaaaaaaaaa/"+canary)).Raw, []byte("http://aaaaaaaaaaaaa"), []byte("http://[aaaaaaaaaaaa"), 1)
	for name, data := range map[string][]byte{
		"noise":     []byte(canary),
		"block":     block(strings.ToUpper(canary), []byte(canary)),
		"DER":       block("CERTIFICATE", []byte(canary)),
		"trailing":  append(ca.PEM(), canary...),
		"bad URI":   block("CERTIFICATE", badURI),
		"key":       block("PRIVATE KEY", []byte(canary)),
		"malformed": []byte("-----BEGIN " + canary),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cert.ParsePEMCertificates(data)
			if err == nil {
				t.Fatal("accepted")
			}
			if text := strings.ToLower(err.Error() + fault.Hint(err)); strings.Contains(text, canary) {
				t.Errorf("the fault repeats the input: %s", text)
			}
		})
	}
}

func TestParseCA_Anchors(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA(valid, certtest.CommonName("root"))
	other := certtest.NewCA(valid, certtest.CommonName("other root"))
	middle := root.Intermediate(valid, certtest.CommonName("middle"))
	low := middle.Intermediate(valid, certtest.CommonName("low"))
	crossed := root.CrossSigned(other)
	left, right := mutuallySigned()

	tests := []struct {
		name string
		data []byte
		want []bool
	}{
		{"a root", root.PEM(), []bool{true}},
		{"the documented order, intermediate first", certtest.PEM(middle, root), []bool{false, true}},
		{"any order", certtest.PEM(root, low, middle), []bool{true, false, false}},
		{"two roots", certtest.PEM(root, other), []bool{true, true}},
		{"an intermediate alone", middle.PEM(), []bool{true}},
		{"no root: the topmost", certtest.PEM(low, middle), []bool{false, true}},
		{"no root: the topmost first", certtest.PEM(middle, low), []bool{true, false}},
		{"a cross-signed root beside both roots", certtest.PEM(root, crossed, other), []bool{true, false, true}},
		{"a cross-signed root alone", certtest.PEM(middle, crossed), []bool{false, true}},
		{"two that signed each other", certtest.PEM(left, right), []bool{false, true}},
		{"bare DER", root.Raw, []bool{true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := cert.ParseCA(tt.data, testTime)
			checkRule(t, err, "")
			if diff := cmp.Diff(tt.want, u.Anchors); diff != "" {
				t.Error(diff)
			}
			if len(u.Warnings) != 0 {
				t.Errorf("warnings %q", u.Warnings)
			}
		})
	}
}

// mutuallySigned returns two CAs each of which is issued by the other.
func mutuallySigned() (left, right *certtest.Certificate) {
	a := certtest.NewCA(valid, certtest.CommonName("left"))
	b := certtest.NewCA(valid, certtest.CommonName("right"))
	return a.CrossSigned(b), b.CrossSigned(a)
}

func TestParseCA_Refuses(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA(valid, certtest.CommonName("root"))
	rsaRoot := certtest.NewCA(valid, certtest.RSA(2048), certtest.CommonName("rsa"))
	middle := root.Intermediate(valid, certtest.CommonName("middle"))
	stray := certtest.NewCA(valid, certtest.CommonName("elsewhere")).Intermediate(valid, certtest.CommonName("stray"))
	impostor := certtest.NewCA(valid, certtest.CommonName("root")).Intermediate(valid, certtest.CommonName("middle"))
	sha1 := certtest.Signature(x509.SHA1WithRSA)
	past := certtest.Validity(testTime.AddDate(-2, 0, 0), testTime.Add(-time.Second))
	critical := certtest.Extension(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})

	tests := []struct {
		name string
		data []byte
		rule string
		text string
	}{
		{"a leaf", root.Issue(valid).PEM(), "not_a_ca", "looks like a client or server certificate: its basic constraints say CA:FALSE"},
		{"a leaf without basic constraints", root.Issue(valid, certtest.NoBasicConstraints()).PEM(), "not_a_ca", "it has no basic constraints"},
		{"a self-signed CA:FALSE", certtest.SelfSigned(valid).PEM(), "not_a_ca", "issued itself but is not a CA: its basic constraints say CA:FALSE"},
		{"a self-signed one without basic constraints", certtest.SelfSigned(valid, certtest.NoBasicConstraints()).PEM(), "not_a_ca", "it has no basic constraints"},
		{"a leaf behind the root", certtest.PEM(root, root.Issue(valid)), "not_a_ca", "certificate 2"},
		{"no keyCertSign", certtest.NewCA(valid, certtest.KeyUsage(x509.KeyUsageCRLSign)).PEM(), "key_usage", "keyCertSign"},
		{"an unknown critical extension", certtest.NewCA(valid, critical).PEM(), "critical_extension", "1.2.3.4"},
		{"expired a second ago", certtest.NewCA(past).PEM(), "expired", "2026-03-01T11:59:59Z"},
		{"an expired intermediate", certtest.PEM(root.Intermediate(past), root), "expired", "certificate 1"},
		{"ends before it begins", certtest.NewCA(certtest.Validity(testTime.AddDate(2, 0, 0), testTime.AddDate(1, 0, 0))).PEM(), "validity", "ends before it begins"},
		{"Ed25519", certtest.NewCA(valid, certtest.Ed25519()).PEM(), "signature_algorithm", "Ed25519"},
		{"an Ed25519 key under an ECDSA root", certtest.PEM(root.Intermediate(valid, certtest.Ed25519()), root), "public_key", "Ed25519"},
		{"RSA-PSS", certtest.NewCA(valid, certtest.RSA(2048), certtest.Signature(x509.SHA256WithRSAPSS)).PEM(), "signature_algorithm", "SHA256-RSAPSS"},
		{"MD5", withSignatureOID(t, rsaRoot, 0x04), "signature_algorithm", "MD5-RSA"},
		{"SHA-224, which has no name here", withSignatureOID(t, rsaRoot, 0x0e), "signature_algorithm", "1.2.840.113549.1.1.14"},
		{"SHA-1 on an intermediate", certtest.PEM(rsaRoot.Intermediate(valid, sha1), rsaRoot), "signature_algorithm", "certificate 1"},
		{"SHA-1 on an intermediate alone", rsaRoot.Intermediate(valid, sha1).PEM(), "signature_algorithm", "SHA1-RSA"},
		{"SHA-1 on a rolled-over key of the same name", rsaRoot.Intermediate(valid, sha1, certtest.CommonName("rsa")).PEM(), "signature_algorithm", "SHA1-RSA"},
		{"RSA 1024", certtest.NewCA(valid, certtest.RSA(1024)).PEM(), "public_key", "1024 bits"},
		{"RSA 8193", certtest.PEM(root.Intermediate(valid, certtest.Key(hugeKey{})), root), "public_key", "8193 bits"},
		{"P-224", certtest.NewCA(valid, certtest.ECDSA(elliptic.P224())).PEM(), "public_key", "P-224"},
		{"a stray intermediate", certtest.PEM(middle, stray, root), "unconnected", "certificate 2 (CN=stray)"},
		{"an intermediate of another CA of that name", certtest.PEM(impostor, root), "unconnected", "certificate 1 (CN=middle)"},
		{"two intermediates of different roots", certtest.PEM(middle, stray), "unconnected", "certificate 2 (CN=stray)"},
		{"a root of that key with another name", certtest.PEM(middle, certtest.NewCA(valid, certtest.Key(root.Key), certtest.CommonName("renamed"))), "unconnected", "certificate 1 (CN=middle)"},
		{"a private key behind", append(root.PEM(), root.KeyPEM()...), "private_key", "private key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cert.ParseCA(tt.data, testTime)
			checkRule(t, err, tt.rule)
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("text %q lacks %q", err, tt.text)
			}
		})
	}
}

func TestParseCA_AcceptsOnTheEdge(t *testing.T) {
	t.Parallel()
	sha1 := certtest.NewCA(valid, certtest.RSA(2048), certtest.Signature(x509.SHA1WithRSA), certtest.CommonName("old"))
	future := certtest.Validity(testTime.Add(time.Second), testTime.AddDate(1, 0, 0))
	tests := []struct {
		name    string
		data    []byte
		warning string
	}{
		{"ends now", certtest.NewCA(certtest.Validity(testTime.AddDate(-1, 0, 0), testTime)).PEM(), ""},
		{"begins now", certtest.NewCA(certtest.Validity(testTime, testTime.AddDate(1, 0, 0))).PEM(), ""},
		{"no key usage at all", certtest.NewCA(valid, certtest.KeyUsage(0)).PEM(), ""},
		{"P-384", certtest.NewCA(valid, certtest.ECDSA(elliptic.P384())).PEM(), ""},
		{"P-521", certtest.NewCA(valid, certtest.ECDSA(elliptic.P521())).PEM(), ""},
		{"begins in a second", certtest.NewCA(future).PEM(), "not valid before 2026-03-01T12:00:01Z"},
		{"SHA-1 self-signature with RSA", sha1.PEM(), "SHA-1"},
		{"SHA-1 root over a SHA-256 intermediate", certtest.PEM(sha1.Intermediate(valid), sha1), "certificate 2 (CN=old)"},
		{"for servers only", certtest.NewCA(valid, certtest.Usage(x509.ExtKeyUsageServerAuth)).PEM(), "without client authentication"},
		{"for clients too", certtest.NewCA(valid, certtest.Usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)).PEM(), ""},
		{"for any usage", certtest.NewCA(valid, certtest.Usage(x509.ExtKeyUsageAny)).PEM(), ""},
		{"SHA-1 self-signature with ECDSA", certtest.NewCA(valid, certtest.Signature(x509.ECDSAWithSHA1)).PEM(), "SHA-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := cert.ParseCA(tt.data, testTime)
			checkRule(t, err, "")
			if got := strings.Join(u.Warnings, "\n"); (tt.warning == "") != (got == "") || !strings.Contains(got, tt.warning) {
				t.Errorf("warnings %q, want %q", got, tt.warning)
			}
		})
	}
}

func TestParseLeaf(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA(valid, certtest.CommonName("root"))
	rsaRoot := certtest.NewCA(valid, certtest.RSA(2048))
	middle := root.Intermediate(valid, certtest.CommonName("middle"))
	leaf := middle.Issue(valid, certtest.CommonName("James Royal"), certtest.DNS(""), certtest.Client())
	past := certtest.Validity(testTime.AddDate(-2, 0, 0), testTime.Add(-time.Second))
	sha1 := certtest.Signature(x509.SHA1WithRSA)

	tests := []struct {
		name  string
		data  []byte
		rule  string
		chain int
	}{
		{"alone", leaf.PEM(), "", 0},
		{"with its chain", certtest.PEM(leaf, middle, root), "", 2},
		{"DER", leaf.Raw, "", 0},
		{"Ed25519", root.Issue(valid, certtest.Ed25519()).PEM(), "", 0},
		{"self-signed", certtest.SelfSigned(valid).PEM(), "", 0},
		{"self-signed Ed25519", certtest.SelfSigned(valid, certtest.Ed25519()).PEM(), "", 0},
		{"without basic constraints", root.Issue(valid, certtest.NoBasicConstraints()).PEM(), "", 0},
		{"several common names", root.Issue(valid, certtest.CommonName("a", "b")).PEM(), "", 0},
		{"not valid yet", root.Issue(certtest.Validity(testTime.AddDate(0, 1, 0), testTime.AddDate(1, 0, 0))).PEM(), "", 0},
		{"a CA", root.PEM(), "is_a_ca", 0},
		{"the chain first", certtest.PEM(middle, leaf), "is_a_ca", 0},
		{"a leaf among the chain", certtest.PEM(leaf, root.Issue(valid)), "not_a_ca", 0},
		{"expired", root.Issue(past).PEM(), "expired", 0},
		{"RSA 1024", root.Issue(valid, certtest.RSA(1024)).PEM(), "public_key", 0},
		{"P-224", root.Issue(valid, certtest.ECDSA(elliptic.P224())).PEM(), "public_key", 0},
		{"SHA-1", rsaRoot.Issue(valid, sha1).PEM(), "signature_algorithm", 0},
		{"RSA-PSS", rsaRoot.Issue(valid, certtest.Signature(x509.SHA256WithRSAPSS)).PEM(), "signature_algorithm", 0},
		{"a CSR", leaf.CSR(), "csr", 0},
		{"its private key", append(leaf.PEM(), leaf.KeyPEM()...), "private_key", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, chain, err := cert.ParseLeaf(tt.data, testTime)
			checkRule(t, err, tt.rule)
			if err == nil && (got.IsCA || len(chain) != tt.chain) {
				t.Errorf("leaf CA=%t with a chain of %d, want %d", got.IsCA, len(chain), tt.chain)
			}
		})
	}
}

// A hugeKey has a public RSA key of 8193 bits, which would take minutes to
// generate, and signs nothing.
type hugeKey struct{}

func (hugeKey) Public() crypto.PublicKey {
	modulus := new(big.Int).Lsh(big.NewInt(1), 8192)
	return &rsa.PublicKey{N: modulus.Add(modulus, big.NewInt(1)), E: 65537}
}

func (hugeKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

// withSignatureOID rewrites the last arc of sha256WithRSAEncryption: CAs with
// such algorithms can no longer be made.
func withSignatureOID(t *testing.T, c *certtest.Certificate, last byte) []byte {
	t.Helper()
	oid := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01}
	der := bytes.ReplaceAll(c.Raw, append(bytes.Clone(oid), 0x0b), append(bytes.Clone(oid), last))
	if bytes.Equal(der, c.Raw) {
		t.Fatal("the certificate is not signed with SHA256-RSA")
	}
	return block("CERTIFICATE", der)
}

func mustPKCS1(t *testing.T, c *certtest.Certificate) []byte {
	t.Helper()
	return x509.MarshalPKCS1PrivateKey(rsaKey(t, c))
}

func mustCRL(t *testing.T, c *certtest.Certificate) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: testTime, NextUpdate: testTime.AddDate(0, 0, 7),
	}, c.Certificate, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
