// Package certtest makes certificates in memory, for tests and for the demo:
//
//	ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
//	leaf := ca.Issue(certtest.CommonName("James Royal"), certtest.Client())
//
// Unless an option says otherwise, keys are ECDSA P-256, and certificates are
// valid from an hour ago for a year (CAs for ten). Certificates that a sound
// CA would never issue can be made too. The functions panic when asked for
// what cannot be encoded at all, since that is a mistake in the calling code.
package certtest

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// A Certificate is a certificate with its private key and its issuer.
type Certificate struct {
	*x509.Certificate
	Key    crypto.Signer
	Issuer *Certificate // nil when self-signed
	order  order        // what it was made from, for Renew
}

// NewCA returns a self-signed CA.
func NewCA(options ...Option) *Certificate {
	return issue(nil, newOrder(caDefaults, options))
}

// SelfSigned returns a self-signed certificate that is not a CA.
func SelfSigned(options ...Option) *Certificate {
	return issue(nil, newOrder(leafDefaults, options))
}

// Intermediate issues a CA certificate.
func (c *Certificate) Intermediate(options ...Option) *Certificate {
	return issue(c, newOrder(caDefaults, options))
}

// Issue issues a leaf, without any extended key usage unless told.
func (c *Certificate) Issue(options ...Option) *Certificate {
	return issue(c, newOrder(leafDefaults, options))
}

// Renew issues the same certificate again by the same issuer with the same
// key, another serial and what options change, usually [Validity].
func (c *Certificate) Renew(options ...Option) *Certificate {
	again := c.order
	again.template.SerialNumber = newSerial()
	again.key = c.Key
	again.apply(options)
	return issue(c.Issuer, again)
}

// CrossSigned returns a certificate for c's subject and key by another issuer.
func (c *Certificate) CrossSigned(issuer *Certificate) *Certificate {
	again := c.order
	again.template.SerialNumber = newSerial()
	again.key = c.Key
	return issue(issuer, again)
}

func issue(issuer *Certificate, o order) *Certificate {
	if o.key == nil {
		o.key = o.makeKey()
	}
	parent, signer := &o.template, o.key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, &o.template, parent, o.key.Public(), signer)
	if err != nil {
		panic(fmt.Sprintf("certtest: creating a certificate: %v", err))
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("certtest: parsing the created certificate: %v", err))
	}
	return &Certificate{Certificate: parsed, Key: o.key, Issuer: issuer, order: o}
}

// PEM returns the certificate as one CERTIFICATE block.
func (c *Certificate) PEM() []byte { return PEM(c) }

// KeyPEM returns the private key as PKCS#8.
func (c *Certificate) KeyPEM() []byte { return block("PRIVATE KEY", c.KeyDER()) }

// KeyDER returns the private key as PKCS#8.
func (c *Certificate) KeyDER() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		panic(fmt.Sprintf("certtest: encoding a private key: %v", err))
	}
	return der
}

// CSR returns a signing request for the certificate's subject and key.
func (c *Certificate) CSR() []byte { return block("CERTIFICATE REQUEST", c.CSRDER()) }

// CSRDER returns what [Certificate.CSR] does as DER.
func (c *Certificate) CSRDER() []byte {
	request := &x509.CertificateRequest{RawSubject: c.RawSubject, DNSNames: c.DNSNames}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, c.Key)
	if err != nil {
		panic(fmt.Sprintf("certtest: creating a signing request: %v", err))
	}
	return der
}

// Chain returns c, then its issuers up to and without the self-signed one.
func (c *Certificate) Chain() []*Certificate {
	chain := []*Certificate{c}
	for i := c.Issuer; i != nil && i.Issuer != nil; i = i.Issuer {
		chain = append(chain, i)
	}
	return chain
}

// TLS returns the certificate alone, without its chain, for a client or server.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key, Leaf: c.Certificate}
}

// TLSChain returns the certificate with its intermediates.
func (c *Certificate) TLSChain() tls.Certificate {
	pair := c.TLS()
	for _, issuer := range c.Chain()[1:] {
		pair.Certificate = append(pair.Certificate, issuer.Raw)
	}
	return pair
}

// Pool returns a pool that holds c alone.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate)
	return pool
}

// PEM returns certificates as CERTIFICATE blocks in the given order.
func PEM(certs ...*Certificate) []byte {
	var blocks [][]byte
	for _, c := range certs {
		blocks = append(blocks, block("CERTIFICATE", c.Raw))
	}
	return slices.Concat(blocks...)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
