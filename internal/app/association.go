package app

import (
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

// unvouched returns the applications that would refuse every client: they ask
// for a certificate, and no stored CA is associated with their host name.
func unvouched(apps []config.Application, bundles []inventory.Bundle) []config.Application {
	var out []config.Application
	for _, a := range apps {
		asks := slices.ContainsFunc(a.Policies, func(p config.Policy) bool { return p.Action == "allow" || p.Action == "service_auth" })
		vouched := slices.ContainsFunc(bundles, func(b inventory.Bundle) bool {
			return slices.ContainsFunc(b.Hostnames, func(h string) bool { return meet(h, a.Hostname) })
		})
		if asks && !vouched {
			out = append(out, a)
		}
	}
	return out
}

// severalVouch reports whether any host name of an application has more than
// one CA. A name has the CAs that are associated with it exactly, else those of
// its wildcard.
func severalVouch(a config.Application, bundles []inventory.Bundle) bool {
	vouching := map[string]int{}
	for _, b := range bundles {
		for _, h := range b.Hostnames {
			vouching[h]++
		}
	}
	if !strings.HasPrefix(a.Hostname, "*") && vouching[a.Hostname] > 0 {
		return vouching[a.Hostname] > 1
	}
	for h, n := range vouching {
		if n > 1 && meet(h, a.Hostname) {
			return true
		}
	}
	return false
}

// strays returns the host names of a bundle that no application has: misspelt,
// more often than not.
func strays(b inventory.Bundle, apps []config.Application) []string {
	var out []string
	for _, h := range b.Hostnames {
		if !slices.ContainsFunc(apps, func(a config.Application) bool { return meet(h, a.Hostname) }) {
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
