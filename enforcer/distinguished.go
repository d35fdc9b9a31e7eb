package enforcer

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// A distinguishedName is a subject or issuer as encoded, since pkix.Name
// forgets the order of the attributes and the types of their values.
type distinguishedName []attributesSET

// An attributesSET is a relative distinguished name; encoding/asn1 knows a SET
// by the name of its type.
type attributesSET []attribute

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parseName returns the empty name for one that it cannot read.
func parseName(raw []byte) distinguishedName {
	var name distinguishedName
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return nil
	}
	return name
}

// rfc2253 writes the name most specific attribute first, as OpenSSL does.
// Bytes beyond ASCII are escaped if ascii is set (§2.4), else they stay UTF-8.
func (n distinguishedName) rfc2253(ascii bool) string {
	sets := make([]string, 0, len(n))
	for _, set := range slices.Backward(n) {
		pairs := make([]string, 0, len(set))
		for _, a := range slices.Backward(set) {
			pairs = append(pairs, a.rfc2253(ascii))
		}
		sets = append(sets, strings.Join(pairs, "+"))
	}
	name := strings.Join(sets, ",")
	if rest, ok := strings.CutSuffix(name, `\ `); ok {
		name = rest + `\20` // HTTP would drop a space at the end
	}
	return name
}

// legacy writes the name as X509_NAME_oneline of OpenSSL 3, in its own order.
// Since backslashes are not escaped, different names can come out alike.
func (n distinguishedName) legacy() string {
	var b strings.Builder
	for _, set := range n {
		separator := "/"
		for _, a := range set {
			name, _ := a.name()
			b.WriteString(separator + name + "=")
			a.writeLegacy(&b)
			separator = "+"
		}
	}
	return b.String()
}

func (a *attribute) writeLegacy(b *strings.Builder) {
	for _, c := range a.Value.Bytes {
		switch {
		case c < ' ', c > '~':
			fmt.Fprintf(b, `\x%02X`, c)
		case c == '/', c == '+':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}

// shortNames are OpenSSL's, which the reference product writes.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.46": "dnQualifier",
	"2.5.4.97":             "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

func (a *attribute) name() (name string, known bool) {
	oid := a.Type.String()
	if name, known = shortNames[oid]; known {
		return name, true
	}
	return oid, false
}

func (a *attribute) rfc2253(ascii bool) string {
	name, known := a.name()
	text, readable := decodeText(&a.Value)
	if !known || !readable {
		return fmt.Sprintf("%s=#%X", name, a.Value.FullBytes)
	}
	return name + "=" + escapeAttribute(text, ascii)
}

// escapeAttribute escapes by RFC 2253 §2.4, and control characters too.
func escapeAttribute(s string, ascii bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ', c == 0x7f, c > 0x7f && ascii:
			fmt.Fprintf(&b, `\%02X`, c)
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// The string types that encoding/asn1 has no name for.
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// decodeText returns what a value of a string type says, in UTF-8.
func decodeText(v *asn1.RawValue) (text string, ok bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagNumericString, asn1.TagPrintableString, asn1.TagIA5String, tagVisibleString:
		return string(v.Bytes), true
	case asn1.TagT61String: // Latin-1 in practice, and to OpenSSL
		return decodeUnits(v.Bytes, 1, func(b []byte) rune { return rune(b[0]) })
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		_, err := binary.Decode(v.Bytes, binary.BigEndian, units)
		return string(utf16.Decode(units)), err == nil && len(v.Bytes)%2 == 0
	case tagUniversalString:
		return decodeUnits(v.Bytes, 4, func(b []byte) rune { return rune(binary.BigEndian.Uint32(b)) }) //nolint:gosec // what is no character becomes U+FFFD
	}
	return "", false
}

func decodeUnits(raw []byte, size int, decode func([]byte) rune) (text string, ok bool) {
	var b strings.Builder
	for unit := range slices.Chunk(raw, size) {
		if len(unit) < size {
			return "", false
		}
		b.WriteRune(decode(unit))
	}
	return b.String(), true
}
