package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// An Option changes one thing about the certificate to be made.
type Option func(*order)

// An order is what a certificate is made from.
type order struct {
	template x509.Certificate
	key      crypto.Signer
	makeKey  func() crypto.Signer
}

func newOrder(defaults Option, options []Option) order {
	o := order{makeKey: ecdsaKey(elliptic.P256())}
	o.template.SerialNumber = newSerial()
	o.template.BasicConstraintsValid = true
	defaults(&o)
	o.apply(options)
	return o
}

func (o *order) apply(options []Option) {
	for _, option := range options {
		option(o)
	}
}

func caDefaults(o *order) {
	now := time.Now()
	o.template.Subject.CommonName = "Test CA"
	o.template.NotBefore, o.template.NotAfter = now.Add(-time.Hour), now.AddDate(10, 0, 0)
	o.template.IsCA = true
	o.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func leafDefaults(o *order) {
	now := time.Now()
	o.template.Subject.CommonName = "Test Leaf"
	o.template.NotBefore, o.template.NotAfter = now.Add(-time.Hour), now.AddDate(1, 0, 0)
	o.template.KeyUsage = x509.KeyUsageDigitalSignature
}

func newSerial() *big.Int {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(fmt.Sprintf("certtest: drawing a serial number: %v", err))
	}
	return serial.Add(serial, big.NewInt(1))
}

// CommonName sets the common names of the subject: usually one; none and
// several are possible.
func CommonName(names ...string) Option {
	return func(o *order) {
		o.template.Subject.CommonName, o.template.Subject.ExtraNames = "", nil
		for _, name := range names {
			o.template.Subject.ExtraNames = append(o.template.Subject.ExtraNames,
				pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name})
		}
	}
}

// Subject sets the whole subject.
func Subject(name pkix.Name) Option {
	return func(o *order) { o.template.Subject = name }
}

// RawSubject sets the subject as encoded by the caller.
func RawSubject(der []byte) Option {
	return func(o *order) { o.template.RawSubject = der }
}

// Validity sets notBefore and notAfter; both are cut to whole seconds.
func Validity(notBefore, notAfter time.Time) Option {
	return func(o *order) { o.template.NotBefore, o.template.NotAfter = notBefore, notAfter }
}

// Serial sets the serial number.
func Serial(n int64) Option {
	return func(o *order) { o.template.SerialNumber = big.NewInt(n) }
}

// DNS adds DNS names. The empty name is what cfssl makes of "hosts": [""].
func DNS(names ...string) Option {
	return func(o *order) { o.template.DNSNames = append(o.template.DNSNames, names...) }
}

// IP adds IP addresses.
func IP(addresses ...string) Option {
	return func(o *order) {
		for _, a := range addresses {
			o.template.IPAddresses = append(o.template.IPAddresses, net.ParseIP(a))
		}
	}
}

// Email adds e-mail addresses.
func Email(addresses ...string) Option {
	return func(o *order) { o.template.EmailAddresses = append(o.template.EmailAddresses, addresses...) }
}

// URI adds a URI.
func URI(uri string) Option {
	return func(o *order) {
		parsed, err := url.Parse(uri)
		if err != nil {
			panic(fmt.Sprintf("certtest: parsing a URI: %v", err))
		}
		o.template.URIs = append(o.template.URIs, parsed)
	}
}

// Client makes it a client certificate: EKU clientAuth.
func Client() Option { return Usage(x509.ExtKeyUsageClientAuth) }

// Server makes it a server certificate for hosts, which are DNS names or IP
// addresses: EKU serverAuth.
func Server(hosts ...string) Option {
	return func(o *order) {
		Usage(x509.ExtKeyUsageServerAuth)(o)
		for _, host := range hosts {
			if net.ParseIP(host) != nil {
				IP(host)(o)
			} else {
				DNS(host)(o)
			}
		}
	}
}

// Usage sets the extended key usages; none means that there is no EKU.
func Usage(usages ...x509.ExtKeyUsage) Option {
	return func(o *order) { o.template.ExtKeyUsage = usages }
}

// KeyUsage sets the key usage; 0 leaves the extension out.
func KeyUsage(usage x509.KeyUsage) Option {
	return func(o *order) { o.template.KeyUsage = usage }
}

// IsCA sets the CA flag of the basic constraints, against the method's own idea.
func IsCA(yes bool) Option {
	return func(o *order) { o.template.IsCA = yes }
}

// NoBasicConstraints leaves the basic constraints out.
func NoBasicConstraints() Option {
	return func(o *order) { o.template.BasicConstraintsValid = false }
}

// MaxPathLen limits the number of intermediates below a CA.
func MaxPathLen(n int) Option {
	return func(o *order) { o.template.MaxPathLen, o.template.MaxPathLenZero = n, n == 0 }
}

// PermittedDNS adds critical name constraints.
func PermittedDNS(domains ...string) Option {
	return func(o *order) {
		o.template.PermittedDNSDomains, o.template.PermittedDNSDomainsCritical = domains, true
	}
}

// Extension adds an extension as encoded by the caller.
func Extension(e pkix.Extension) Option {
	return func(o *order) { o.template.ExtraExtensions = append(o.template.ExtraExtensions, e) }
}

// Signature sets the algorithm with which the issuer signs. It must fit the
// issuer's key.
func Signature(algorithm x509.SignatureAlgorithm) Option {
	return func(o *order) { o.template.SignatureAlgorithm = algorithm }
}

// Key uses an existing key.
func Key(key crypto.Signer) Option {
	return func(o *order) { o.key = key }
}

// NewKey makes a new ECDSA P-256 key; for [Certificate.Renew], which keeps the
// present one otherwise.
func NewKey() Option { return ECDSA(elliptic.P256()) }

// ECDSA makes an ECDSA key on a curve.
func ECDSA(curve elliptic.Curve) Option {
	return func(o *order) { o.key, o.makeKey = nil, ecdsaKey(curve) }
}

// RSA makes an RSA key. It is slow: 4096 bits take about a second.
func RSA(bits int) Option {
	return func(o *order) {
		o.key, o.makeKey = nil, func() crypto.Signer {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			return must(key, err)
		}
	}
}

// Ed25519 makes an Ed25519 key.
func Ed25519() Option {
	return func(o *order) {
		o.key, o.makeKey = nil, func() crypto.Signer {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return must(key, err)
		}
	}
}

func ecdsaKey(curve elliptic.Curve) func() crypto.Signer {
	return func() crypto.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		return must(key, err)
	}
}

func must(key crypto.Signer, err error) crypto.Signer {
	if err != nil {
		panic(fmt.Sprintf("certtest: generating a key: %v", err))
	}
	return key
}
