package crl_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	der := ca.CRL(certtest.Revoke(ca.Issue(), ca.Issue()))
	armoured := pemOf("X509 CRL", der)
	encoded := base64.StdEncoding.EncodeToString(der)
	wrapped := wrap(encoded)
	for name, data := range map[string][]byte{
		"DER":                         der,
		"PEM":                         armoured,
		"PEM after text":              slices.Concat([]byte("Certificate Revocation List (CRL):\n    Version 2\n"), armoured),
		"PEM after a byte order mark": slices.Concat([]byte("\xef\xbb\xbf"), armoured),
		"PEM and white space":         slices.Concat([]byte("\n \n"), armoured, []byte("\r\n \t\n")),
		"PEM with CRLF":               bytes.ReplaceAll(armoured, []byte("\n"), []byte("\r\n")),
		"base64":                      []byte(encoded),
		"base64 and a line break":     []byte(encoded + "\n"),
		"base64 in lines":             []byte(wrapped),
		"base64 in CRLF lines":        []byte(" \t" + strings.ReplaceAll(wrapped, "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := bytes.Clone(data)
			got, err := crl.Decode(data)
			if err != nil || !bytes.Equal(got, der) {
				t.Errorf("%d of %d octets: %v", len(got), len(der), err)
			}
			if !bytes.Equal(data, before) {
				t.Error("the input is changed")
			}
		})
	}
}

func pemOf(kind string, der []byte) []byte {
	return fmt.Appendf(nil, "-----BEGIN %s-----\n%s-----END %[1]s-----\n", kind, wrap(base64.StdEncoding.EncodeToString(der)))
}

func wrap(text string) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(text), 64) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestDecode_Refused(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	list, der := ca.CRLPEM(), ca.CRL()
	encoded := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	tests := []struct {
		name string
		data []byte
		rule string
	}{
		{"nothing", nil, "empty"},
		{"white space", []byte("\xef\xbb\xbf \r\n"), "empty"},
		{"a private key", ca.KeyPEM(), "private_key"},
		{"a private key in DER", ca.KeyDER(), "private_key"},
		{"a private key in base64", encoded(ca.KeyDER()), "private_key"},
		{"a private key before a list", slices.Concat(ca.KeyPEM(), list), "private_key"},
		{"a private key after a list", slices.Concat(list, ca.KeyPEM()), "private_key"},
		{"a damaged private key", []byte("-----BEGIN RSA PRIVATE KEY-----\nAAA"), "private_key"},
		{"a key that says it is a list", pemOf("X509 CRL", ca.KeyDER()), "private_key"},
		{"a certificate", ca.PEM(), "certificate"},
		{"a certificate in DER", ca.Raw, "certificate"},
		{"a certificate in base64", encoded(ca.Raw), "certificate"},
		{"a certificate that says it is a list", pemOf("X509 CRL", ca.Raw), "certificate"},
		{"a list that says it is a certificate", pemOf("CERTIFICATE", der), "not_a_crl"},
		{"a signing request", ca.CSR(), "csr"},
		{"a signing request in DER", ca.CSRDER(), "csr"},
		{"a block of something else", pemOf("DH PARAMETERS", []byte{0x30, 0}), "not_a_crl"},
		{"two lists", slices.Concat(list, list), "several_blocks"},
		{"a list and a certificate", slices.Concat(list, ca.PEM()), "several_blocks"},
		{"text after a list", slices.Concat(list, []byte("more\n")), "trailing_data"},
		{"a block cut off", list[:len(list)-10], "malformed_pem"},
		{"a block of one line", bytes.ReplaceAll(list, []byte("\n"), []byte(" ")), "malformed_pem"},
		{"a block within a line", slices.Concat([]byte("> "), list), "malformed_pem"},
		{"a block with headers", bytes.Replace(list, []byte("CRL-----\n"), []byte("CRL-----\nProc-Type: 4\n\n"), 1), "malformed_pem"},
		{"a web page", []byte("<!DOCTYPE html><title>Log in</title>"), "not_a_crl"},
		{"a sentence", []byte("no such list"), "not_a_crl"},
		{"base64 cut off", encoded(der)[:41], "not_a_crl"},
		{"base64 of a sentence", encoded([]byte("no such list")), "not_a_crl"},
		{"DER cut off", der[:len(der)-1], "not_a_crl"},
		{"a DER sequence of nothing", []byte{0x30, 0}, "not_a_crl"},
		{"too large", append([]byte{0x30}, make([]byte, crl.MaxSize)...), "too_large"},
		{"too large for any encoding", make([]byte, 2*crl.MaxSize), "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := crl.Decode(tt.data)
			checkRule(t, err, tt.rule)
		})
	}
}

// TestDecode_PrivateKeyIsNotEchoed holds the refusal to the rule of internal/cert
// and to telling nothing of the key.
func TestDecode_PrivateKeyIsNotEchoed(t *testing.T) {
	t.Parallel()
	key := certtest.NewCA().KeyPEM()
	_, err := crl.Decode(key)
	_, want := cert.ParsePEMCertificates(key)
	if fault.Rule(err) != fault.Rule(want) || fault.Rule(err) == "" {
		t.Errorf("rule %q, want %q", fault.Rule(err), fault.Rule(want))
	}
	for _, line := range strings.Split(string(key), "\n")[1:3] {
		if told := fmt.Sprintf("%v %s", err, fault.Hint(err)); len(line) > 8 && strings.Contains(told, line[:8]) {
			t.Errorf("the refusal tells of the key: %s", told)
		}
	}
}

// TestRealLists reads what openssl 3.0 and cfssl 1.6.5 made; see the README
// beside the files.
func TestRealLists(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, ca string
		serials  []string
		number   string
	}{
		{"openssl.crl.pem", "openssl-ca.pem", []string{"1000", "1001"}, "4096"},
		{"openssl-v1.crl.der", "openssl-ca.pem", []string{"1000", "1001"}, "<nil>"},
		{"cfssl.crl.b64", "cfssl-ca.pem", []string{"527e0f20", "5"}, "<nil>"},
		{"cfssl-hex.crl.b64", "cfssl-ca.pem", []string{"20f"}, "<nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			der, err := crl.Decode(readFile(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			l := mustParse(t, der)
			certs, err := cert.ParsePEMCertificates(readFile(t, tt.ca))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.CheckIssuer(certs[0]); err != nil {
				t.Error(err)
			}
			var got []string
			for serial := range l.Serials() {
				got = append(got, serial.Text(16))
			}
			if !slices.Equal(got, tt.serials) || l.Number.String() != tt.number {
				t.Errorf("serials %q, number %s, want %q and %s", got, l.Number, tt.serials, tt.number)
			}
			agree(t, der)
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
