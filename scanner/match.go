package scanner

import (
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/glob"
)

// Matches reports whether the rule is about an item: it names its kind, labels
// that the item bears, a host name and a CA of it where it names any, and
// somebody to tell. A rule without recipients records nothing, so that nothing
// is lost when it is given some.
func (r *Rule) Matches(c alert.Candidate) bool { return r.mismatch(c) == "" }

// mismatch says why the rule is not about an item, "" when it is.
func (r *Rule) mismatch(c alert.Candidate) string {
	it := c.Item
	if !slices.Contains(r.Kinds, it.Kind) {
		return fmt.Sprintf("it is not about the kind %q", it.Kind)
	}
	for _, label := range slices.Sorted(maps.Keys(r.Match)) {
		if got, ok := it.Labels[label]; !ok || got != r.Match[label] {
			return fmt.Sprintf("the item does not bear the label %s=%s", label, r.Match[label])
		}
	}
	if len(r.Hostnames) > 0 && !slices.ContainsFunc(r.Hostnames, func(pattern string) bool { return named(it, pattern) }) {
		return "no host name of the item matches " + strings.Join(r.Hostnames, ", ")
	}
	if len(r.CAs) > 0 && !slices.ContainsFunc(r.CAs, func(ca string) bool { return slices.Contains(c.CAs, ca) }) {
		return "the item is neither of the CA " + strings.Join(r.CAs, ", ") + " nor issued by it"
	}
	for _, s := range r.steps(it) {
		if slices.ContainsFunc(s.targets, func(t Target) bool { return len(t.recipients(it)) > 0 }) {
			return ""
		}
	}
	return "it tells nobody"
}

// named reports whether a host name of the item fits a pattern: one at which
// it is used, or one that it bears.
func named(it alert.Item, pattern string) bool {
	p, err := glob.Compile(strings.ToLower(pattern), '.')
	if err != nil {
		return false // checkRules refuses it
	}
	for _, name := range it.Hostnames {
		if p.Match(strings.ToLower(name)) {
			return true
		}
	}
	for _, san := range it.SANs {
		if name, ok := strings.CutPrefix(san, "dns:"); ok && p.Match(strings.ToLower(name)) {
			return true
		}
	}
	return slices.ContainsFunc(it.Sources, func(s alert.Source) bool {
		return s.Kind == alert.SourceObserved && p.Match(strings.ToLower(s.Reference))
	})
}

// OwnerLabel is the label that names an item's owner by mail address.
const OwnerLabel = "owner"

// maxOwners bounds how many addresses one certificate can have written to.
const maxOwners = 5

// recipients returns whom the target tells of an item.
func (t Target) recipients(it alert.Item) []string {
	if len(t.OwnerDomains) == 0 {
		return t.Recipients
	}
	all := slices.Clip(t.Recipients)
	for _, owner := range owners(it, t.OwnerDomains) {
		if !slices.ContainsFunc(all, func(r string) bool { return strings.EqualFold(r, owner) }) {
			all = append(all, owner)
		}
	}
	return all
}

// owners returns the addresses of an item's owner label and its own alternative
// names that lie in one of the domains. Others are left out: whoever issues a
// certificate must not have strangers written to.
func owners(it alert.Item, domains []string) []string {
	claims := []string{it.Labels[OwnerLabel]}
	for _, san := range it.SANs {
		if address, ok := strings.CutPrefix(san, "email:"); ok {
			claims = append(claims, address)
		}
	}
	var list []string
	for _, claim := range claims {
		address, ok := within(claim, domains)
		if ok && len(list) < maxOwners && !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// within returns a bare address of one of the domains, its domain in lower
// case. Anything but a plain address is none.
func within(claim string, domains []string) (string, bool) {
	parsed, err := mail.ParseAddress(claim)
	at := strings.LastIndexByte(claim, '@')
	if err != nil || parsed.Address != claim || len(claim) > 254 || strings.ContainsAny(claim, "\"\\ ") {
		return "", false
	}
	domain := strings.ToLower(claim[at+1:])
	if !slices.Contains(domains, domain) {
		return "", false
	}
	return claim[:at+1] + domain, true
}
