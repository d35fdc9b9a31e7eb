package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/scanner"
	"github.com/certvigil/certvigil/templates"
)

const (
	reportAhead  = 90 * alert.Day
	reportListed = 15 // items that are named
)

// reportsFrom is a Monday, in the morning, from which weeks are counted.
var reportsFrom = time.Date(2024, time.January, 1, 8, 0, 0, 0, time.UTC)

// weekOf returns the beginning of the week in which an instant is.
func weekOf(at time.Time) time.Time {
	const week = 7 * alert.Day
	since := at.Sub(reportsFrom) % week
	if since < 0 {
		since += week
	}
	return at.Add(-since).UTC()
}

// report sends each channel that asks for it one report a week, the first one
// at once: whoever waits for it in vain knows that something is broken. It
// follows a scan, which has found the clock in order.
func (a *App) report(ctx context.Context, now time.Time) {
	if err := a.reportDue(ctx, now); err != nil && ctx.Err() == nil {
		a.log.Error("making the weekly report", "error", err)
	}
}

func (a *App) reportDue(ctx context.Context, now time.Time) error {
	r, week := a.roster(), weekOf(now)
	for _, c := range r.cfg.Channels {
		if c.Report != config.ReportWeekly {
			continue
		}
		last, err := a.store.Reported(ctx, c.Name)
		if err != nil {
			return err
		}
		if !last.Before(week) {
			continue
		}
		words, err := reportWords(ctx, r, a.store, now)
		if err != nil {
			return err
		}
		installation, err := a.store.Installation(ctx)
		if err != nil {
			return err
		}
		handed, err := a.store.Report(ctx, c.Name, week, reportTo(c, installation, week, words, now))
		if err != nil {
			return err
		}
		if handed {
			a.log.Info("weekly report", "channel", c.Name, "week", week)
		}
	}
	return nil
}

func reportTo(c config.Channel, installation string, week time.Time, words string, now time.Time) alert.Notice {
	n := alert.Notice{Alert: alert.NewReport(installation, c.Name, week, words, now)}
	for _, to := range recipients(c) {
		n.Deliveries = append(n.Deliveries, alert.NewDelivery(c.Name, to, "", []string{n.Alert.ID}, now))
	}
	return n
}

// reportWords are the report: its headline and, line by line, the rest.
func reportWords(ctx context.Context, r roster, s *store.Store, now time.Time) (string, error) {
	ending, all, err := s.Ending(ctx, now.Add(reportAhead), reportListed)
	if err != nil {
		return "", err
	}
	groups, err := s.Groups(ctx)
	if err != nil {
		return "", err
	}
	failing, err := failingChannels(ctx, r.channels(), s)
	if err != nil {
		return "", err
	}
	unseen, err := unseenHosts(ctx, r.cfg, s)
	if err != nil {
		return "", err
	}
	watched, ownerless, uncovered := countGroups(groups, r.rules())
	lines := []string{fmt.Sprintf("Weekly report: %d of %d watched items end within 90 days", all, watched)}
	lines = append(lines, fmt.Sprintf("As of %s. It comes every Monday, also when all is well: when it does not, look after Certvigil.", now.UTC().Format(time.RFC3339)))
	lines = append(lines, endingLines(ending, all, now)...)
	lines = append(lines,
		fmt.Sprintf("Items without an owner (the label %q): %d", scanner.OwnerLabel, ownerless),
		fmt.Sprintf("Items without an alert rule, of which nobody is told: %d", uncovered),
		"Channels that fail: "+listed(failing),
		"Hosts at which no client certificate was ever seen: "+listed(unseen))
	return strings.Join(lines, "\n"), nil
}

func endingLines(ending []alert.Item, all int, now time.Time) []string {
	if all == 0 {
		return []string{"Nothing ends within 90 days."}
	}
	lines := []string{"The most urgent:"}
	for _, i := range ending {
		line := "- " + templates.ItemTitle(i) + ", " + alert.FormatLeft(i.NotAfter, now)
		if i.Handling != nil {
			line += ", " + i.Handling.Words()
		}
		lines = append(lines, line)
	}
	if all > len(ending) {
		lines = append(lines, fmt.Sprintf("- and %d more: certvigil cert list --expiring 90d", all-len(ending)))
	}
	return lines
}

// countGroups counts what is watched, what of it bears no owner, and what no
// rule is about.
func countGroups(groups []store.Group, rules []scanner.Rule) (watched, ownerless, uncovered int) {
	for _, g := range groups {
		if g.Watch != alert.Active {
			continue
		}
		watched += g.Count
		if g.Labels[scanner.OwnerLabel] == "" {
			ownerless += g.Count
		}
		if !covered(rules, alert.Item{Kind: g.Kind, Labels: g.Labels}) {
			uncovered += g.Count
		}
	}
	return watched, ownerless, uncovered
}

func failingChannels(ctx context.Context, channels []string, s *store.Store) ([]string, error) {
	var failing []string
	for _, name := range channels {
		status, err := s.Channel(ctx, name)
		if err != nil {
			return nil, err
		}
		if status.Failing {
			failing = append(failing, fmt.Sprintf("%s since %s (%s)", name, status.Since.UTC().Format(time.RFC3339), status.Reason))
		}
	}
	return failing, nil
}

// unseenHosts returns the applications' host names at which no client was seen;
// a wildcard counts as seen with any name under it.
func unseenHosts(ctx context.Context, cfg *config.Config, s *store.Store) ([]string, error) {
	if !guards(cfg) {
		return nil, nil
	}
	seen, err := s.SeenHosts(ctx)
	if err != nil {
		return nil, err
	}
	var unseen []string
	for _, a := range cfg.Applications {
		rest, wild := strings.CutPrefix(a.Hostname, "*")
		at := func(host string) bool { return host == a.Hostname || wild && strings.HasSuffix(host, rest) }
		if !slices.ContainsFunc(seen, at) && !slices.Contains(unseen, a.Hostname) {
			unseen = append(unseen, a.Hostname)
		}
	}
	return unseen, nil
}

// listed names the first of a list and counts the rest.
func listed(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
