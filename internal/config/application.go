package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/header"
	"github.com/certvigil/certvigil/internal/hostname"
)

func (c *checker) validateApplications(apps []Application) {
	names, places := map[string]bool{}, map[string]string{}
	for i := range apps {
		a, at := &apps[i], fmt.Sprintf("application[%d]", i)
		c.validateName(at, a.Name, names)
		c.validateHostname(at+".hostname", a)
		c.check(at+".path", access.CheckPath(a.Path))
		c.validateOrigin(at, a)
		c.validateDenial(at, a)
		c.validatePositive(at+".session_duration", a.SessionDuration)
		c.validateChoice(at+".mode", a.Mode, ModeEnforce, ModeReportOnly)
		c.validateChoice(at+".client_certificate_forwarding", a.Forwarding, "off", "every", "first")
		c.validateRequestHeaders(at+".request_headers", a.RequestHeaders)
		c.validatePolicies(at, a.Policies)
		place := a.Hostname + a.Path
		if other, taken := places[place]; taken {
			c.fail(at+".hostname", "give each its own host name or path", "application %q already answers to %s", other, place)
		}
		places[place] = a.Name
	}
}

func (c *checker) validateHostname(key string, a *Application) {
	if a.Hostname == "" {
		c.fail(key, "write an exact name such as orders.example.com, or *.example.com", "the host name is missing")
		return
	}
	name, err := hostname.NormalizePattern(a.Hostname)
	if err != nil {
		c.fail(key, "write an exact name such as orders.example.com, or *.example.com", "%s", err)
		return
	}
	a.Hostname = name
}

// check records what is wrong with the text of a key, and how to mend it.
func (c *checker) check(key string, err error) {
	if err != nil {
		c.fail(key, fault.Hint(err), "%s", err)
	}
}

func (c *checker) validateRequestHeaders(at string, headers map[string]string) {
	spelled := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, folded := join(at, name), header.Fold(name)
		c.check(key, header.CheckName(name))
		if other, taken := spelled[folded]; taken {
			c.fail(key, "keep one of them", "origins may take it for %q: case does not count, nor which sign stands between the words", other)
		}
		spelled[folded] = name
		if _, err := header.Parse(headers[name]); err != nil {
			c.fail(key, fault.Hint(err), "%s", err)
		}
	}
}

func (c *checker) validatePolicies(at string, policies []Policy) {
	names := map[string]bool{}
	for i, p := range policies {
		at := fmt.Sprintf("%s.policy[%d]", at, i)
		c.validateName(at, p.Name, names)
		c.validateChoice(at+".action", p.Action, "allow", "block", "bypass", "service_auth")
		if len(p.Include) == 0 {
			c.fail(at+".include", "name whom the policy is about, such as { certificate = true }", "the list is empty, so the policy matches nobody")
		}
		c.validateSelectors(at+".include", p.Include)
		c.validateSelectors(at+".require", p.Require)
		c.validateSelectors(at+".exclude", p.Exclude)
	}
}
