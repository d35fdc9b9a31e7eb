package app

import (
	"context"
	"maps"
	"slices"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/scanner"
)

// announce says in the log what the daemon does from now on.
func (a *App) announce(ctx context.Context) {
	groups, r := a.groups(ctx), a.roster()
	counts := map[alert.Kind]int{}
	for _, g := range groups {
		if g.Watch == alert.Active || g.Watch == alert.Pending {
			counts[g.Kind] += g.Count
		}
	}
	a.log.Info("watching", "cas", counts[alert.KindCA], "clients", counts[alert.KindClient], "servers", counts[alert.KindServer],
		"rules", len(r.rules()), "channels", len(r.channels()))
	a.log.Info("scanning", "schedule", a.cfg.Scanner.Schedule, "timezone", a.cfg.Scanner.Timezone, "next", a.scanner.Next().UTC())
	a.warn(ctx, r, groups)
}

// groups counts what is watched, for the words in the log.
func (a *App) groups(ctx context.Context) []store.Group {
	groups, err := a.store.Groups(ctx)
	if err != nil {
		a.log.Warn("counting what is watched", "error", err)
	}
	return groups
}

// warn says what is allowed but would keep somebody from being told.
func (a *App) warn(ctx context.Context, r roster, groups []store.Group) {
	cfg := r.cfg
	for _, w := range cfg.Warnings {
		a.log.Warn("configuration", "warning", w)
	}
	a.warnOrphans(ctx, r)
	a.warnDeaf(r)
	rules, uncovered := r.rules(), map[alert.Kind]int{}
	for _, g := range groups {
		if g.Watch == alert.Active && !covered(rules, alert.Item{Kind: g.Kind, Labels: g.Labels}) {
			uncovered[g.Kind] += g.Count
		}
	}
	for _, kind := range []alert.Kind{alert.KindCA, alert.KindClient, alert.KindServer, alert.KindCRL} {
		if n := uncovered[kind]; n > 0 {
			a.log.Warn("nobody would be told of some items: no rule covers them", "kind", kind, "items", n)
		}
	}
	bundles, err := a.store.Bundles(ctx)
	if err != nil {
		a.log.Warn("reading the CAs", "error", err)
		return
	}
	for _, w := range strangeCAs(cfg.Alerts, bundles) {
		a.log.Warn("configuration", "warning", w)
	}
	if !guards(cfg) {
		return
	}
	apps, err := Guarded(ctx, cfg.Applications, a.store)
	if err != nil {
		a.log.Warn("reading the applications", "error", err)
		return
	}
	a.warnHostnames(bundles, apps)
	a.warnPolicies(bundles, apps)
}

// recallScan has the metrics tell of the last scan until there is another: while
// the clock is not believed there is none.
func (a *App) recallScan(ctx context.Context) {
	last, err := a.store.LastScan(ctx)
	if err != nil {
		a.log.Warn("recalling the last scan", "error", err)
	}
	if !last.IsZero() {
		a.metrics.LastScan(last)
	}
}

// recallChannels says which channels failed when the last daemon stopped: they
// are not tried again before their time, and must not look sound until then.
// It precedes the notifier, which has the word from its first attempt on.
func (a *App) recallChannels(ctx context.Context, names []string) {
	for _, name := range names {
		status, err := a.store.Channel(ctx, name)
		if err != nil {
			a.log.Warn("recalling whether a channel fails", "channel", name, "error", err)
			continue
		}
		a.metrics.ChannelFailing(name, status.Failing)
		if status.Failing {
			a.log.Warn("channel still failing", "channel", name, "error", status.Reason, "retry_at", status.RetryAt, "since", status.Since)
		}
	}
}

// changeChannels follows a change of who is told of what: how a channel fares
// is known under the name that it has now, and of one that is gone no more.
func (a *App) changeChannels(ctx context.Context, before, after roster) {
	var fresh []string
	for _, name := range after.channels() {
		if !before.has(name) {
			fresh = append(fresh, name)
		}
	}
	for _, name := range before.channels() {
		if !after.has(name) {
			a.metrics.ChannelGone(name)
		}
	}
	a.recallChannels(ctx, fresh)
	a.warnDeaf(after)
}

// warnDeaf names policies that are left with nobody, as they are when their
// destinations are deleted.
func (a *App) warnDeaf(r roster) {
	for _, p := range r.stored.Policies {
		if p.Enabled && len(r.rule(p).Targets) == 0 {
			a.log.Warn("an alerting policy tells nobody: its destinations are gone", "policy", p.Name, "id", p.ID)
		}
	}
}

// warnOrphans names channels that are configured no longer though messages wait
// for them: without a word they would wait for ever.
func (a *App) warnOrphans(ctx context.Context, r roster) {
	waiting, err := a.store.Waiting(ctx)
	if err != nil {
		a.log.Warn("counting what waits for channels", "error", err)
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if !r.has(name) {
			a.log.Warn("deliveries wait for a channel that is not configured: they go when one of its name is, or are cancelled by `certvigil delivery cancel`",
				"channel", name, "deliveries", waiting[name].Count, "oldest", waiting[name].Oldest)
		}
	}
}

// warnHostnames names applications and CAs that do not find each other.
func (a *App) warnHostnames(bundles []inventory.Bundle, apps []inventory.Application) {
	for _, app := range unvouched(apps, bundles) {
		for _, name := range unvouchedNames(app, bundles) {
			a.log.Warn("an application has no CA: it refuses every client", "application", app.Name, "hostname", name)
		}
	}
	for _, b := range bundles {
		for _, h := range strays(b, apps) {
			a.log.Warn("a CA is associated with a host name that no application has", "ca", b.Name, "hostname", h)
		}
	}
}

// warnPolicies names policies that ask for a CA that is not stored, and those
// that take any CA's word for a name where there are several.
func (a *App) warnPolicies(bundles []inventory.Bundle, apps []inventory.Application) {
	for _, app := range apps {
		for _, p := range app.Policies {
			for _, ca := range unknownCAs(p.Policy, bundles) {
				a.log.Warn("a policy names a CA that is not stored: it matches nobody", "application", app.Name, "policy", p.Name, "ca", ca)
			}
		}
	}
	for _, w := range AmbiguousNames(apps, bundles) {
		a.log.Warn("configuration", "warning", w)
	}
}

// unknownCAs returns the names of CAs that a policy asks for and nobody stored.
func unknownCAs(p inventory.Policy, bundles []inventory.Bundle) []string {
	var unknown []string
	for _, s := range p.Selectors() {
		if s.CA != "" && !stored(s.CA, bundles) {
			unknown = append(unknown, s.CA)
		}
	}
	return unknown
}

// covered reports whether any rule with a target may tell of an item of such a
// kind and labels: where it is used is not asked.
func covered(rules []scanner.Rule, item alert.Item) bool {
	return slices.ContainsFunc(rules, func(r scanner.Rule) bool {
		r.Hostnames, r.CAs = nil, nil
		return r.Matches(alert.Candidate{Item: item})
	})
}
