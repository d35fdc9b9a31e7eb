package crl

import (
	"strconv"
	"strings"
	"time"
)

// The identifier octets that a list consists of.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagNull            = 0x05
	tagOID             = 0x06
	tagEnumerated      = 0x0A
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagExplicit0       = 0xA0 // [0], constructed
)

// A reader takes DER values (X.690 §10) off its front. It allocates nothing:
// what it returns are parts of its input.
type reader []byte

// next takes one value. It is strict: one octet of tag, and a definite length
// in its shortest form.
func (r *reader) next() (tag byte, contents []byte, ok bool) {
	in := *r
	if len(in) < 2 || in[0]&0x1F == 0x1F {
		return 0, nil, false
	}
	n, header := int(in[1]), 2
	if n >= 0x80 {
		octets := n & 0x7F
		header += octets
		if octets > 4 || len(in) < header {
			return 0, nil, false
		}
		n = 0
		for _, b := range in[2:header] {
			n = n<<8 | int(b)
		}
		if n < 0x80 || n>>(8*(octets-1)) == 0 {
			return 0, nil, false
		}
	}
	if n > len(in)-header {
		return 0, nil, false
	}
	*r = in[header+n:]
	return in[0], in[header : header+n], true
}

// take takes one value of the tag. If there is none, nothing is taken.
func (r *reader) take(tag byte) (contents []byte, ok bool) {
	if !r.at(tag) {
		return nil, false
	}
	_, contents, ok = r.next()
	return contents, ok
}

// element is take, but returns the value with its tag and length.
func (r *reader) element(tag byte) (whole []byte, ok bool) {
	in := *r
	if _, ok := r.take(tag); !ok {
		return nil, false
	}
	return in[:len(in)-len(*r)], true
}

// at reports whether the next value has the tag.
func (r *reader) at(tag byte) bool { return len(*r) > 0 && (*r)[0] == tag }

// unsigned takes an INTEGER that is not negative and returns its magnitude,
// which is empty for 0, without leading zeros.
func (r *reader) unsigned() (magnitude []byte, ok bool) {
	octets, ok := r.take(tagInteger)
	if !ok || len(octets) == 0 || octets[0] >= 0x80 {
		return nil, false
	}
	if octets[0] != 0 {
		return octets, true
	}
	octets = octets[1:]
	return octets, len(octets) == 0 || octets[0] >= 0x80
}

// instant takes a time in one of the two forms of RFC 5280 §4.1.2.5: UTC, with
// seconds, without fractions. GeneralizedTime is taken for years before 2050
// too, since it cannot be misread.
func (r *reader) instant() (clock, bool) {
	tag, digits, ok := r.next()
	var c clock
	switch {
	case ok && tag == tagUTCTime && len(digits) == len("060102150405Z"):
		c.year = 1900
		if digits[0] < '5' {
			c.year = 2000
		}
	case ok && tag == tagGeneralizedTime && len(digits) == len("20060102150405Z"):
		century, ok := twoDigits(digits)
		if !ok {
			return clock{}, false
		}
		c.year, digits = 100*century, digits[2:]
	default:
		return clock{}, false
	}
	return c, c.read(digits)
}

// A clock is a time as a calendar and a clock show it.
type clock struct{ year, month, day, hour, minute, second int }

func (c clock) time() time.Time {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC)
}

// read adds the year in its century, and sets the rest, from YYMMDDHHMMSSZ.
func (c *clock) read(digits []byte) bool {
	var v [6]int
	for i := range v {
		n, ok := twoDigits(digits[2*i:])
		if !ok {
			return false
		}
		v[i] = n
	}
	*c = clock{c.year + v[0], v[1], v[2], v[3], v[4], v[5]}
	return digits[12] == 'Z' && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= daysIn(c.month, c.year) &&
		c.hour < 24 && c.minute < 60 && c.second < 60
}

func twoDigits(d []byte) (n int, ok bool) {
	tens, ones := d[0]-'0', d[1]-'0'
	return 10*int(tens) + int(ones), tens <= 9 && ones <= 9
}

func daysIn(month, year int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// validOID reports whether the contents of an OBJECT IDENTIFIER are sound:
// subidentifiers of less than 32 bits in their shortest form.
func validOID(contents []byte) bool {
	arc, begins := uint64(0), true
	for _, b := range contents {
		if begins && b == 0x80 {
			return false
		}
		arc = arc<<7 | uint64(b&0x7F)
		if arc >= 1<<31 {
			return false
		}
		if begins = b < 0x80; begins {
			arc = 0
		}
	}
	return len(contents) > 0 && begins
}

// oidText writes the contents of a valid OBJECT IDENTIFIER with dots, and no
// more of it than a person would read.
func oidText(contents []byte) string {
	const most = 20
	var arcs []string
	arc := uint64(0)
	for _, b := range contents {
		if arc = arc<<7 | uint64(b&0x7F); b >= 0x80 {
			continue
		}
		if len(arcs) == 0 {
			first := min(arc/40, 2)
			arcs, arc = append(arcs, strconv.FormatUint(first, 10)), arc-40*first
		}
		if len(arcs) == most {
			return strings.Join(arcs, ".") + ".…"
		}
		arcs, arc = append(arcs, strconv.FormatUint(arc, 10)), 0
	}
	return strings.Join(arcs, ".")
}
