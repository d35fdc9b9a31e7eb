package config

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

// Texts are alternatives, written as a list of strings, or as one string for a
// list of one. Nil means that the key is left out.
type Texts []string

// UnmarshalText is called for the one string.
func (t *Texts) UnmarshalText(text []byte) error {
	*t = Texts{string(text)}
	return nil
}

// A Selector holds exactly one of its fields, or CA alone. CA narrows any of
// them to clients of the bundle of that name. Texts are in the form that the
// enforcer compares.
type Selector struct {
	Certificate bool   `toml:"certificate"`
	Everyone    bool   `toml:"everyone"`
	CommonName  Texts  `toml:"common_name"`
	IP          Texts  `toml:"ip"`          // addresses or CIDR prefixes
	SANDNS      Texts  `toml:"san_dns"`     // patterns of package glob, separator "."; lower case
	SANURI      Texts  `toml:"san_uri"`     // patterns of package glob, separator "/"
	Issuer      Texts  `toml:"issuer"`      // distinguished names, as RFC 2253 writes them
	Serial      Texts  `toml:"serial"`      // as cert.Serial writes them
	Fingerprint Texts  `toml:"fingerprint"` // SHA-256, 64 lower-case hex digits
	CA          string `toml:"ca"`
}

// Prefixes returns IP as prefixes.
func (s Selector) Prefixes() []netip.Prefix { return prefixes(s.IP) }

// conditions are the keys of a selector that match by themselves, in the order
// of the documentation.
const conditions = "certificate, everyone, common_name, ip, san_dns, san_uri, issuer, serial and fingerprint"

// Conditions counts the fields that are set, other than CA.
func (s Selector) Conditions() int {
	n := 0
	for _, present := range []bool{s.Certificate, s.Everyone} {
		if present {
			n++
		}
	}
	for _, text := range s.texts() {
		if *text.values != nil {
			n++
		}
	}
	return n
}

// Name returns the key of the condition if it goes by what any CA of the host
// name may write into a certificate, else "". CA decides which one may.
func (s Selector) Name() string {
	for _, text := range s.texts() {
		if text.name && *text.values != nil {
			return text.key
		}
	}
	return ""
}

// A textKey is a key of a selector that takes [Texts], with what brings one of
// them into the form that is compared.
type textKey struct {
	key    string
	name   bool // any CA may write it into a certificate
	values *Texts
	hint   string
	form   func(string) (string, error)
}

func (s *Selector) texts() []textKey {
	return []textKey{
		{"common_name", true, &s.CommonName, `write a common name such as "James Royal"`, asIs},
		{"ip", false, &s.IP, prefixHint, formPrefix},
		{"san_dns", true, &s.SANDNS, `write a name, with "*" for any characters within one label: "*.devices.example.com"`, formPattern('.')},
		{"san_uri", true, &s.SANURI, `write a URI, with "*" for any characters between two slashes: "spiffe://example.com/ns/*/sa/web"`, formPattern('/')},
		{"issuer", true, &s.Issuer, `write the whole name as cert show prints it, most specific first: "CN=Root,O=Example,C=US"`, formName},
		{"serial", true, &s.Serial, `write the serial in hex, such as "527E0F20"`, formSerial},
		{"fingerprint", false, &s.Fingerprint, "write the SHA-256 of the certificate as 64 hex digits, as cert show prints it", formFingerprint},
	}
}

func (c *checker) validateSelectors(at string, selectors []Selector) {
	for i := range selectors {
		s, at := &selectors[i], fmt.Sprintf("%s[%d]", at, i)
		if set := s.Conditions(); set > 1 || set == 0 && s.CA == "" {
			c.fail(at, "set exactly one of "+conditions+", with or without ca; combine several by require", "%d conditions are set", set)
		}
		for _, text := range s.texts() {
			c.validateTexts(at, text)
		}
	}
}

// validateTexts brings each alternative into its one form.
func (c *checker) validateTexts(at string, text textKey) {
	key := join(at, text.key)
	if *text.values != nil && len(*text.values) == 0 {
		c.fail(key, text.hint, "the list is empty, so the selector matches nobody")
	}
	for i, value := range *text.values {
		at := c.layout.element(key, i)
		form, err := text.form(value)
		if value == "" {
			err = errors.New("it is empty")
		}
		switch {
		case err == nil:
			(*text.values)[i] = form
		case !c.failed(at):
			c.fail(at, text.hint, "%s", err)
		}
	}
}

func asIs(s string) (string, error) { return s, nil }

func formPrefix(s string) (string, error) {
	_, err := parsePrefix(s)
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
