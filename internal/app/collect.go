package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/metrics"
)

// collect counts what the metrics show of the store.
func (a *App) collect(ctx context.Context) (counts metrics.Counts, err error) {
	if counts.Deliveries, err = a.store.DeliveryCounts(ctx); err != nil {
		return counts, err
	}
	if counts.Channels, err = a.countChannels(ctx); err != nil {
		return counts, err
	}
	groups, err := a.store.Groups(ctx)
	if err != nil {
		return counts, err
	}
	counts.Items = map[alert.Kind]map[alert.Watch]int{}
	for _, g := range groups {
		if counts.Items[g.Kind] == nil {
			counts.Items[g.Kind] = map[alert.Watch]int{}
		}
		counts.Items[g.Kind][g.Watch] += g.Count
	}
	if counts.Left, err = a.countLeft(ctx, counts.Items); err != nil {
		return counts, err
	}
	lists, err := a.store.CRLs(ctx)
	for _, l := range lists {
		counts.CRLs = append(counts.CRLs, metrics.CRL{
			Issuer: l.Item.Subject, Key: l.IssuerKey, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Entries: l.Entries, Failing: l.FailingSince != nil,
		})
	}
	return counts, err
}

// countChannels tells of the channels that are configured, and of those that
// deliveries wait for in vain.
func (a *App) countChannels(ctx context.Context) ([]metrics.Channel, error) {
	statuses, err := a.store.ChannelStatuses(ctx)
	if err != nil {
		return nil, err
	}
	waiting, err := a.store.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(waiting))
	names = append(names, a.roster().channels()...)
	slices.Sort(names)
	now := a.o.Now()
	var channels []metrics.Channel
	for _, name := range slices.Compact(names) {
		c := metrics.Channel{Name: name, Waiting: waiting[name].Count, LastSent: statuses[name].LastSent}
		if c.Waiting > 0 {
			c.Oldest = max(now.Sub(waiting[name].Oldest), 0)
		}
		channels = append(channels, c)
	}
	return channels, nil
}

// countLeft counts what is watched by the time until it ends. The store counts
// what ends soon, which is little; what is left of each kind ends later.
func (a *App) countLeft(ctx context.Context, items map[alert.Kind]map[alert.Watch]int) (map[alert.Kind][]int, error) {
	now := a.o.Now()
	edges := make([]time.Time, len(metrics.Edges))
	for i, left := range metrics.Edges {
		edges[i] = now.Add(left)
	}
	ending, err := a.store.CountEnding(ctx, edges)
	if err != nil {
		return nil, err
	}
	all := map[alert.Kind][]int{}
	for kind, watches := range items {
		counted := ending[kind]
		if counted == nil {
			counted = make([]int, len(edges)+1)
		}
		later := watches[alert.Active]
		for _, n := range counted {
			later -= n
		}
		all[kind] = slices.Insert(counted, len(edges), max(later, 0))
	}
	return all, nil
}
