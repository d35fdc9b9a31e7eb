package enforcer

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/glob"
	"github.com/certvigil/certvigil/internal/san"
)

// A constraint is compiled Constraints: what a bundle may vouch for.
type constraint struct {
	san      []san.Pattern // nil: any name, and none
	cn       []glob.Pattern
	lifetime time.Duration // 0: any
}

func compileConstraint(c Constraints) (constraint, error) {
	if c.MaxLeafLifetime < 0 {
		return constraint{}, refuse("constraint", "the longest lifetime of a leaf is negative")
	}
	compiled := constraint{lifetime: c.MaxLeafLifetime}
	for _, text := range c.PermitSAN {
		p, err := san.Parse(text)
		if err != nil {
			return constraint{}, err
		}
		compiled.san = append(compiled.san, p)
	}
	for _, text := range c.PermitCN {
		p, err := san.ParseCN(text)
		if err != nil {
			return constraint{}, err
		}
		compiled.cn = append(compiled.cn, p)
	}
	return compiled, nil
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
	return slices.ContainsFunc(c.san, func(p san.Pattern) bool { return p.Match(kind, value) })
}
