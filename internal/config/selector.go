package config

import (
	"fmt"
	"net/netip"

	"github.com/certvigil/certvigil/internal/access"
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
func (s Selector) Prefixes() []netip.Prefix { return access.Prefixes(s.IP) }

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

// Condition returns the key of the condition with its values; a CA by itself
// means any valid certificate of it.
func (s Selector) Condition() (key string, values []string) {
	for _, text := range s.texts() {
		if *text.values != nil {
			return text.Name, *text.values
		}
	}
	if s.Everyone {
		return access.Everyone, nil
	}
	return access.Certificate, nil
}

// Name returns the key of the condition if it goes by what any CA of the host
// name may write into a certificate, else "". CA decides which one may.
func (s Selector) Name() string {
	for _, text := range s.texts() {
		if text.Given && *text.values != nil {
			return text.Name
		}
	}
	return ""
}

// A textKey is a key of a selector that takes [Texts].
type textKey struct {
	access.Key

	values *Texts
}

func (s *Selector) texts() []textKey {
	values := map[string]*Texts{
		"common_name": &s.CommonName, "ip": &s.IP, "san_dns": &s.SANDNS, "san_uri": &s.SANURI,
		"issuer": &s.Issuer, "serial": &s.Serial, "fingerprint": &s.Fingerprint,
	}
	keys := make([]textKey, len(access.Keys))
	for i, k := range access.Keys {
		keys[i] = textKey{k, values[k.Name]}
	}
	return keys
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
	key := join(at, text.Name)
	if *text.values != nil && len(*text.values) == 0 {
		c.fail(key, text.Hint, "the list is empty, so the selector matches nobody")
	}
	for i, value := range *text.values {
		at := c.layout.element(key, i)
		form, err := text.Form(value)
		switch {
		case err == nil:
			(*text.values)[i] = form
		case !c.failed(at):
			c.fail(at, text.Hint, "%s", err)
		}
	}
}
