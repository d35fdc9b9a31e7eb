package app

import (
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

// unvouched returns the applications that would refuse every client: they ask
// for a certificate, and no stored CA is associated with their host name.
func unvouched(apps []inventory.Application, bundles []inventory.Bundle) []inventory.Application {
	var out []inventory.Application
	for _, a := range apps {
		asks := slices.ContainsFunc(a.Policies, func(p inventory.AttachedPolicy) bool { return p.Action == "allow" || p.Action == "service_auth" })
		if asks && len(unvouchedNames(a, bundles)) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// unvouchedNames returns the host names of an application that no stored CA is
// associated with.
func unvouchedNames(a inventory.Application, bundles []inventory.Bundle) []string {
	var names []string
	for _, p := range a.Places {
		vouched := slices.ContainsFunc(bundles, func(b inventory.Bundle) bool {
			return slices.ContainsFunc(b.Hostnames, func(h string) bool { return meet(h, p.Hostname) })
		})
		if !vouched && !slices.Contains(names, p.Hostname) {
			names = append(names, p.Hostname)
		}
	}
	return names
}

// severalVouch reports whether a host name, or any that a wildcard covers, has
// more than one CA. A name has the CAs that are associated with it exactly, else those of
// its wildcard.
func severalVouch(name string, bundles []inventory.Bundle) bool {
	vouching := map[string]int{}
	for _, b := range bundles {
		for _, h := range b.Hostnames {
			vouching[h]++
		}
	}
	if !strings.HasPrefix(name, "*") && vouching[name] > 0 {
		return vouching[name] > 1
	}
	for h, n := range vouching {
		if n > 1 && meet(h, name) {
			return true
		}
	}
	return false
}

// strays returns the host names of a bundle that no application has: misspelt,
// more often than not.
func strays(b inventory.Bundle, apps []inventory.Application) []string {
	var out []string
	for _, h := range b.Hostnames {
		if !slices.ContainsFunc(apps, func(a inventory.Application) bool {
			return slices.ContainsFunc(a.Places, func(p inventory.Place) bool { return meet(h, p.Hostname) })
		}) {
			out = append(out, h)
		}
	}
	return out
}

// meet reports whether two normalised host names or wildcards have a name in
// common.
func meet(a, b string) bool {
	return a == b || hostname.Wildcard(a) == b || hostname.Wildcard(b) == a
}
