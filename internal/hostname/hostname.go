// Package hostname normalises host names, so that configuration, uploads, SNI
// and the Host header all speak of one name in one spelling.
package hostname

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/certvigil/certvigil/internal/fault"
)

// profile maps and validates like a browser's address bar (UTS #46), and
// refuses what cannot be an LDH host name (RFC 5890 §2.3.1).
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.StrictDomainName(true))

// Normalize returns name in its one spelling: lower case, A-labels (IDNA), no
// trailing dot. It refuses ports, paths, addresses and anything that is not a
// DNS host name, with a fault.Invalid error of rule "hostname".
func Normalize(name string) (string, error) {
	trimmed := strings.TrimSuffix(strings.TrimSpace(name), ".")
	if trimmed == "" {
		return "", invalid(name, "it is empty")
	}
	if strings.ContainsAny(trimmed, "/:@") {
		return "", invalid(name, "give the host name alone, without scheme, port or path")
	}
	ascii, err := profile.ToASCII(trimmed)
	if err != nil || !utf8.ValidString(trimmed) {
		return "", invalid(name, "it is not a DNS host name")
	}
	// Mapping may bring out what was checked above (a full-width dot or
	// digit): only a name that stands still under the mapping is one spelling.
	if again, err := profile.ToASCII(ascii); err != nil || again != ascii || strings.HasSuffix(ascii, ".") {
		return "", invalid(name, "it is not a DNS host name")
	}
	if _, err := netip.ParseAddr(ascii); err == nil {
		return "", invalid(name, "it is an address; SNI carries host names only (RFC 6066 §3)")
	}
	return ascii, nil
}

// NormalizePattern is Normalize for an exact name or a wildcard such as
// "*.example.com", which stands for exactly one label.
func NormalizePattern(pattern string) (string, error) {
	rest, wildcard := strings.CutPrefix(strings.TrimSpace(pattern), "*.")
	name, err := Normalize(rest)
	if err != nil {
		return "", err
	}
	if !wildcard {
		return name, nil
	}
	if !strings.Contains(name, ".") {
		return "", invalid(pattern, "a wildcard needs at least two labels after it")
	}
	return "*." + name, nil
}

// Wildcard returns the pattern that covers an exact, normalised name:
// "a.example.com" → "*.example.com"; "" for a name of one label.
func Wildcard(name string) string {
	_, rest, ok := strings.Cut(name, ".")
	if !ok || rest == "" {
		return ""
	}
	return "*." + rest
}

func invalid(name, why string) error {
	return fault.New(fault.Invalid, "hostname", "host name %q: %s", name, why).
		WithHint("write an exact name such as orders.example.com, or *.example.com")
}
