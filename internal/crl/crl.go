// Package crl reads certificate revocation lists (RFC 5280 §5): their
// encodings, signature, freshness, and which serial numbers they revoke. It
// does no input or output.
//
// A list is refused, with a fault whose rule names the reason, rather than
// read for less than it says: nobody is to believe that a list is in force
// which is not understood.
package crl

import (
	"iter"
	"math/big"
	"time"
)

// MaxSize is how many bytes the DER of a list may have: more than a million
// and a half of entries with 20-byte serial numbers.
const MaxSize = 64 << 20

// A List is a revocation list, parsed and indexed. It keeps the serial numbers
// alone, not the DER, and never changes: it may be used concurrently.
type List struct {
	RawIssuer  []byte    // DER of the issuer's name
	Issuer     string    // the same, in the form of cert.IssuerDN
	ThisUpdate time.Time // UTC
	NextUpdate time.Time // UTC
	Number     *big.Int  // CRLNumber; nil where there is none, as cfssl writes none

	signature signature
	index     index
}

// Parse reads a list. It refuses, by name, what it would otherwise misread:
// delta and indirect lists, those that cover a part of what their CA issued,
// every critical extension, a list without nextUpdate, and signature algorithms
// that uploads of certificates refuse too. Version 1 is accepted, since openssl
// writes it for CAs that are configured without a number. The signature itself
// is checked by [List.CheckIssuer].
//
// Not all of RFC 5280 is asked for where its absence leaves nothing open: the
// list may be without number or authority key identifier, and name a serial
// number twice.
func Parse(der []byte) (*List, error) {
	if err := checkSize(len(der)); err != nil {
		return nil, err
	}
	outer, err := readOuter(der)
	if err != nil {
		return nil, err
	}
	algorithm, err := readAlgorithm(outer.algorithm)
	if err != nil {
		return nil, err
	}
	b, err := readBody(outer)
	if err != nil {
		return nil, err
	}
	l, err := b.list()
	if err != nil {
		return nil, err
	}
	l.signature = newSignature(algorithm, outer)
	return l, nil
}

// Revokes reports whether the list names the serial number.
func (l *List) Revokes(serial *big.Int) bool {
	var buf [maxSerial]byte
	n := (serial.BitLen() + 7) / 8
	if n > len(buf) || serial.Sign() < 0 {
		return false // no list can name it: Parse refuses such entries
	}
	return l.index.has(serial.FillBytes(buf[:n]))
}

// Len returns how many serial numbers the list names.
func (l *List) Len() int { return l.index.len }

// Serials yields every serial number of the list, in no particular order. The
// numbers are the caller's.
func (l *List) Serials() iter.Seq[*big.Int] {
	return func(yield func(*big.Int) bool) {
		for octets := range l.index.all() {
			if !yield(new(big.Int).SetBytes(octets)) {
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
