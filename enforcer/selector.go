package enforcer

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/glob"
)

// A selector is a compiled Selector: evaluated on every request, so without
// allocating and, but for patterns and prefixes, in the same time for any
// number of alternatives.
type selector struct {
	text        string // as people read it
	ca          string // "" = of any bundle
	everyone    bool
	certificate bool
	addresses   []netip.Prefix
	commonName  set
	issuer      set
	serial      set
	fingerprint set
	dns, uri    []glob.Pattern
}

type set map[string]struct{}

func (s set) has(name string) bool { _, ok := s[name]; return ok }

// compileSelector wants exactly one field beside CA, and nothing empty in it:
// an empty name would match certificates that have none.
func compileSelector(from *Selector) (selector, error) {
	s := selector{ca: from.CA, everyone: from.Everyone, certificate: from.Certificate}
	var present []string
	note := func(field string, there bool) {
		if there {
			present = append(present, field)
		}
	}
	note("certificate", from.Certificate)
	note("everyone", from.Everyone)
	note("ip", len(from.IP) > 0)
	names := from.names()
	for _, n := range names {
		note(n.field, len(n.values) > 0)
	}
	if len(present) != 1 {
		return selector{}, refuse("selector", "it has %s, but needs exactly one of certificate, everyone, common_name, ip, san_dns, san_uri, issuer, serial, fingerprint", orNone(present)).
			WithHint("write a selector for each; ca may stand beside one of them")
	}
	for _, n := range names {
		if err := s.take(n); err != nil {
			return selector{}, err
		}
	}
	s.addresses = append(s.addresses, from.IP...) // stays nil without any
	if i := slices.IndexFunc(from.IP, func(p netip.Prefix) bool { return !p.IsValid() }); i >= 0 {
		return selector{}, refuse("selector", "ip has an address that is none")
	}
	s.text = from.text(present[0])
	return s, nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " and ")
}

// A nameList is a field of a selector that lists alternatives.
type nameList struct {
	field  string
	values []string
}

func (s *Selector) names() []nameList {
	return []nameList{
		{"common_name", s.CommonName},
		{"issuer", s.Issuer},
		{"serial", s.Serial},
		{"fingerprint", s.Fingerprint},
		{"san_dns", s.SANDNS},
		{"san_uri", s.SANURI},
	}
}

// take compiles one list. Serial numbers and fingerprints must be spelled as
// they are compared, or a selector would silently match nobody.
func (s *selector) take(list nameList) error {
	for _, value := range list.values {
		var err error
		switch {
		case value == "":
			err = refuse("selector", "%s has an empty value", list.field)
		case list.field == "common_name":
			s.commonName.add(value)
		case list.field == "issuer":
			s.issuer.add(value)
		case list.field == "serial":
			s.serial.add(value)
			if len(value)%2 != 0 || strings.Trim(value, "0123456789ABCDEF") != "" {
				err = refuse("selector", "serial %q is not upper-case hex with two digits for each byte", value)
			}
		case list.field == "fingerprint":
			s.fingerprint.add(value)
			if !isHex(value) {
				err = refuse("selector", "fingerprint %q is not 64 lower-case hex digits", value)
			}
		case list.field == "san_dns":
			s.dns, err = appendPattern(s.dns, strings.ToLower(value), '.')
		default:
			s.uri, err = appendPattern(s.uri, value, '/')
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *set) add(name string) {
	if *s == nil {
		*s = set{}
	}
	(*s)[name] = struct{}{}
}

func appendPattern(list []glob.Pattern, pattern string, separator byte) ([]glob.Pattern, error) {
	p, err := glob.Compile(pattern, separator)
	return append(list, p), err
}

// text says what the selector is about, as it is configured.
func (s *Selector) text(field string) string {
	var values []string
	for _, n := range s.names() {
		for _, v := range n.values {
			values = append(values, strconv.Quote(v))
		}
	}
	for _, p := range s.IP {
		values = append(values, p.String())
	}
	text := field
	if len(values) > 0 {
		text += " " + strings.Join(values, " or ")
	}
	if s.CA != "" {
		text += fmt.Sprintf(" of ca %q", s.CA)
	}
	return text
}

// matches fails closed: everything about a certificate matches a valid one
// only, and ca narrows every selector to such a one.
func (s *selector) matches(f *facts) bool {
	v := f.verdict
	if s.ca != "" && !(v.valid && slices.Contains(v.bundles, s.ca)) {
		return false
	}
	switch {
	case s.everyone:
		return true
	case s.addresses != nil:
		return isTrusted(f.addr, s.addresses)
	case !v.valid:
		return false
	case s.certificate:
		return true
	case s.commonName != nil:
		return s.commonName.has(v.commonName)
	}
	leaf := f.names()
	switch {
	case s.issuer != nil:
		return s.issuer.has(leaf.issuer)
	case s.serial != nil:
		return s.serial.has(leaf.serial)
	case s.fingerprint != nil:
		return s.fingerprint.has(leaf.fingerprint)
	case s.dns != nil:
		return anyMatch(s.dns, leaf.dns)
	}
	return anyMatch(s.uri, leaf.uris)
}

func anyMatch(patterns []glob.Pattern, names []string) bool {
	for i := range patterns {
		for _, name := range names {
			if patterns[i].Match(name) {
				return true
			}
		}
	}
	return false
}

// leafNames are what selectors compare of a leaf, spelled as they compare it.
type leafNames struct {
	issuer, serial, fingerprint string
	dns, uris                   []string
}

// names returns them for a valid certificate. They are spelled out when first
// asked for, and kept with the verdict.
func (f *facts) names() *leafNames {
	if n := f.verdict.names.Load(); n != nil {
		return n
	}
	n := namesOf(f.client.chain[0])
	f.verdict.names.Store(n)
	return n
}

func namesOf(leaf *x509.Certificate) *leafNames {
	n := &leafNames{issuer: cert.IssuerDN(leaf), serial: cert.Serial(leaf), fingerprint: cert.Fingerprint(leaf), uris: texts(leaf.URIs)}
	for _, name := range leaf.DNSNames {
		n.dns = append(n.dns, strings.ToLower(name))
	}
	return n
}
