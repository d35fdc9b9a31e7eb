package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// StoredWarnings are about what a configuration and its store say together. It
// writes nothing; where no store can be read it warns of nothing: a
// configuration is checked before its first start, and on other machines.
func StoredWarnings(ctx context.Context, cfg *config.Config) []string {
	s, err := store.Open(ctx, store.Options{DSN: cfg.Storage.DSN, ReadOnly: true})
	if err != nil {
		return nil
	}
	defer func() { _ = s.Close() }() // nothing was written
	bundles, err := s.Bundles(ctx)
	if err != nil {
		return nil
	}
	warnings := strangeCAs(cfg.Alerts, bundles)
	apps, err := Guarded(ctx, cfg.Applications, s)
	if err != nil {
		return warnings
	}
	return slices.Concat(warnings, refusals(ctx, cfg, s), AmbiguousNames(apps, bundles))
}

// strangeCAs warns of alert rules that ask for a CA which is not stored: a name
// that was mistyped, or a bundle that was renamed, would silence the rule.
func strangeCAs(rules []config.Alert, bundles []inventory.Bundle) []string {
	var warnings []string
	for _, r := range rules {
		for _, ca := range r.CAs {
			if !stored(ca, bundles) {
				warnings = append(warnings, fmt.Sprintf("alert %q asks for the CA %q, which is not stored: it tells nothing of that one's certificates", r.Name, ca))
			}
		}
	}
	return warnings
}

func stored(ca string, bundles []inventory.Bundle) bool {
	return slices.ContainsFunc(bundles, func(b inventory.Bundle) bool { return b.Name == ca })
}

// refusals tells beside what of the store this configuration is not loaded.
func refusals(ctx context.Context, cfg *config.Config, s *store.Store) (warnings []string) {
	warn := func(err error) {
		if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) { // any other is not about the file
			warnings = append(warnings, fmt.Sprintf("the daemon will not load this file: %s; %s", err, fault.Hint(err)))
		}
	}
	all, err := s.Access(ctx)
	if err == nil {
		_, err = storedApplications(cfg, all.Applications)
	}
	warn(err)
	_, err = rosterOf(ctx, cfg, s)
	warn(err)
	return warnings
}

// AmbiguousNames warns of policies that go by a name where several CAs may
// give it: whoever holds any of them can be anyone.
func AmbiguousNames(apps []inventory.Application, bundles []inventory.Bundle) []string {
	var warnings []string
	for _, app := range apps {
		i := slices.IndexFunc(app.Places, func(p inventory.Place) bool { return severalVouch(p.Hostname, bundles) })
		if i < 0 {
			continue
		}
		for _, p := range app.Policies {
			for _, s := range p.Selectors() {
				if s.CA == "" && s.Name() != "" {
					warnings = append(warnings, fmt.Sprintf("policy %q of application %q goes by %s, and several CAs vouch for clients of %s: add ca to the selector, or any of them may give that name",
						p.Name, app.Name, s.Name(), app.Places[i].Hostname))
				}
			}
		}
	}
	return warnings
}
