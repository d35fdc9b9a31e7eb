package enforcer

import (
	"net/netip"
	"slices"
)

// A policy is a compiled Policy.
type policy struct {
	name                      string
	action                    Action
	include, require, exclude []Selector
}

// facts are what selectors look at.
type facts struct {
	verdict *verdict
	addr    netip.Addr // of the client; invalid if unknown, then no prefix holds it
}

// compilePolicies puts the policies into the order of evaluation: bypass and
// service_auth first, then block and allow, each as configured.
func compilePolicies(configured []Policy) ([]policy, error) {
	compiled := make([]policy, 0, len(configured))
	for _, p := range configured {
		if err := checkPolicy(&p); err != nil {
			return nil, err
		}
		compiled = append(compiled, policy{p.Name, p.Action, p.Include, p.Require, p.Exclude})
	}
	slices.SortStableFunc(compiled, func(a, b policy) int { return rank(a.action) - rank(b.action) })
	return compiled, nil
}

func rank(a Action) int {
	if a == Bypass || a == ServiceAuth {
		return 0
	}
	return 1
}

func checkPolicy(p *Policy) error {
	if !slices.Contains([]Action{Allow, Block, Bypass, ServiceAuth}, p.Action) {
		return refuse("policy", "policy %q: action %q is none of allow, block, bypass, service_auth", p.Name, p.Action)
	}
	if len(p.Include) == 0 {
		return refuse("policy", "policy %q includes nobody", p.Name).
			WithHint("give it at least one selector in include")
	}
	for _, sel := range slices.Concat(p.Include, p.Require, p.Exclude) {
		fields := 0
		for _, set := range []bool{sel.Certificate, sel.Everyone, len(sel.CommonName) > 0, len(sel.IP) > 0} {
			if set {
				fields++
			}
		}
		if fields != 1 {
			return refuse("policy", "policy %q: a selector has %d of certificate, everyone, common_name, ip; it needs exactly one", p.Name, fields)
		}
	}
	return nil
}

// decide evaluates the policies in order and returns the name of the one that
// decided. It fails closed: what no policy admits is denied, and allow and
// service_auth admit nobody without a valid certificate, whatever they select.
func decide(policies []policy, f facts) (admitted Action, name string, why Reason) {
	for i := range policies {
		p := &policies[i]
		if !p.matches(f) {
			continue
		}
		switch p.action {
		case Block:
			return "", p.name, ReasonBlocked
		case Bypass:
			return Bypass, p.name, ""
		case Allow, ServiceAuth:
			if f.verdict.valid {
				return p.action, p.name, ""
			}
		}
	}
	if !f.verdict.valid {
		return "", "", f.verdict.reason
	}
	return "", "", ReasonNoPolicy
}

// matches reports any of include, all of require and none of exclude.
func (p *policy) matches(f facts) bool {
	selected := func(s Selector) bool { return s.matches(f) }
	return slices.ContainsFunc(p.include, selected) &&
		!slices.ContainsFunc(p.exclude, selected) &&
		!slices.ContainsFunc(p.require, func(s Selector) bool { return !s.matches(f) })
}

func (s *Selector) matches(f facts) bool {
	if s.CA != "" && !(f.verdict.valid && slices.Contains(f.verdict.bundles, s.CA)) {
		return false
	}
	switch {
	case s.Everyone:
		return true
	case s.Certificate:
		return f.verdict.valid
	case len(s.CommonName) > 0:
		return f.verdict.valid && slices.Contains(s.CommonName, f.verdict.commonName)
	default:
		return isTrusted(f.addr, s.IP)
	}
}
