package enforcer

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/glob"
)

// A constraint is compiled Constraints: what a bundle may vouch for.
type constraint struct {
	san      []namePattern // nil: any name, and none
	cn       []glob.Pattern
	lifetime time.Duration // 0: any
}

// A namePattern fits subject alternative names of one kind: by prefix for
// addresses, by pattern for all others.
type namePattern struct {
	kind    string
	pattern glob.Pattern
	prefix  netip.Prefix
}

// separators by kind: what a star does not reach across.
var separators = map[string]byte{"dns": '.', "uri": '/', "email": '@'}

func compileConstraint(c Constraints) (constraint, error) {
	if c.MaxLeafLifetime < 0 {
		return constraint{}, refuse("constraint", "the longest lifetime of a leaf is negative")
	}
	compiled := constraint{lifetime: c.MaxLeafLifetime}
	for _, text := range c.PermitSAN {
		p, err := compileName(text)
		if err != nil {
			return constraint{}, refuse("constraint", "permitted name %q: %w", text, err)
		}
		compiled.san = append(compiled.san, p)
	}
	for _, text := range c.PermitCN {
		p, err := glob.Compile(text, 0)
		if err != nil {
			return constraint{}, refuse("constraint", "permitted common name %q: %w", text, err)
		}
		compiled.cn = append(compiled.cn, p)
	}
	return compiled, nil
}

func compileName(text string) (namePattern, error) {
	kind, value, told := strings.Cut(text, ":")
	if !told {
		kind, value = "dns", text
	}
	switch kind {
	case "ip":
		prefix, err := parsePrefix(value)
		return namePattern{kind: kind, prefix: prefix}, err
	case "dns":
		value = foldDNS(value)
	case "email":
		value = foldEmail(value)
	case "uri":
	default:
		return namePattern{}, refuse("constraint", "%q is no kind of name", kind).
			WithHint("begin with dns:, uri:, email: or ip:; a URI needs its kind too: uri:spiffe://…")
	}
	pattern, err := glob.Compile(value, separators[kind])
	return namePattern{kind: kind, pattern: pattern}, err
}

// parsePrefix reads an address, or a prefix with no bit set beyond it.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix != prefix.Masked() {
		return netip.Prefix{}, refuse("constraint", "%q is neither an address nor a prefix", text).
			WithHint("write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
	}
	return prefix, nil
}

// objection says what of the leaf the bundle may not vouch for; "" if it may
// vouch for the whole of it. It fails closed: a name of a kind that it cannot
// compare is an objection once names are limited at all.
func (c *constraint) objection(leaf *x509.Certificate) string {
	if c.lifetime > 0 {
		if lifetime := leaf.NotAfter.Sub(leaf.NotBefore); lifetime > c.lifetime {
			return fmt.Sprintf("the leaf's lifetime of %v is above %v", lifetime, c.lifetime)
		}
	}
	if c.cn != nil && !c.permitsCN(leaf) {
		return "no permitted common name"
	}
	if c.san == nil {
		return ""
	}
	names, excess := alternativeNames(leaf, maxNames)
	if excess {
		return "more names than are compared"
	}
	return c.objectionToNames(names)
}

func (c *constraint) permitsCN(leaf *x509.Certificate) bool {
	cns := cert.CommonNames(leaf)
	if len(cns) != 1 {
		return false
	}
	for _, p := range c.cn {
		if p.Match(cns[0]) {
			return true
		}
	}
	return false
}

func (c *constraint) objectionToNames(names []asn1.RawValue) string {
	count := 0
	for _, raw := range names {
		kind, value, known := spell(raw)
		switch {
		case !known:
			return "a name of the kind " + kind + ", which no pattern fits"
		case value == "":
			continue // cfssl makes an empty name of "hosts": [""]; it names nothing
		case !c.permitsName(kind, value):
			return fmt.Sprintf("the name %.200q is not permitted", kind+":"+value)
		}
		count++
	}
	if count == 0 {
		return "no subject alternative name"
	}
	return ""
}

func (c *constraint) permitsName(kind, value string) bool {
	switch kind {
	case "dns":
		value = foldDNS(value)
	case "email":
		value = foldEmail(value)
	}
	for _, p := range c.san {
		if p.kind != kind {
			continue
		}
		if kind == "ip" {
			if addr, err := netip.ParseAddr(value); err == nil && p.prefix.Contains(addr) {
				return true
			}
			continue
		}
		if p.pattern.Match(value) {
			return true
		}
	}
	return false
}
