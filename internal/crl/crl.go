// Package crl reads certificate revocation lists (RFC 5280 §5): their
// encodings, signature, freshness, and which serial numbers they revoke. It
// does no input or output.
package crl

import (
	"crypto/x509"
	"encoding/pem"
	"iter"
	"math/big"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// A List is a revocation list, parsed and indexed. It keeps the serial numbers
// alone, not the DER, and never changes: it may be used concurrently.
type List struct {
	RawIssuer  []byte    // DER of the issuer's name
	Issuer     string    // the same, in RFC 2253 form
	ThisUpdate time.Time // UTC
	NextUpdate time.Time // UTC
	Number     *big.Int  // CRLNumber; nil where there is none, as cfssl writes none

	list    *x509.RevocationList
	serials map[string]struct{}
}

// Decode returns the DER of a list that is given as DER, as PEM or as base64
// of DER, which is what `cfssl gencrl` prints. A private key, a certificate or
// anything else is refused by name.
func Decode(data []byte) ([]byte, error) {
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes, nil
	}
	return data, nil
}

// Parse reads a list. It refuses, by name, what it would otherwise misread:
// delta and indirect lists, every other critical extension, a list without
// nextUpdate, and signature algorithms that cert uploads refuse too. The
// signature itself is checked by [List.CheckIssuer].
func Parse(der []byte) (*List, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fault.New(fault.Unprocessable, "crl", "not a revocation list: %w", err)
	}
	l := &List{
		RawIssuer: parsed.RawIssuer, Issuer: parsed.Issuer.String(), Number: parsed.Number,
		ThisUpdate: parsed.ThisUpdate, NextUpdate: parsed.NextUpdate, list: parsed, serials: map[string]struct{}{},
	}
	for _, e := range parsed.RevokedCertificateEntries {
		l.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	return l, nil
}

// CheckIssuer reports whether ca issued the list: its name is the list's
// issuer, its key made the signature, and its key usage, if it has one, allows
// cRLSign (RFC 5280 §6.3.3 f). The error's rule names what does not fit.
func (l *List) CheckIssuer(ca *x509.Certificate) error {
	if err := l.list.CheckSignatureFrom(ca); err != nil {
		return fault.New(fault.Unprocessable, "crl_signature", "%w", err)
	}
	return nil
}

// Revokes reports whether the list names the serial number.
func (l *List) Revokes(serial *big.Int) bool {
	_, ok := l.serials[string(serial.Bytes())]
	return ok
}

// Len returns how many serial numbers the list names.
func (l *List) Len() int { return len(l.serials) }

// Serials yields every serial number of the list, in no particular order. The
// numbers are the caller's.
func (l *List) Serials() iter.Seq[*big.Int] {
	return func(yield func(*big.Int) bool) {
		for s := range l.serials {
			if !yield(new(big.Int).SetBytes([]byte(s))) {
				return
			}
		}
	}
}

// maxGrace bounds the default grace of a list.
const maxGrace = 7 * 24 * time.Hour

// InForceUntil returns the last instant at which the list still says who is
// not revoked: nextUpdate and the grace after it. A grace of zero means the
// default: one more validity period of the list, at most seven days.
func (l *List) InForceUntil(grace time.Duration) time.Time {
	if grace == 0 {
		grace = min(l.NextUpdate.Sub(l.ThisUpdate), maxGrace)
	}
	return l.NextUpdate.Add(grace)
}
