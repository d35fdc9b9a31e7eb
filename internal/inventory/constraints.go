package inventory

import (
	"encoding/json"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/glob"
)

// Empty reports whether the constraints limit nothing.
func (c Constraints) Empty() bool {
	return len(c.PermitSAN) == 0 && len(c.PermitCN) == 0 && c.MaxLeafLifetime == 0
}

// MarshalJSON writes the lifetime as people do, "90d", and "" for none.
func (c Constraints) MarshalJSON() ([]byte, error) {
	lifetime := ""
	if c.MaxLeafLifetime != 0 {
		lifetime = alert.FormatThreshold(c.MaxLeafLifetime)
	}
	return json.Marshal(struct {
		PermitSAN       []string `json:"permit_san"`
		PermitCN        []string `json:"permit_cn"`
		MaxLeafLifetime string   `json:"max_leaf_lifetime"`
	}{append([]string{}, c.PermitSAN...), append([]string{}, c.PermitCN...), lifetime})
}

// normalizeConstraints checks what somebody asks for and spells it in one way:
// every name with its kind. What it lets pass, the enforcer understands; one
// pattern that it did not would keep every change of trust from taking effect.
func normalizeConstraints(c *Constraints) (*Constraints, []string, error) {
	if c == nil {
		return nil, nil, nil
	}
	out := &Constraints{PermitSAN: []string{}, PermitCN: []string{}, MaxLeafLifetime: c.MaxLeafLifetime}
	if c.MaxLeafLifetime < 0 {
		return nil, nil, fault.New(fault.Invalid, "constraint", "the longest lifetime of a leaf is negative").
			WithField("max_leaf_lifetime").WithHint("give a span such as 90d")
	}
	for _, text := range c.PermitSAN {
		name, err := normalizeName(text)
		if err != nil {
			return nil, nil, err
		}
		out.PermitSAN = append(out.PermitSAN, name)
	}
	for _, text := range c.PermitCN {
		if _, err := glob.Compile(text, 0); err != nil || !utf8.ValidString(text) {
			return nil, nil, noPattern("permit_cn", text, `give a common name, with "*" for any characters: 'device-*'`)
		}
		out.PermitCN = append(out.PermitCN, text)
	}
	var warnings []string
	if len(out.PermitSAN) > 0 && len(out.PermitCN) == 0 {
		warnings = []string{"the common name stays unconstrained: policies by common_name admit any name that this CA writes; limit it by --permit-cn"}
	}
	return out, warnings, nil
}

// separators by kind of name: what a star does not reach across.
var separators = map[string]byte{"dns": '.', "uri": '/', "email": '@'}

// normalizeName reads "KIND:PATTERN", where dns is the kind that may be left
// out.
func normalizeName(text string) (string, error) {
	kind, pattern, told := strings.Cut(text, ":")
	if !told {
		kind, pattern = "dns", text
	}
	if kind == "ip" {
		return text, checkAddress(text, pattern)
	}
	separator, known := separators[kind]
	if !known {
		return "", noPattern("permit_san", text, "begin with dns:, uri:, email: or ip:; a URI needs its kind too: uri:spiffe://…")
	}
	if kind == "dns" {
		pattern = strings.TrimSuffix(strings.ToLower(pattern), ".")
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", noPattern("permit_san", text, "names in certificates are printable ASCII; write other letters of host names as xn--…")
	}
	if _, err := glob.Compile(pattern, separator); err != nil {
		return "", noPattern("permit_san", text, `give a name, with "*" for any characters within one part: '*.vendor.example'`)
	}
	return kind + ":" + pattern, nil
}

func checkAddress(text, address string) error {
	if addr, err := netip.ParseAddr(address); err == nil && addr.Zone() == "" {
		return nil
	}
	if prefix, err := netip.ParsePrefix(address); err == nil && prefix == prefix.Masked() {
		return nil
	}
	return noPattern("permit_san", text, "write ip:192.0.2.7, ip:192.0.2.0/24 or ip:2001:db8::/32")
}

func noPattern(field, text, hint string) error {
	return fault.New(fault.Invalid, "constraint", "%q is no pattern of names", text).WithField(field).WithHint("%s", hint)
}
