package crl

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// malformed returns the refusal of a list that is not what RFC 5280 §5.1
// describes. No part of the list is repeated in it.
func malformed(where string) error {
	return fault.New(fault.Invalid, "crl_malformed", "the revocation list does not parse: %s", where).
		WithHint("have it made or downloaded again; openssl crl -in FILE -noout -text shows whether it is intact")
}

// An outer is a CertificateList (RFC 5280 §5.1.1).
type outer struct {
	signed    []byte // tbsCertList, with tag and length
	algorithm []byte // contents
	signature []byte // the octets of the bit string
}

func readOuter(der []byte) (outer, error) {
	r := reader(der)
	contents, ok := r.take(tagSequence)
	if !ok {
		return outer{}, malformed("it is no DER sequence, or is cut off")
	}
	if len(r) > 0 {
		return outer{}, fault.New(fault.Invalid, "trailing_data", "there is data after the revocation list").
			WithHint("give one list alone")
	}
	var o outer
	r = contents
	if o.signed, ok = r.element(tagSequence); !ok {
		return outer{}, malformed("its signed part")
	}
	if o.algorithm, ok = r.take(tagSequence); !ok {
		return outer{}, malformed("its signature algorithm")
	}
	bits, ok := r.take(tagBitString)
	if !ok || len(bits) < 2 || bits[0] != 0 || len(r) > 0 {
		return outer{}, malformed("its signature")
	}
	o.signature = bits[1:]
	return o, nil
}

// A body is a TBSCertList (RFC 5280 §5.1.2).
type body struct {
	v2                     bool
	issuer                 []byte // with tag and length
	thisUpdate, nextUpdate time.Time
	entries                reader
	extensions             reader
}

func readBody(o outer) (body, error) {
	r := reader(o.signed)
	contents, _ := r.take(tagSequence) // readOuter saw it
	r = contents
	var b body
	var err error
	if b.v2, err = readVersion(&r); err != nil {
		return body{}, err
	}
	if inner, ok := r.take(tagSequence); !ok || !bytes.Equal(inner, o.algorithm) {
		return body{}, malformed("its signature algorithm is another inside the signed part than outside")
	}
	var ok bool
	if b.issuer, ok = r.element(tagSequence); !ok {
		return body{}, malformed("its issuer")
	}
	if err := b.readDates(&r); err != nil {
		return body{}, err
	}
	b.entries, _ = r.take(tagSequence) // optional; what is cut off is found below
	if err := b.readExtensions(&r); err != nil {
		return body{}, err
	}
	if len(r) > 0 {
		return body{}, malformed("there is something else where its entries or extensions should be")
	}
	return b, nil
}

// readVersion reads the version, which only version 2 writes (RFC 5280
// §5.1.2.1).
func readVersion(r *reader) (v2 bool, err error) {
	if !r.at(tagInteger) {
		return false, nil
	}
	if version, ok := r.unsigned(); !ok || string(version) != "\x01" {
		return false, fault.New(fault.Unprocessable, "crl_version", "the list is neither of version 1 nor of version 2").
			WithHint("have the CA issue a list of version 2 (RFC 5280 §5.1.2.1)")
	}
	return true, nil
}

func (b *body) readDates(r *reader) error {
	this, ok := r.instant()
	if !ok {
		return malformed("its thisUpdate")
	}
	b.thisUpdate = this.time()
	if !r.at(tagUTCTime) && !r.at(tagGeneralizedTime) {
		return fault.New(fault.Unprocessable, "crl_next_update", "the list has no nextUpdate: nobody could tell when it is out of date").
			WithHint("have the CA write nextUpdate into its lists, as RFC 5280 §5.1.2.5 asks")
	}
	next, ok := r.instant()
	if !ok {
		return malformed("its nextUpdate")
	}
	b.nextUpdate = next.time()
	if b.nextUpdate.Before(b.thisUpdate) {
		return fault.New(fault.Unprocessable, "crl_validity", "the list's nextUpdate, %s, is before its thisUpdate, %s",
			b.nextUpdate.Format(time.RFC3339), b.thisUpdate.Format(time.RFC3339)).
			WithHint("have the CA issue the list again with sound dates")
	}
	return nil
}

func (b *body) readExtensions(r *reader) error {
	if !r.at(tagExplicit0) {
		return nil
	}
	explicit, _ := r.take(tagExplicit0) // what is cut off holds no sequence
	wrapped, ok := reader(explicit), false
	if b.extensions, ok = wrapped.take(tagSequence); !ok || len(wrapped) > 0 {
		return malformed("its extensions")
	}
	if !b.v2 {
		return fault.New(fault.Unprocessable, "crl_version", "the list is of version 1 but has extensions").
			WithHint("have the CA issue a list of version 2 (RFC 5280 §5.1.2.1)")
	}
	return nil
}

// list returns the list of a body, without its signature.
func (b body) list() (*List, error) {
	l := &List{RawIssuer: bytes.Clone(b.issuer), ThisUpdate: b.thisUpdate, NextUpdate: b.nextUpdate}
	var err error
	if l.Issuer, err = readName(l.RawIssuer); err != nil {
		return nil, err
	}
	if l.Number, err = checkExtensions(b.extensions); err != nil {
		return nil, err
	}
	if l.index, err = readEntries(b.entries, b.v2); err != nil {
		return nil, err
	}
	return l, nil
}

// readName returns a name as text. It accepts the strings that x509 reads in
// certificates, with which the name will be compared.
func readName(raw []byte) (string, error) {
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal(raw, &name)
	if err != nil || len(rest) > 0 || len(name) == 0 {
		return "", malformed("its issuer")
	}
	for _, set := range name {
		for _, attribute := range set {
			if _, ok := attribute.Value.(string); !ok {
				return "", malformed("its issuer")
			}
		}
	}
	return cert.IssuerDN(&x509.Certificate{RawIssuer: raw}), nil
}

// readEntries reads the contents of revokedCertificates twice: once to check
// and to measure, once to index without an octet too much.
func readEntries(entries reader, v2 bool) (index, error) {
	n, octets := 0, 0
	for r := entries; len(r) > 0; n++ {
		serial, err := readEntry(&r, n+1, v2)
		if err != nil {
			return index{}, err
		}
		octets += len(serial)
	}
	x := newIndex(n, octets)
	for r := entries; len(r) > 0; {
		contents, _ := r.take(tagSequence)
		entry := reader(contents)
		serial, _ := entry.unsigned()
		x.add(serial)
	}
	return x, nil
}

// readEntry takes the n-th entry, from 1, and returns the magnitude of its
// serial number.
func readEntry(r *reader, n int, v2 bool) (serial []byte, err error) {
	contents, ok := r.take(tagSequence)
	if !ok {
		return nil, badEntry(n, "it is no sequence, or is cut off")
	}
	entry := reader(contents)
	if serial, ok = entry.unsigned(); !ok || len(serial) > maxSerial {
		return nil, fault.New(fault.Unprocessable, "crl_serial", "the serial number of entry %d of the list is negative, malformed or longer than %d octets", n, maxSerial).
			WithHint("have the CA issue the list again with serial numbers as RFC 5280 §4.1.2.2 has them")
	}
	if _, ok = entry.instant(); !ok {
		return nil, badEntry(n, "its revocation date")
	}
	if len(entry) == 0 {
		return serial, nil
	}
	extensions, ok := entry.take(tagSequence)
	if !ok || len(entry) > 0 {
		return nil, badEntry(n, "its extensions")
	}
	if !v2 {
		return nil, fault.New(fault.Unprocessable, "crl_version", "the list is of version 1 but entry %d has extensions", n).
			WithHint("have the CA issue a list of version 2 (RFC 5280 §5.1.2.1)")
	}
	return serial, checkEntryExtensions(extensions, n)
}

// checkSize refuses what is too large to be indexed.
func checkSize(n int) error {
	if n <= MaxSize {
		return nil
	}
	return fault.New(fault.TooLarge, "too_large", "the revocation list has %d bytes, more than the %d that are allowed", n, MaxSize).
		WithHint("have the CA leave certificates out of it that have expired")
}
