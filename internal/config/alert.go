package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/glob"
)

// ChannelNames returns every channel that the rule tells at some threshold,
// each once.
func (a Alert) ChannelNames() []string {
	var names []string
	for _, list := range append([][]string{a.Channels}, a.escalated()...) {
		for _, name := range list {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (a Alert) escalated() [][]string {
	lists := make([][]string, len(a.Escalate))
	for i, e := range a.Escalate {
		lists[i] = e.Channels
	}
	return lists
}

// Thresholds returns all of the rule's thresholds.
func (a Alert) Thresholds() []time.Duration {
	var all []time.Duration
	for _, d := range a.Before {
		all = append(all, d.Duration)
	}
	for _, e := range a.Escalate {
		all = append(all, e.Before.Duration)
	}
	return all
}

func (c *checker) validateAlerts(cfg *Config) {
	names, channels := map[string]bool{}, cfg.channelNames()
	for i := range cfg.Alerts {
		a, at := &cfg.Alerts[i], fmt.Sprintf("alert[%d]", i)
		c.validateName(at, a.Name, names)
		c.validateKinds(at+".kinds", a.Kinds)
		c.validateThresholds(at+".before", *a)
		c.validateReferences(at+".channels", a.Channels, channels)
		c.validateEscalation(at+".escalate", a, channels)
		c.validateMatch(at, a)
		c.validateRepeat(at, a)
		c.validateDigest(at+".digest", a.Digest)
		c.validateOwners(at+".owner_domains", a, cfg)
	}
}

func (c *checker) validateKinds(key string, names []string) {
	if len(names) == 0 {
		c.fail(key, "leave the key out to mean all kinds", "the list is empty, so the rule is about nothing")
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		if c.validateChoice(at, name, kinds...) && slices.Index(names, name) < i {
			c.fail(at, "remove it", "%q is listed twice", name)
		}
	}
}

func (c *checker) validateThresholds(key string, a Alert) {
	if len(a.Before)+len(a.Escalate) == 0 {
		c.fail(key, `leave the key out to mean ["30d", "14d"]`, "the list is empty, so the rule never speaks")
	}
	for i, d := range a.Before {
		at := fmt.Sprintf("%s[%d]", key, i)
		if slices.Index(a.Before, d) < i && !c.failed(at) {
			c.fail(at, "remove it", "the threshold %s is listed twice", d)
		}
	}
}

// validateEscalation refuses a threshold that two lists name: which channels
// count there would be open.
func (c *checker) validateEscalation(key string, a *Alert, channels []string) {
	all := a.Thresholds()
	for i, e := range a.Escalate {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case c.failed(at + ".before"):
		case e.Before.Duration < 0:
			c.fail(at+".before", `write how long before the end these channels are told, such as "7d"; "0d" is at the end`, "it is missing")
		case slices.Index(all, e.Before.Duration) < len(a.Before)+i:
			c.fail(at+".before", "remove it there, or here", "the threshold %s is listed twice: its channels are those of one list", e.Before)
		}
		if len(e.Channels) == 0 {
			c.fail(at+".channels", "name the channels that are told at this threshold", "the list is empty, so the step tells nobody")
		}
		c.validateReferences(at+".channels", e.Channels, channels)
	}
}

func (c *checker) validateMatch(at string, a *Alert) {
	for i, pattern := range a.Hostnames {
		a.Hostnames[i] = strings.ToLower(pattern)
		if _, err := glob.Compile(pattern, '.'); err != nil {
			c.fail(fmt.Sprintf("%s.hostnames[%d]", at, i), `write a name, with "*" for any characters within one label: "*.example.com"`, "%s", err)
		}
	}
	for i, name := range a.CAs {
		if name == "" {
			c.fail(fmt.Sprintf("%s.cas[%d]", at, i), "write the name of a stored bundle: certvigil ca list", "it is empty")
		}
	}
}

// validateRepeat brings repeat_from to the tightest threshold where the file
// does not say.
func (c *checker) validateRepeat(at string, a *Alert) {
	all := a.Thresholds()
	if a.RepeatFrom.Duration < 0 {
		a.RepeatFrom = span(0)
		if len(all) > 0 {
			a.RepeatFrom = span(slices.Min(all))
		}
	}
	if a.Repeat.Duration == 0 {
		return
	}
	if a.Repeat.Duration < time.Hour {
		c.fail(at+".repeat", `write "24h", or "1h" at least`, "%s is too often for people", a.Repeat)
	}
	if !slices.Contains(all, a.RepeatFrom.Duration) && len(all) > 0 && !c.failed(at+".repeat_from") {
		c.fail(at+".repeat_from", "write one of the rule's thresholds", "%s is no threshold of the rule", a.RepeatFrom)
	}
}

func (c *checker) validateDigest(key string, d Duration) {
	if d.Duration != 0 && (d.Duration < time.Hour || d.Duration > 7*alert.Day) {
		c.fail(key, `write "24h", or leave it out`, "%s is not between 1h and 7d", d)
	}
}

// validateOwners brings the domains into lower case.
func (c *checker) validateOwners(key string, a *Alert, cfg *Config) {
	for i, domain := range a.OwnerDomains {
		a.OwnerDomains[i] = strings.ToLower(domain)
		if domain == "" || strings.ContainsAny(domain, "@*/ ") || strings.HasPrefix(domain, ".") {
			c.fail(fmt.Sprintf("%s[%d]", key, i), `write a whole domain, such as "example.com"; each counts for itself`, "%q is no domain", domain)
		}
	}
	if len(a.OwnerDomains) == 0 {
		return
	}
	mails := func(name string) bool {
		return slices.ContainsFunc(cfg.Channels, func(ch Channel) bool { return ch.Name == name && ch.Type == TypeEmail })
	}
	if !slices.ContainsFunc(a.ChannelNames(), mails) {
		c.fail(key, "name a channel of type email, which lends its server", "the rule has no channel to write to owners by")
	}
}
