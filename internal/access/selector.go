// Package access holds the words in which a policy says whom it is about, and
// the rules of what an application is made of, for the configuration and the
// API alike. It does no I/O.
package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strings"

	"github.com/certvigil/certvigil/internal/glob"
)

// The keys of selectors that have no text.
const (
	Certificate = "certificate" // any valid one
	Everyone    = "everyone"
)

// A Key is a key of a selector that is about a text.
type Key struct {
	Name string
	// Given tells of a key that goes by what any CA of the host name may write
	// into a certificate.
	Given bool
	Hint  string // how to write such a text

	form func(string) (string, error)
}

// Keys are the keys with a text, in the order of the documentation.
var Keys = []Key{
	{"common_name", true, `write a common name such as "James Royal"`, asIs},
	{"ip", false, PrefixHint, formPrefix},
	{"san_dns", true, `write a name, with "*" for any characters within one label: "*.devices.example.com"`, formPattern('.')},
	{"san_uri", true, `write a URI, with "*" for any characters between two slashes: "spiffe://example.com/ns/*/sa/web"`, formPattern('/')},
	{"issuer", true, `write the whole name as cert show prints it, most specific first: "CN=Root,O=Example,C=US"`, formName},
	{"serial", true, `write the serial in hex, such as "527E0F20"`, formSerial},
	{"fingerprint", false, "write the SHA-256 of the certificate as 64 hex digits, as cert show prints it", formFingerprint},
}

// KeyNamed returns the key of that name, if there is one.
func KeyNamed(name string) (Key, bool) {
	for _, k := range Keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// Form returns a text in the one form that the enforcer compares. The error
// says what is wrong with it; the key's Hint says how to write one.
func (k Key) Form(text string) (string, error) {
	if text == "" {
		return "", errEmpty
	}
	return k.form(text)
}

// PrefixHint says how to write what [ParsePrefix] reads.
const PrefixHint = `write an address such as "192.0.2.7" or a network such as "10.0.0.0/8"`

// ParsePrefix reads an address or a CIDR prefix; the prefix is masked, and an
// IPv4 address in IPv6 clothing is its IPv4 address.
func ParsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", s)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits set beyond its length; the network is %s", s, p.Masked())
	}
	return p, nil
}

// Prefixes reads texts that ParsePrefix accepts, and leaves out others.
func Prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		if p, err := ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

var errEmpty = errors.New("it is empty")

func asIs(s string) (string, error) { return s, nil }

func formPrefix(s string) (string, error) {
	_, err := ParsePrefix(s)
	return s, err
}

// formPattern checks a pattern of names, and lowers those of DNS: there case
// does not count.
func formPattern(separator byte) func(string) (string, error) {
	return func(s string) (string, error) {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("%q holds what no such name has: they are printable ASCII, international ones in the form xn--", s)
		}
		if separator == '.' {
			s = strings.ToLower(s)
		}
		_, err := glob.Compile(s, separator)
		return s, err
	}
}

// attributeType matches what cert.IssuerDN calls the parts of a name.
var attributeType = regexp.MustCompile(`^(?:C|O|OU|CN|SERIALNUMBER|L|ST|STREET|POSTALCODE|[0-9]+(?:\.[0-9]+)+)$`)

// formName takes a distinguished name as RFC 2253 writes it. Other ways of
// writing one, such as "C = US, CN = Root", would match nobody.
func formName(s string) (string, error) {
	var form strings.Builder
	for rest := s; ; {
		end := endOfAttribute(rest)
		key, value, found := strings.Cut(rest[:end], "=")
		key = strings.ToUpper(key)
		if !found || !attributeType.MatchString(key) || strings.HasPrefix(value, " ") {
			return "", fmt.Errorf("%q is no distinguished name in the form of RFC 2253", s)
		}
		form.WriteString(key + "=" + value)
		if end == len(rest) {
			return form.String(), nil
		}
		form.WriteByte(rest[end])
		rest = rest[end+1:]
	}
}

// endOfAttribute returns where the first attribute of a name ends.
func endOfAttribute(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',', '+':
			return i
		}
	}
	return len(s)
}

// formSerial returns whole bytes of upper-case hex without a leading zero byte.
func formSerial(s string) (string, error) {
	digits := strings.TrimPrefix(strings.ToUpper(strings.ReplaceAll(s, ":", "")), "0X")
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok || strings.ContainsAny(digits, "+-") {
		return "", fmt.Errorf("%q is no serial number", s)
	}
	if n.Sign() == 0 {
		return "00", nil
	}
	return fmt.Sprintf("%X", n.Bytes()), nil
}

func formFingerprint(s string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if b, err := hex.DecodeString(digits); err != nil || len(b) != 32 {
		return "", fmt.Errorf("%q is no SHA-256 fingerprint", s)
	}
	return digits, nil
}
