package enforcer

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// certsMaxAge is well below the overlap of a key's rotation.
const certsMaxAge = time.Hour

type publicCert struct {
	KID  string `json:"kid"`
	Cert string `json:"cert"`
}

// publish renders the keys as the reference product does: a JWKS (RFC 7517)
// with the same keys beside it as self-signed certificates.
func publish(keys []SigningKey) ([]byte, error) {
	var doc struct {
		Keys        []jose.JSONWebKey `json:"keys"`
		PublicCert  publicCert        `json:"public_cert"`
		PublicCerts []publicCert      `json:"public_certs"`
	}
	for _, k := range keys {
		doc.Keys = append(doc.Keys, jose.JSONWebKey{Key: &k.Key.PublicKey, KeyID: k.KID, Algorithm: string(jose.RS256), Use: "sig"})
		c, err := selfSign(k)
		if err != nil {
			return nil, err
		}
		doc.PublicCerts = append(doc.PublicCerts, publicCert{k.KID, c})
	}
	doc.PublicCert = doc.PublicCerts[0]
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, refuse("signing_key", "encoding the key set: %w", err)
	}
	return body, nil
}

// selfSign wraps the key in a certificate, for clients that read nothing else.
// Its dates mean nothing: RFC 5280 §4.1.2.5 gives 9999-12-31 for "no end". The
// signature is deterministic, so that the document is the same on every replica.
func selfSign(k SigningKey) (string, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: k.KID},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.Key.PublicKey, k.Key)
	if err != nil {
		return "", refuse("signing_key", "signing key %q: %w", k.KID, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// serveCerts answers GET and HEAD with the keys that verify tokens. They are
// public, so no certificate is asked for.
func serveCerts(w http.ResponseWriter, r *http.Request, f *flight, jwks []byte) {
	if !allowsRead(w, r, f) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(certsMaxAge.Seconds())))
	h.Set("X-Content-Type-Options", "nosniff")
	write(w, r, f, http.StatusOK, jwks)
}
