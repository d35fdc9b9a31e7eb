package cert_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
)

func rsaKey(t *testing.T, c *certtest.Certificate) *rsa.PrivateKey {
	t.Helper()
	key, ok := c.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", c.Key)
	}
	return key
}

func mustSEC1(t *testing.T, c *certtest.Certificate) []byte {
	t.Helper()
	key, ok := c.Key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", c.Key)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

type content struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// mustEncryptedKey encodes an EncryptedPrivateKeyInfo (RFC 5208 §6).
func mustEncryptedKey(t *testing.T) []byte {
	t.Helper()
	pbes2 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	return marshal(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{pkix.AlgorithmIdentifier{Algorithm: pbes2, Parameters: asn1.NullRawValue}, []byte("sealed")})
}

// mustPKCS12 encodes the outside of a PFX (RFC 7292 §4).
func mustPKCS12(t *testing.T) []byte {
	t.Helper()
	data := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	return marshal(t, struct {
		Version int
		Content content
	}{3, content{data, explicit(marshal(t, []byte("safe")))}})
}

// mustPKCS7 encodes the outside of a SignedData (RFC 2315 §7).
func mustPKCS7(t *testing.T) []byte {
	t.Helper()
	signed := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	return marshal(t, content{signed, explicit(marshal(t, []int{1}))})
}
