package enforcer

import (
	"net/netip"
	"slices"
	"time"
)

// A policy is a compiled Policy.
type policy struct {
	name                      string
	action                    Action
	include, require, exclude []selector
	session                   time.Duration // 0 = the application's
}

// facts are what selectors look at.
type facts struct {
	client  *client // whose certificate is looked at only if the verdict is valid
	verdict *verdict
	addr    netip.Addr // of the client; invalid if unknown, then no prefix holds it
}

// compilePolicies puts the policies into the order of evaluation: bypass and
// service_auth first, then block and allow, each as configured.
func compilePolicies(configured []Policy) ([]policy, error) {
	compiled := make([]policy, 0, len(configured))
	for i := range configured {
		p, err := compilePolicy(&configured[i])
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, p)
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

func compilePolicy(p *Policy) (policy, error) {
	if !slices.Contains([]Action{Allow, Block, Bypass, ServiceAuth}, p.Action) {
		return policy{}, refuse("policy", "policy %q: action %q is none of allow, block, bypass, service_auth", p.Name, p.Action)
	}
	if len(p.Include) == 0 {
		return policy{}, refuse("policy", "policy %q includes nobody", p.Name).
			WithHint("give it at least one selector in include")
	}
	if p.SessionDuration != 0 && p.SessionDuration < time.Second {
		return policy{}, refuse("policy", "policy %q: its session_duration is below a second", p.Name)
	}
	compiled := policy{name: p.Name, action: p.Action, session: p.SessionDuration}
	for _, list := range []struct {
		key  string
		from []Selector
		to   *[]selector
	}{{"include", p.Include, &compiled.include}, {"require", p.Require, &compiled.require}, {"exclude", p.Exclude, &compiled.exclude}} {
		for i := range list.from {
			s, err := compileSelector(&list.from[i])
			if err != nil {
				return policy{}, refuse("policy", "policy %q: %s[%d]: %w", p.Name, list.key, i, err)
			}
			*list.to = append(*list.to, s)
		}
	}
	return compiled, nil
}

// A step is a policy that was come to, and why it did not decide.
type step struct {
	policy *policy
	skip   skip
}

// A skip is why a policy does not decide; the zero skip is that it does.
type skip struct {
	cause    string
	selector *selector // on which it depended; nil if on none alone
}

// The causes.
const (
	causeInclude     = "no selector of include matches"
	causeExclude     = "exclude matches"
	causeRequire     = "require does not match"
	causeCertificate = "it matches, but admits nobody without a valid certificate"
)

// decide evaluates the policies in order and returns the one that decided, nil
// if none did, and why the request is refused, "" if it is not. It fails closed: what no policy admits is denied, and allow and
// service_auth admit nobody without a valid certificate, whatever they select.
// The policies that were come to are added to trace, unless that is nil.
func decide(policies []policy, f facts, trace *[]step) (by *policy, why Reason) {
	for i := range policies {
		p := &policies[i]
		skip := p.skips(&f)
		if trace != nil {
			*trace = append(*trace, step{p, skip})
		}
		switch {
		case skip.cause != "":
			continue
		case p.action == Block:
			return p, ReasonBlocked
		}
		return p, ""
	}
	if !f.verdict.valid {
		return nil, f.verdict.reason
	}
	return nil, ReasonNoPolicy
}

// skips reports why the policy does not decide: it does on any of include, all
// of require and none of exclude.
func (p *policy) skips(f *facts) skip {
	if matching(p.include, f, true) == nil {
		return skip{cause: causeInclude}
	}
	if s := matching(p.exclude, f, true); s != nil {
		return skip{causeExclude, s}
	}
	if s := matching(p.require, f, false); s != nil {
		return skip{causeRequire, s}
	}
	if (p.action == Allow || p.action == ServiceAuth) && !f.verdict.valid {
		return skip{cause: causeCertificate}
	}
	return skip{}
}

// matching returns the first selector that matches, or does not; nil if none.
func matching(list []selector, f *facts, match bool) *selector {
	for i := range list {
		if list[i].matches(f) == match {
			return &list[i]
		}
	}
	return nil
}
