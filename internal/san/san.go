// Package san knows the patterns by which names in certificates are permitted.
// Whoever stores a pattern and whoever enforces it hold the same rules by it:
// one that was stored and not understood would keep every change of trust from
// taking effect.
package san

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/glob"
)

// The kinds of subject alternative names that can be compared.
const (
	DNS   = "dns"
	URI   = "uri"
	Email = "email"
	IP    = "ip"
)

// separators by kind: what a star does not reach across.
var separators = map[string]byte{DNS: '.', URI: '/', Email: '@'}

// A Pattern fits subject alternative names of one kind: by prefix for
// addresses, by a pattern of package glob for all others.
type Pattern struct {
	kind, text string
	glob       glob.Pattern
	prefix     netip.Prefix
}

// Parse reads "KIND:PATTERN", where dns is the kind that may be left out. Case
// and the dot at the end of host names do not count, as in [Pattern.Match].
func Parse(text string) (Pattern, error) {
	kind, value, told := strings.Cut(text, ":")
	if !told {
		kind, value = DNS, text
	}
	if kind == IP {
		return parsePrefix(text, value)
	}
	separator, known := separators[kind]
	if !known {
		return Pattern{}, noPattern(text, "begin with dns:, uri:, email: or ip:; a URI needs its kind too: uri:spiffe://…")
	}
	value = fold(kind, value)
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Pattern{}, noPattern(text, "names in certificates are printable ASCII; write other letters of host names as xn--…")
	}
	p, err := glob.Compile(value, separator)
	if err != nil || kind == DNS && strings.HasSuffix(value, ".") {
		return Pattern{}, noPattern(text, `give a name, with "*" for any characters within one part: '*.vendor.example'`)
	}
	return Pattern{kind: kind, text: value, glob: p}, nil
}

// parsePrefix reads an address, or a prefix with no bit set beyond it.
func parsePrefix(text, value string) (Pattern, error) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return Pattern{kind: IP, text: addr.String(), prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	// A mapped prefix is refused: the addresses in it are compared as IPv4.
	if prefix, err := netip.ParsePrefix(value); err == nil && prefix == prefix.Masked() && !prefix.Addr().Is4In6() {
		return Pattern{kind: IP, text: prefix.String(), prefix: prefix}, nil
	}
	return Pattern{}, noPattern(text, "write ip:192.0.2.7, ip:192.0.2.0/24 or ip:2001:db8::/32")
}

// String returns the one spelling of the pattern, with its kind. Parse reads
// it as the same pattern.
func (p Pattern) String() string { return p.kind + ":" + p.text }

// Match reports whether a name of a kind fits. An address is in the form of
// [netip.Addr.String].
func (p Pattern) Match(kind, name string) bool {
	if p.kind != kind {
		return false
	}
	if kind == IP {
		addr, err := netip.ParseAddr(name)
		return err == nil && p.prefix.Contains(addr.Unmap())
	}
	return p.glob.Match(fold(kind, name))
}

// fold makes names of a kind comparable: host names have no case, and the dot
// at their end is spelling; of a mail address only the host has no case, the
// local part may have (RFC 5321 §2.4).
func fold(kind, name string) string {
	switch kind {
	case DNS:
		return strings.TrimSuffix(strings.ToLower(name), ".")
	case Email:
		at := strings.LastIndexByte(name, '@')
		return name[:at+1] + strings.ToLower(name[at+1:])
	}
	return name
}

// ParseCN reads a pattern of common names: a star reaches across everything.
func ParseCN(text string) (glob.Pattern, error) {
	p, err := glob.Compile(text, 0)
	if err != nil || !utf8.ValidString(text) {
		return glob.Pattern{}, noPattern(text, `give a common name, with "*" for any characters: 'device-*'`)
	}
	return p, nil
}

func noPattern(text, hint string) error {
	return fault.New(fault.Invalid, "constraint", "%q is no pattern of names", text).WithHint("%s", hint)
}
