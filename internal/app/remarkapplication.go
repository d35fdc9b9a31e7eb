package app

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

// remarkApplication tells of an application of the API what is allowed and
// probably not meant.
func (a *App) remarkApplication(ctx context.Context, app inventory.Application) []string {
	a.mu.Lock()
	cfg := a.cfg
	a.mu.Unlock()
	bundles, err := a.store.Bundles(ctx)
	if err != nil {
		return nil // it is stored; what is said of it is no matter
	}
	return slices.Concat(remarkListener(cfg, app), remarkDeclared(cfg, app), remarkClients(app, bundles))
}

// remarkDeclared tells what it takes out of what the configuration guards: the
// longest path and the exact name win, and with them its policies.
func remarkDeclared(cfg *config.Config, app inventory.Application) (remarks []string) {
	for _, p := range app.Places {
		for _, d := range cfg.Applications {
			if hostname.Wildcard(p.Hostname) != d.Hostname && (p.Hostname != d.Hostname || !below(p.Path, d.Path)) {
				continue
			}
			remarks = append(remarks, fmt.Sprintf("%s is taken out of %s, which the application %q of the configuration file guards: there the policies of this one alone count",
				p, inventory.Place{Hostname: d.Hostname, Path: d.Path}, d.Name))
		}
	}
	return remarks
}

// remarkListener tells what keeps clients from getting as far as the policies.
func remarkListener(cfg *config.Config, app inventory.Application) (remarks []string) {
	if !guards(cfg) {
		return []string{"nothing guards it: the configuration has no enforcer.listen or no [[enforcer.certificate]]"}
	}
	for _, name := range hostnamesOf(app) {
		if !cfg.Enforcer.Serves(name) {
			remarks = append(remarks, fmt.Sprintf("no server certificate names %s: clients will refuse the connection", name))
		}
	}
	if u, err := url.Parse(app.Origin); err == nil && app.Origin != "" && u.Scheme != access.HTTPS && !cfg.Enforcer.AllowPrivateOrigins {
		remarks = append(remarks, fmt.Sprintf("identity headers and answers travel unencrypted to %s: use an https origin", u.Host))
	}
	return remarks
}

// remarkClients tells whom the policies do not mean, though they seem to.
func remarkClients(app inventory.Application, bundles []inventory.Bundle) (remarks []string) {
	if len(app.Policies) == 0 {
		remarks = append(remarks, "it has no policy: it refuses every client")
	}
	if one := []inventory.Application{app}; len(unvouched(one, bundles)) > 0 {
		for _, name := range unvouchedNames(app, bundles) {
			remarks = append(remarks, fmt.Sprintf("no CA is associated with %s: it refuses every client there", name))
		}
	}
	for _, p := range app.Policies {
		for _, ca := range unknownCAs(p.Policy, bundles) {
			remarks = append(remarks, fmt.Sprintf("policy %q names the CA %q, which is not stored: that selector matches nobody", p.Name, ca))
		}
	}
	return append(remarks, AmbiguousNames([]inventory.Application{app}, bundles)...)
}

func hostnamesOf(app inventory.Application) (names []string) {
	for _, p := range app.Places {
		if !slices.Contains(names, p.Hostname) {
			names = append(names, p.Hostname)
		}
	}
	return names
}
