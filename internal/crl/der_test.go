package crl_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/crl"
)

// A tlv encodes a value in DER.
func tlv(tag byte, parts ...[]byte) []byte {
	contents := slices.Concat(parts...)
	n := len(contents)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, contents...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, contents...)
	}
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, contents...)
}

// The identifier octets that the tests need.
const (
	boolean, integer, bitString, octetString, null, oid, enumerated = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
	utf8String, bmpString, utcTime, generalizedTime                 = 0x0C, 0x1E, 0x17, 0x18
	sequence, set, explicit0                                        = 0x30, 0x31, 0xA0
)

// A rawList is a list of which every field is encoded by the test. Its
// signature is noise.
type rawList struct {
	version, inner, issuer, this, next, entries, extensions, more []byte
	outer, signature                                              []byte
}

func sound() rawList {
	algorithm := tlv(sequence, tlv(oid, []byte("\x2a\x86\x48\xce\x3d\x04\x03\x02")))
	return rawList{
		version: tlv(integer, []byte{1}), inner: algorithm, outer: algorithm, issuer: rdn(utf8String, "CA"),
		this: tlv(utcTime, []byte("260301120000Z")), next: tlv(utcTime, []byte("260306120000Z")),
		signature: tlv(bitString, []byte("\x00signature")),
	}
}

func rdn(tag byte, commonName string) []byte {
	return tlv(sequence, tlv(set, tlv(sequence, tlv(oid, []byte("\x55\x04\x03")), tlv(tag, []byte(commonName)))))
}

func (l rawList) der() []byte {
	signed := tlv(sequence, l.version, l.inner, l.issuer, l.this, l.next, l.entries, l.extensions, l.more)
	return tlv(sequence, signed, l.outer, l.signature)
}

// entries encodes revokedCertificates from the contents of its entries.
func entries(all ...[]byte) []byte { return tlv(sequence, all...) }

func entry(serial string, rest ...[]byte) []byte {
	return tlv(sequence, append([][]byte{tlv(integer, []byte(serial)), tlv(utcTime, []byte("260301120000Z"))}, rest...)...)
}

// extensions encodes crlExtensions.
func extensions(all ...[]byte) []byte { return tlv(explicit0, tlv(sequence, all...)) }

// ext encodes an extension of id-ce and the number.
func ext(number byte, critical bool, value []byte) []byte {
	var flag []byte
	if critical {
		flag = tlv(boolean, []byte{0xFF})
	}
	return tlv(sequence, tlv(oid, []byte{0x55, 0x1D, number}), flag, tlv(octetString, value))
}

// change returns the sound list with one thing changed.
func change(f func(*rawList)) []byte {
	l := sound()
	f(&l)
	return l.der()
}

func TestParse_Sound(t *testing.T) {
	t.Parallel()
	tests := map[string][]byte{
		"the list that the others change":  sound().der(),
		"version 1":                        change(func(l *rawList) { l.version = nil }),
		"version 1 with an entry":          change(func(l *rawList) { l.version, l.entries = nil, entries(entry("\x01")) }),
		"no entries in a sequence":         change(func(l *rawList) { l.entries = entries() }),
		"parameters NULL":                  change(func(l *rawList) { l.setAlgorithm("\x2a\x86\x48\xce\x3d\x04\x03\x02", tlv(null)) }),
		"RSA without parameters":           change(func(l *rawList) { l.setAlgorithm("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b") }),
		"both updates at once":             change(func(l *rawList) { l.next = l.this }),
		"a leap day":                       change(func(l *rawList) { l.this, l.next = instants("240229000000Z", "250301000000Z") }),
		"GeneralizedTime":                  change(func(l *rawList) { l.next = tlv(generalizedTime, []byte("20500101000000Z")) }),
		"GeneralizedTime of this century":  change(func(l *rawList) { l.next = tlv(generalizedTime, []byte("20260401000000Z")) }),
		"serial 0":                         change(func(l *rawList) { l.entries = entries(entry("\x00")) }),
		"a serial of 20 octets and a sign": change(func(l *rawList) { l.entries = entries(entry("\x00\xFF" + string(make([]byte, 19)))) }),
		"the largest number": change(func(l *rawList) {
			l.extensions = extensions(ext(20, false, number("\x00\xFF"+string(make([]byte, 19)))))
		}),
		"an unknown extension": change(func(l *rawList) { l.extensions = extensions(ext(99, false, []byte("what?"))) }),
		"FALSE in an extension": change(func(l *rawList) {
			l.extensions = extensions(tlv(sequence, tlv(oid, []byte("\x55\x1d\x63")), tlv(boolean, []byte{0}), tlv(octetString)))
		}),
		"an authority key identifier": change(func(l *rawList) { l.extensions = extensions(ext(35, false, tlv(sequence, tlv(0x80, []byte("id"))))) }),
		"a reason":                    change(func(l *rawList) { l.entries = entries(entry("\x01", reason(6))) }),
		"a reserved reason":           change(func(l *rawList) { l.entries = entries(entry("\x01", reason(7)), entry("\x02", reason(99))) }),
		"an invalidity date": change(func(l *rawList) {
			l.entries = entries(entry("\x01", tlv(sequence, ext(24, false, tlv(generalizedTime, []byte("20260101000000Z"))))))
		}),
		"a name in BMPString": change(func(l *rawList) { l.issuer = rdn(bmpString, "\x00C\x00A") }),
	}
	for name, der := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := crl.Parse(der)
			checkRule(t, err, "")
			agree(t, der)
		})
	}
}

func (l *rawList) setAlgorithm(id string, parameters ...[]byte) {
	l.inner = tlv(sequence, append([][]byte{tlv(oid, []byte(id))}, parameters...)...)
	l.outer = l.inner
}

func instants(this, next string) (a, b []byte) {
	return tlv(utcTime, []byte(this)), tlv(utcTime, []byte(next))
}

func number(octets string) []byte { return tlv(integer, []byte(octets)) }

func reason(code byte) []byte { return tlv(sequence, ext(21, false, tlv(enumerated, []byte{code}))) }

func TestParse_Refused(t *testing.T) {
	t.Parallel()
	const malformed = "crl_malformed"
	withEntry := func(serial string, rest ...[]byte) []byte {
		return change(func(l *rawList) { l.entries = entries(entry("\x05"), entry(serial, rest...)) })
	}
	with := func(all ...[]byte) []byte { return change(func(l *rawList) { l.extensions = extensions(all...) }) }
	updates := func(this, next string) []byte {
		return change(func(l *rawList) { l.this, l.next = instants(this, next) })
	}
	signed := func(id string, parameters ...[]byte) []byte {
		return change(func(l *rawList) { l.setAlgorithm(id, parameters...) })
	}
	good := sound().der()
	long := change(func(l *rawList) { l.entries = entries(slices.Repeat(entry("\x01"), 20)) })[4:] // the contents, of more than 255 octets
	tests := []struct {
		name string
		der  []byte
		rule string
	}{
		{"nothing", nil, malformed},
		{"cut off", good[:len(good)-1], malformed},
		{"data after it", append(bytes.Clone(good), 0), "trailing_data"},
		{"data after the signature", change(func(l *rawList) { l.signature = append(l.signature, 5, 0) }), malformed},
		{"data after the extensions", change(func(l *rawList) { l.extensions, l.more = extensions(), tlv(null) }), malformed},
		{"data in place of extensions", change(func(l *rawList) { l.more = tlv(null) }), malformed},
		{"a length in too many octets", slices.Concat([]byte{0x30, 0x83, 0, byte(len(long) >> 8), byte(len(long))}, long), malformed},
		{"a short length in the long form", change(func(l *rawList) { l.version = []byte{2, 0x81, 1, 1} }), "crl_version"},
		{"an indefinite length", append([]byte{0x30, 0x80}, append(bytes.Clone(good[3:]), 0, 0)...), malformed},
		{"a length beyond numbers", []byte{0x30, 0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0}, malformed},
		{"no signed part", tlv(sequence, tlv(null)), malformed},
		{"no signature", change(func(l *rawList) { l.signature = nil }), malformed},
		{"an empty signature", change(func(l *rawList) { l.signature = tlv(bitString, []byte{0}) }), malformed},
		{"a signature of odd bits", change(func(l *rawList) { l.signature = tlv(bitString, []byte{1, 2}) }), malformed},
		{"another algorithm outside", change(func(l *rawList) { l.outer = tlv(sequence, tlv(oid, []byte("\x2a\x86\x48\xce\x3d\x04\x03\x03"))) }), malformed},
		{"no algorithm outside", change(func(l *rawList) { l.outer = nil }), malformed},
		{"no algorithm inside", change(func(l *rawList) { l.inner = nil }), malformed},

		{"MD5", signed("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", tlv(null)), "signature_algorithm"},
		{"SHA-1", signed("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", tlv(null)), "signature_algorithm"},
		{"an algorithm of nobody", signed("\x2a\x03\x04\x8f\x7f"), "signature_algorithm"},
		{"an algorithm that is no identifier", signed("\x2a\x80\x01"), malformed},
		{"an algorithm cut off", signed("\x2a\x86"), malformed},
		{"an algorithm beyond numbers", signed("\x2a\x8f\xff\xff\xff\xff\x7f"), malformed},
		{"no identifier", signed(""), malformed},
		{"parameters", signed("\x2a\x86\x48\xce\x3d\x04\x03\x02", tlv(integer, []byte{1})), malformed},
		{"a NULL that is something", signed("\x2a\x86\x48\xce\x3d\x04\x03\x02", tlv(null, []byte{1})), malformed},
		{"parameters after NULL", signed("\x2a\x86\x48\xce\x3d\x04\x03\x02", tlv(null), tlv(null)), malformed},

		{"version 1, written", change(func(l *rawList) { l.version = number("\x00") }), "crl_version"},
		{"version 3", change(func(l *rawList) { l.version = number("\x02") }), "crl_version"},
		{"version 1 with extensions", change(func(l *rawList) { l.version, l.extensions = nil, extensions() }), "crl_version"},
		{"version 1 with extensions of an entry", change(func(l *rawList) { l.version, l.entries = nil, entries(entry("\x01", reason(1))) }), "crl_version"},

		{"no issuer", change(func(l *rawList) { l.issuer = nil }), malformed},
		{"an empty issuer", change(func(l *rawList) { l.issuer = tlv(sequence) }), malformed},
		{"an issuer without names", change(func(l *rawList) { l.issuer = tlv(sequence, tlv(null)) }), malformed},
		{"an issuer that is a number", change(func(l *rawList) { l.issuer = rdn(integer, "\x01") }), malformed},
		{"an issuer that is no text", change(func(l *rawList) { l.issuer = rdn(bmpString, "\xd8\x00") }), malformed},

		{"no updates", change(func(l *rawList) { l.this, l.next = nil, nil }), malformed},
		{"no nextUpdate", change(func(l *rawList) { l.next = nil }), "crl_next_update"},
		{"no nextUpdate but entries", change(func(l *rawList) { l.next, l.entries = nil, entries(entry("\x01")) }), "crl_next_update"},
		{"nextUpdate before thisUpdate", updates("260301120001Z", "260301120000Z"), "crl_validity"},
		{"a time without seconds", updates("2603011200Z", "260306120000Z"), malformed},
		{"a time of another zone", updates("260301120000+0000", "260306120000Z"), malformed},
		{"a time without a zone", updates("2603011200000", "260306120000Z"), malformed},
		{"month 0", updates("260001120000Z", "260306120000Z"), malformed},
		{"month 13", updates("261301120000Z", "270306120000Z"), malformed},
		{"day 0", updates("260300120000Z", "260306120000Z"), malformed},
		{"31 April", updates("260431120000Z", "260506120000Z"), malformed},
		{"29 February", updates("260229120000Z", "260306120000Z"), malformed},
		{"hour 24", updates("260301240000Z", "260306120000Z"), malformed},
		{"minute 60", updates("260301126000Z", "260306120000Z"), malformed},
		{"second 60", updates("260301120060Z", "260306120000Z"), malformed},
		{"a time of letters", updates("2603011200zzZ", "260306120000Z"), malformed},
		{"a nextUpdate of letters", updates("260301120000Z", "a60306120000Z"), malformed},
		{"fractions of a second", change(func(l *rawList) { l.next = tlv(generalizedTime, []byte("20260401000000.5Z")) }), malformed},
		{"a century of letters", change(func(l *rawList) { l.next = tlv(generalizedTime, []byte("zz260401000000Z")) }), malformed},
		{"29 February 2100", change(func(l *rawList) { l.next = tlv(generalizedTime, []byte("21000229000000Z")) }), malformed},

		{"an empty serial", withEntry(""), "crl_serial"},
		{"a negative serial", withEntry("\x80"), "crl_serial"},
		{"a serial not in its shortest form", withEntry("\x00\x01"), "crl_serial"},
		{"a serial of 21 octets", withEntry("\x01" + string(make([]byte, 20))), "crl_serial"},
		{"a serial of 21 octets and a sign", withEntry("\x00\x80" + string(make([]byte, 20))), "crl_serial"},
		{"an entry that is none", change(func(l *rawList) { l.entries = entries(tlv(null)) }), malformed},
		{"an entry cut off", change(func(l *rawList) { l.entries = entries([]byte{0x30, 0x20, 2, 1, 1}) }), malformed},
		{"an entry without date", change(func(l *rawList) { l.entries = entries(tlv(sequence, number("\x01"))) }), malformed},
		{"an entry of 30 February", change(func(l *rawList) {
			l.entries = entries(tlv(sequence, number("\x01"), tlv(utcTime, []byte("260230120000Z"))))
		}), malformed},
		{"data after an entry's extensions", withEntry("\x01", tlv(sequence), tlv(null)), malformed},
		{"data for an entry's extensions", withEntry("\x01", tlv(null)), malformed},
		{"an entry's extension that is none", withEntry("\x01", tlv(sequence, tlv(null))), malformed},
		{"removeFromCRL", withEntry("\x01", reason(8)), "crl_remove_from_crl"},
		{"removeFromCRL, the second reason", withEntry("\x01", tlv(sequence, ext(21, false, tlv(enumerated, []byte{1})), ext(21, false, tlv(enumerated, []byte{8})))), "crl_remove_from_crl"},
		{"a reason that is none", withEntry("\x01", tlv(sequence, ext(21, false, tlv(integer, []byte{1})))), malformed},
		{"a reason in two octets", withEntry("\x01", tlv(sequence, ext(21, false, tlv(enumerated, []byte{1, 8})))), malformed},
		{"a negative reason", withEntry("\x01", tlv(sequence, ext(21, false, tlv(enumerated, []byte{0x88})))), malformed},
		{"data after a reason", withEntry("\x01", tlv(sequence, ext(21, false, append(tlv(enumerated, []byte{1}), 5, 0)))), malformed},
		{"an entry of another issuer", withEntry("\x01", tlv(sequence, ext(29, true, tlv(sequence)))), "crl_indirect"},
		{"an entry of another issuer, not critical", withEntry("\x01", tlv(sequence, ext(29, false, tlv(sequence)))), "crl_indirect"},
		{"a critical extension of an entry", withEntry("\x01", tlv(sequence, ext(24, true, tlv(generalizedTime, []byte("20260101000000Z"))))), "crl_critical_extension"},
		{"a critical extension of an entry, the second", withEntry("\x01", tlv(sequence, ext(24, false, nil), ext(99, true, nil))), "crl_critical_extension"},

		{"extensions that are none", change(func(l *rawList) { l.extensions = tlv(explicit0, tlv(null)) }), malformed},
		{"data after the sequence of extensions", change(func(l *rawList) { l.extensions = tlv(explicit0, tlv(sequence), tlv(null)) }), malformed},
		{"extensions cut off", change(func(l *rawList) { l.extensions = []byte{explicit0, 5, sequence} }), malformed},
		{"an extension without identifier", with(tlv(sequence, tlv(octetString))), malformed},
		{"an extension without value", with(tlv(sequence, tlv(oid, []byte{0x55, 0x1D, 99}))), malformed},
		{"an extension with more than a value", with(tlv(sequence, tlv(oid, []byte{0x55, 0x1D, 99}), tlv(octetString), tlv(null))), malformed},
		{"an extension of unsound criticality", with(tlv(sequence, tlv(oid, []byte{0x55, 0x1D, 99}), tlv(boolean, []byte{1}), tlv(octetString))), malformed},
		{"the same extension twice", with(ext(99, false, nil), ext(99, false, nil)), malformed},
		{"two numbers", with(ext(20, false, number("\x01")), ext(20, false, number("\x02"))), malformed},
		{"a negative number", with(ext(20, false, number("\xff"))), malformed},
		{"a number of 21 octets", with(ext(20, false, number("\x01"+string(make([]byte, 20))))), malformed},
		{"a number and more", with(ext(20, false, append(number("\x01"), 5, 0))), malformed},
		{"a critical number", with(ext(20, true, number("\x01"))), "crl_critical_extension"},
		{"a delta", with(ext(20, false, number("\x02")), ext(27, true, number("\x01"))), "crl_delta"},
		{"a delta, not critical", with(ext(27, false, number("\x01"))), "crl_delta"},
		{"an indirect list", with(ext(28, true, tlv(sequence, tlv(0x84, []byte{0xFF})))), "crl_indirect"},
		{"an indirect list of one point", with(ext(28, true, tlv(sequence, tlv(0xA0, tlv(0xA0, tlv(0x86, []byte("u")))), tlv(0x84, []byte{0xFF})))), "crl_indirect"},
		{"a list that says that it is not indirect", with(ext(28, true, tlv(sequence, tlv(0x84, []byte{0})))), "crl_partitioned"},
		{"a list of CAs alone", with(ext(28, true, tlv(sequence, tlv(0x82, []byte{0xFF})))), "crl_partitioned"},
		{"a list of one point", with(ext(28, false, tlv(sequence, tlv(0xA0, tlv(0xA0, tlv(0x86, []byte("u"))))))), "crl_partitioned"},
		{"a distribution point of nothing", with(ext(28, false, nil)), "crl_partitioned"},
		{"another critical extension", with(ext(99, true, nil)), "crl_critical_extension"},
		{"a critical key identifier", with(ext(35, true, tlv(sequence))), "crl_critical_extension"},
		{"a key identifier that is none", with(ext(35, false, tlv(null))), malformed},
		{"a key identifier of a tag in several octets", with(ext(35, false, tlv(sequence, []byte{0x9F, 1, 0}))), malformed},
		{"a key identifier cut off", with(ext(35, false, tlv(sequence, []byte{0x80, 9}))), malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := crl.Parse(tt.der)
			checkRule(t, err, tt.rule)
		})
	}
}

func TestParse_Times(t *testing.T) {
	t.Parallel()
	for encoded, want := range map[string]time.Time{
		"500101000000Z":   time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC),
		"991231235959Z":   time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC),
		"491231235959Z":   time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		"20500228010203Z": time.Date(2050, 2, 28, 1, 2, 3, 0, time.UTC),
		"20000229000000Z": time.Date(2000, 2, 29, 0, 0, 0, 0, time.UTC),
	} {
		tag := byte(utcTime)
		if len(encoded) == 15 {
			tag = generalizedTime
		}
		l := mustParse(t, change(func(l *rawList) {
			l.this = tlv(tag, []byte(encoded))
			l.next = tlv(generalizedTime, []byte("99991231235959Z"))
		}))
		if l.ThisUpdate != want {
			t.Errorf("%s is read as %s", encoded, l.ThisUpdate)
		}
		if l.InForceUntil(0) != l.NextUpdate.Add(7*24*time.Hour) {
			t.Errorf("in force until %s", l.InForceUntil(0))
		}
	}
}

func TestParse_TooLarge(t *testing.T) {
	t.Parallel()
	_, err := crl.Parse(make([]byte, crl.MaxSize+1))
	checkRule(t, err, "too_large")
	_, err = crl.Parse(make([]byte, crl.MaxSize))
	checkRule(t, err, "crl_malformed")
}
