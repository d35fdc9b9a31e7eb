package app

import (
	"fmt"
	"slices"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

// AmbiguousNames warns of policies that go by a name where several CAs may
// give it: whoever holds any of them can be anyone.
func AmbiguousNames(apps []config.Application, bundles []inventory.Bundle) []string {
	var warnings []string
	for _, app := range apps {
		if !severalVouch(app, bundles) {
			continue
		}
		for _, p := range app.Policies {
			for _, s := range slices.Concat(p.Include, p.Require, p.Exclude) {
				if s.CA == "" && s.Name() != "" {
					warnings = append(warnings, fmt.Sprintf("policy %q of application %q goes by %s, and several CAs vouch for clients of %s: add ca to the selector, or any of them may give that name",
						p.Name, app.Name, s.Name(), app.Hostname))
				}
			}
		}
	}
	return warnings
}
