package cert

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"regexp"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// A foreign says what an input is that is not a certificate.
type foreign uint8

const (
	foreignUnknown foreign = iota
	foreignPrivateKey
	foreignPKCS12
	foreignCSR
	foreignCRL
	foreignPKCS7
	foreignPublicKey
	foreignTrusted
	foreignOther
)

// privateKeyBegin matches the first line of every PEM form of a private key,
// whether the block is intact or not.
var privateKeyBegin = regexp.MustCompile(`-----BEGIN [^\r\n-]*PRIVATE KEY`)

func holdsPrivateKeyBlock(data []byte) bool { return privateKeyBegin.Match(data) }

func privateKeyFault() error { return foreignFault(foreignPrivateKey) }

// foreignFault returns the refusal of an input that is not a certificate.
func foreignFault(f foreign) error {
	refuse := func(rule, text, hint string) error {
		return fault.New(fault.Unprocessable, rule, "%s", text).WithHint("%s", hint)
	}
	switch f {
	case foreignPrivateKey:
		return refuse("private_key", "the upload holds a private key, which is never wanted here and was not stored",
			"upload the certificate alone; if the key went over a network that you do not trust, replace it")
	case foreignPKCS12:
		return refuse("private_key", "the upload is a PKCS#12 store, which holds private keys, and was not stored",
			"extract the certificate: openssl pkcs12 -in FILE -nokeys")
	case foreignCSR:
		return refuse("csr", "the upload is a certificate signing request, not a certificate",
			"have your CA sign the request and upload the certificate that it returns")
	case foreignCRL:
		return refuse("crl", "the upload is a revocation list, not a certificate",
			"upload the certificate of the CA that issued the list")
	case foreignPKCS7:
		return refuse("pkcs7", "the upload is a PKCS#7 (.p7b) container, not a certificate",
			"convert it: openssl pkcs7 -print_certs -in FILE")
	case foreignPublicKey:
		return refuse("public_key", "the upload is a bare public key, not a certificate",
			"upload the certificate that binds the key to its name")
	case foreignTrusted:
		return refuse("trusted_certificate", "the upload is an OpenSSL trusted certificate, which carries settings of its own",
			"convert it: openssl x509 -in FILE")
	}
	return refuse("unexpected_block", "the upload has a PEM block that is not a certificate",
		"keep only the blocks that begin with -----BEGIN CERTIFICATE-----")
}

// foreignBlock tells what a PEM block is by its type.
func foreignBlock(blockType string) foreign {
	switch {
	case strings.HasSuffix(blockType, "PRIVATE KEY"):
		return foreignPrivateKey
	case strings.HasSuffix(blockType, "CERTIFICATE REQUEST"):
		return foreignCSR
	case blockType == "X509 CRL":
		return foreignCRL
	case blockType == "PKCS7" || blockType == "PKCS #7 SIGNED DATA" || blockType == "CMS":
		return foreignPKCS7
	case strings.HasSuffix(blockType, "PUBLIC KEY"):
		return foreignPublicKey
	case blockType == "TRUSTED CERTIFICATE":
		return foreignTrusted
	}
	return foreignOther
}

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// recognise tells what DER is that did not parse as a certificate.
func recognise(der []byte) foreign {
	switch {
	case isPrivateKey(der):
		return foreignPrivateKey
	case isPKCS12(der):
		return foreignPKCS12
	case isCSR(der):
		return foreignCSR
	case isCRL(der):
		return foreignCRL
	case isPKCS7(der):
		return foreignPKCS7
	case isPublicKey(der):
		return foreignPublicKey
	}
	return foreignUnknown
}

// isPrivateKey knows PKCS#8, plain and encrypted, PKCS#1 and SEC 1 by their
// structure alone, so that a key of an unknown algorithm, or one with garbage
// behind it, is not overlooked.
func isPrivateKey(der []byte) bool {
	var pkcs8 struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	var encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var pkcs1 struct {
		Version       int
		N, E, D, P, Q *big.Int
	}
	var sec1 struct {
		Version int
		Key     []byte
	}
	for _, shape := range []any{&pkcs8, &encrypted, &pkcs1, &sec1} {
		if _, err := asn1.Unmarshal(der, shape); err == nil {
			return true
		}
	}
	return false
}

func isPKCS12(der []byte) bool {
	var pfx struct {
		Version int
		Content struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		MAC asn1.RawValue `asn1:"optional"`
	}
	return parses(der, &pfx) && (pfx.Content.Type.Equal(oidData) || pfx.Content.Type.Equal(oidSignedData))
}

func isCSR(der []byte) bool {
	_, err := x509.ParseCertificateRequest(der)
	return err == nil
}

func isCRL(der []byte) bool {
	_, err := x509.ParseRevocationList(der)
	return err == nil
}

func isPKCS7(der []byte) bool {
	var container struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	return parses(der, &container) && container.Type.Equal(oidSignedData)
}

func isPublicKey(der []byte) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	return parses(der, &key)
}

func beginsWithCertificate(data []byte) bool {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(data, &outer)
	if err != nil || len(rest) == 0 {
		return false
	}
	_, err = x509.ParseCertificate(bytes.TrimSuffix(data, rest))
	return err == nil
}

// parses reports whether der is exactly one value of the shape of v.
func parses(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}
