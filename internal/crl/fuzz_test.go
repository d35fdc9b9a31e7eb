package crl_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
)

// agree holds what Parse makes of a list to what x509 does: it accepts nothing
// that x509 refuses, reads the same from it, and refuses nothing without a
// name. Version 1, which x509 does not read, is shown to it as version 2.
func agree(t *testing.T, der []byte) {
	t.Helper()
	l, err := crl.Parse(der)
	theirs, theirError := x509.ParseRevocationList(asVersion2(der))
	switch {
	case err != nil:
		checkRefusal(t, err)
		return
	case theirError != nil:
		t.Fatalf("x509 refuses what is accepted: %v", theirError)
	}
	if !bytes.Equal(l.RawIssuer, theirs.RawIssuer) || !l.ThisUpdate.Equal(theirs.ThisUpdate) || !l.NextUpdate.Equal(theirs.NextUpdate) {
		t.Errorf("issuer %x, from %s to %s; x509 reads %x, %s, %s", l.RawIssuer, l.ThisUpdate, l.NextUpdate, theirs.RawIssuer, theirs.ThisUpdate, theirs.NextUpdate)
	}
	if (l.Number == nil) != (theirs.Number == nil) || l.Number != nil && l.Number.Cmp(theirs.Number) != 0 {
		t.Errorf("number %s; x509 reads %s", l.Number, theirs.Number)
	}
	agreeOnSerials(t, l, theirs)
}

func agreeOnSerials(t *testing.T, l *crl.List, theirs *x509.RevocationList) {
	t.Helper()
	want := map[string]bool{}
	for _, e := range theirs.RevokedCertificateEntries {
		want[e.SerialNumber.String()] = true
		if !l.Revokes(e.SerialNumber) {
			t.Errorf("%s is not revoked", e.SerialNumber)
		}
		if other := new(big.Int).Add(e.SerialNumber, big.NewInt(1)); l.Revokes(other) && !contains(theirs, other) {
			t.Errorf("%s is revoked", other)
		}
	}
	n := 0
	for serial := range l.Serials() {
		n++
		if !want[serial.String()] {
			t.Errorf("%s is among the serials", serial)
		}
	}
	if n != len(want) || l.Len() != len(want) {
		t.Errorf("%d serials, length %d; x509 reads %d", n, l.Len(), len(want))
	}
}

func contains(l *x509.RevocationList, serial *big.Int) bool {
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial) == 0 {
			return true
		}
	}
	return false
}

// checkRefusal holds every fault to what a person and a program need of it.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if fault.Rule(err) == "" || fault.Hint(err) == "" || fault.KindOf(err) == fault.Internal {
		t.Errorf("a fault without rule, hint or kind: %v", err)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 500 {
		t.Errorf("a fault that is not one short line: %q", err)
	}
}

// asVersion2 puts the version into a list of version 1.
func asVersion2(der []byte) []byte {
	var list struct{ Signed, Algorithm, Signature asn1.RawValue }
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 || !bytes.HasPrefix(list.Signed.Bytes, []byte{sequence}) {
		return der
	}
	list.Signed = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(number("\x01"), list.Signed.Bytes...)}
	again, err := asn1.Marshal(list)
	if err != nil {
		return der
	}
	return again
}

func FuzzParse(f *testing.F) {
	ca := certtest.NewCA()
	for _, der := range [][]byte{
		sound().der(), ca.CRL(), ca.CRL(certtest.RevokeSerials(big.NewInt(0), big.NewInt(300), big.NewInt(300))),
		certtest.NewCA(certtest.RSA(2048)).CRL(certtest.RevokeWith(big.NewInt(7), certtest.Reason(1))),
		ca.CRL(certtest.CRLVersion(1), certtest.RevokeSerials(big.NewInt(1))),
		ca.CRL(certtest.DeltaCRL(1)), ca.CRL(certtest.IssuingDistributionPoint(tlv(0x84, []byte{0xFF}))),
		change(func(l *rawList) {
			l.issuer = rdn(bmpString, "\x00C\x00A")
			l.next = tlv(generalizedTime, []byte("20500101000000Z"))
			l.entries = entries(entry("\x01", reason(6)), entry("\x00\xFF", tlv(sequence, ext(24, false, nil), ext(99, false, nil))))
			l.extensions = extensions(ext(20, false, number("\x01")), ext(35, false, tlv(sequence, tlv(0x80, []byte("id")))))
		}),
	} {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) { agree(t, der) })
}

func FuzzDecode(f *testing.F) {
	ca := certtest.NewCA()
	for _, data := range [][]byte{
		nil, ca.CRL(), ca.CRLPEM(), []byte(base64.StdEncoding.EncodeToString(ca.CRL())), ca.PEM(), ca.Raw, ca.KeyPEM(), ca.KeyDER(), ca.CSR(),
		append(ca.CRLPEM(), ca.CRLPEM()...), []byte("<html>"), []byte("text\n" + string(ca.CRLPEM())),
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		der, err := crl.Decode(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if bytes.Contains(data, []byte("-----BEGIN PRIVATE KEY-----")) {
			t.Error("an input with a private key is accepted")
		}
		if again, err := crl.Decode(der); err != nil || !bytes.Equal(again, der) {
			t.Errorf("the DER of a list is no list: %v", err)
		}
	})
}

// FuzzParse_Fields changes fields within a frame whose lengths are right, which
// changes of single bytes hardly find.
func FuzzParse_Fields(f *testing.F) {
	add := func(issuer byte, name, this, next string, serial, entryID, entryValue, listID, listValue []byte, flags byte) {
		f.Add(issuer, name, this, next, serial, entryID, entryValue, listID, listValue, flags)
	}
	id := func(n byte) []byte { return []byte{0x55, 0x1D, n} }
	add(utf8String, "CA", "260301120000Z", "260306120000Z", []byte{1}, id(21), tlv(enumerated, []byte{1}), id(20), number("\x01"), 0)
	add(bmpString, "\x00C\x00A", "20260301120000Z", "99991231235959Z", []byte{0, 0x80}, id(24), nil, id(35), tlv(sequence, tlv(0x80, []byte("id"))), 1)
	add(0x13, "CA*&", "500229120000Z", "20000229000000Z", make([]byte, 21), id(29), nil, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), nil, 2)
	add(0x14, "C\xc4", "260301120000Z", "21000228000000Z", []byte{0x7F, 0xFF}, id(21), tlv(enumerated, []byte{10}), id(28), tlv(sequence, tlv(0x84, []byte{0})), 4)
	add(0x16, "a@b", "260301120000Z", "260301120000Z", nil, id(23), tlv(oid, id(1)), id(27), number("\x01"), 8)
	f.Fuzz(func(t *testing.T, issuer byte, name, this, next string, serial, entryID, entryValue, listID, listValue []byte, flags byte) {
		const most = 1000
		for _, field := range []int{len(name), len(this), len(next), len(serial), len(entryID), len(entryValue), len(listID), len(listValue)} {
			if field > most {
				return
			}
		}
		moment := func(text string) []byte {
			if len(text) >= 15 {
				return tlv(generalizedTime, []byte(text))
			}
			return tlv(utcTime, []byte(text))
		}
		agree(t, change(func(l *rawList) {
			l.issuer, l.this, l.next = rdn(issuer, name), moment(this), moment(next)
			extension := tlv(sequence, tlv(oid, entryID), critical(flags, 1), tlv(octetString, entryValue))
			l.entries = entries(entry("\x05"), tlv(sequence, tlv(integer, serial), moment(this), tlv(sequence, extension)), entry(string(serial)))
			l.extensions = extensions(tlv(sequence, tlv(oid, listID), critical(flags, 2), tlv(octetString, listValue)))
			if flags&4 != 0 {
				l.version, l.entries, l.extensions = nil, entries(entry(string(serial))), nil
			}
			if flags&8 != 0 {
				l.setAlgorithm("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", tlv(null))
			}
		}))
	})
}

func critical(flags, bit byte) []byte {
	switch {
	case flags&bit == 0:
		return nil
	case flags&16 != 0:
		return tlv(boolean, []byte{0})
	}
	return tlv(boolean, []byte{0xFF})
}
