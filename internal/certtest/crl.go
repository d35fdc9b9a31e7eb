package certtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// A CRLOption changes one thing about the revocation list to be made.
type CRLOption func(*crlOrder)

// A crlOrder is what a list is made from. It is encoded here, since
// x509.CreateRevocationList makes sound lists alone.
type crlOrder struct {
	version    int // as on the wire: 1 means v2; negative leaves it out
	signature  x509.SignatureAlgorithm
	rawIssuer  []byte
	thisUpdate time.Time
	nextUpdate time.Time // zero leaves it out
	entries    []crlEntry
	extensions []pkix.Extension
	number     *big.Int // nil leaves it out
}

type crlEntry struct {
	serial     *big.Int
	extensions []pkix.Extension
}

// CRL returns the DER of a revocation list (RFC 5280 §5) that c has signed:
// version 2, number 1, from an hour ago for a week, revoking nothing unless an
// option says otherwise.
func (c *Certificate) CRL(options ...CRLOption) []byte {
	now := time.Now()
	o := crlOrder{
		version: 1, rawIssuer: c.RawSubject, number: big.NewInt(1),
		thisUpdate: now.Add(-time.Hour), nextUpdate: now.AddDate(0, 0, 7),
	}
	for _, option := range options {
		option(&o)
	}
	algorithm, id := signatureAlgorithm(c.Key, o.signature)
	tbs := o.tbs(id)
	return seq(tbs, id, tlv(asn1.TagBitString, []byte{0}, sign(c.Key, algorithm, tbs)))
}

// CRLPEM returns what [Certificate.CRL] does as an X509 CRL block.
func (c *Certificate) CRLPEM(options ...CRLOption) []byte {
	return block("X509 CRL", c.CRL(options...))
}

// Revoke lists certificates.
func Revoke(certs ...*Certificate) CRLOption {
	return func(o *crlOrder) {
		for _, c := range certs {
			RevokeSerials(c.SerialNumber)(o)
		}
	}
}

// RevokeSerials lists serial numbers, sound or not: zero, negative and overlong
// ones are possible. Every entry is revoked at thisUpdate.
func RevokeSerials(serials ...*big.Int) CRLOption {
	return func(o *crlOrder) {
		for _, serial := range serials {
			o.entries = append(o.entries, crlEntry{serial: serial})
		}
	}
}

// RevokeWith lists one serial number with extensions of its entry.
func RevokeWith(serial *big.Int, extensions ...pkix.Extension) CRLOption {
	return func(o *crlOrder) {
		o.entries = append(o.entries, crlEntry{serial, extensions})
	}
}

// Reason returns the reasonCode extension of an entry (RFC 5280 §5.3.1).
func Reason(code int) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: encode(asn1.Enumerated(code))}
}

// CRLNumber sets the number of the list.
func CRLNumber(n int64) CRLOption {
	return func(o *crlOrder) { o.number = big.NewInt(n) }
}

// NoCRLNumber leaves the number out, as cfssl does.
func NoCRLNumber() CRLOption {
	return func(o *crlOrder) { o.number = nil }
}

// Updates sets thisUpdate and nextUpdate; a zero nextUpdate leaves it out. Both
// are cut to whole seconds.
func Updates(thisUpdate, nextUpdate time.Time) CRLOption {
	return func(o *crlOrder) { o.thisUpdate, o.nextUpdate = thisUpdate, nextUpdate }
}

// DeltaCRL makes it a delta to the list of that number.
func DeltaCRL(base int64) CRLOption {
	return CRLExtension(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: encode(base)})
}

// IssuingDistributionPoint adds that extension (RFC 5280 §5.2.5) with fields as
// encoded by the caller: "840101" in hex is indirectCRL, "8101FF" is
// onlyContainsUserCerts.
func IssuingDistributionPoint(fields []byte) CRLOption {
	return CRLExtension(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: seq(fields)})
}

// CRLExtension adds an extension of the list as encoded by the caller.
func CRLExtension(e pkix.Extension) CRLOption {
	return func(o *crlOrder) { o.extensions = append(o.extensions, e) }
}

// CRLSignature sets the algorithm of the signature. It must fit the key.
func CRLSignature(algorithm x509.SignatureAlgorithm) CRLOption {
	return func(o *crlOrder) { o.signature = algorithm }
}

// CRLIssuer sets the issuer's name as encoded by the caller.
func CRLIssuer(raw []byte) CRLOption {
	return func(o *crlOrder) { o.rawIssuer = raw }
}

// CRLVersion sets the version: 1, whose lists have no extensions and do not say
// their version, or any other.
func CRLVersion(version int) CRLOption {
	return func(o *crlOrder) {
		if o.version = version - 1; o.version <= 0 {
			o.version, o.number = -1, nil
		}
	}
}

// tbs encodes the TBSCertList (RFC 5280 §5.1.2).
func (o *crlOrder) tbs(algorithm []byte) []byte {
	var fields [][]byte
	if o.version >= 0 {
		fields = append(fields, encode(o.version))
	}
	fields = append(fields, algorithm, o.rawIssuer, encodeTime(o.thisUpdate))
	if !o.nextUpdate.IsZero() {
		fields = append(fields, encodeTime(o.nextUpdate))
	}
	if len(o.entries) > 0 {
		fields = append(fields, o.revoked())
	}
	extensions := o.extensions
	if o.number != nil {
		extensions = append([]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: encode(o.number)}}, extensions...)
	}
	if len(extensions) > 0 {
		const explicit0 = 0xA0
		fields = append(fields, tlv(explicit0, encode(extensions)))
	}
	return seq(fields...)
}

func (o *crlOrder) revoked() []byte {
	var entries []byte
	date := encodeTime(o.thisUpdate)
	for _, e := range o.entries {
		fields := [][]byte{encode(e.serial), date}
		if len(e.extensions) > 0 {
			fields = append(fields, encode(e.extensions))
		}
		entries = append(entries, seq(fields...)...)
	}
	return seq(entries)
}

// encodeTime follows RFC 5280 §5.1.2.4: UTCTime until 2049.
func encodeTime(t time.Time) []byte {
	t = t.UTC()
	if t.Year() < 2050 {
		return tlv(asn1.TagUTCTime, []byte(t.Format("060102150405Z")))
	}
	return tlv(asn1.TagGeneralizedTime, []byte(t.Format("20060102150405Z")))
}

// signatureAlgorithm returns an algorithm and its encoded identifier. Both are
// taken from a certificate that x509 signs so, which knows the defaults of keys
// and the parameters of algorithms.
func signatureAlgorithm(key crypto.Signer, algorithm x509.SignatureAlgorithm) (x509.SignatureAlgorithm, []byte) {
	sample := issue(nil, newOrder(leafDefaults, []Option{Key(key), Signature(algorithm)}))
	var outer struct{ TBS, Algorithm, Signature asn1.RawValue }
	if _, err := asn1.Unmarshal(sample.Raw, &outer); err != nil {
		panic(fmt.Sprintf("certtest: reading a signature algorithm: %v", err))
	}
	return sample.SignatureAlgorithm, outer.Algorithm.FullBytes
}

// hashes are those of the signature algorithms; Ed25519 hashes by itself.
var hashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.SHA1WithRSA: crypto.SHA1, x509.ECDSAWithSHA1: crypto.SHA1,
	x509.SHA256WithRSA: crypto.SHA256, x509.SHA256WithRSAPSS: crypto.SHA256, x509.ECDSAWithSHA256: crypto.SHA256,
	x509.SHA384WithRSA: crypto.SHA384, x509.SHA384WithRSAPSS: crypto.SHA384, x509.ECDSAWithSHA384: crypto.SHA384,
	x509.SHA512WithRSA: crypto.SHA512, x509.SHA512WithRSAPSS: crypto.SHA512, x509.ECDSAWithSHA512: crypto.SHA512,
}

func sign(key crypto.Signer, algorithm x509.SignatureAlgorithm, message []byte) []byte {
	var options crypto.SignerOpts = hashes[algorithm]
	if hash := options.HashFunc(); hash != 0 {
		sum := hash.New()
		sum.Write(message)
		message = sum.Sum(nil)
	}
	switch algorithm {
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hashes[algorithm]}
	}
	signature, err := key.Sign(rand.Reader, message, options)
	if err != nil {
		panic(fmt.Sprintf("certtest: signing: %v", err))
	}
	return signature
}

func encode(value any) []byte {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("certtest: encoding %T: %v", value, err))
	}
	return der
}

func seq(parts ...[]byte) []byte { return tlv(asn1.TagSequence|0x20, parts...) }

// tlv encodes a value by its identifier octet and the parts of its contents.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	der := []byte{tag, byte(n)}
	if n > 0x7F {
		length := big.NewInt(int64(n)).Bytes()
		der = append([]byte{tag, 0x80 | byte(len(length))}, length...)
	}
	for _, p := range parts {
		der = append(der, p...)
	}
	return der
}
