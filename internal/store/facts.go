package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// How many are named; the rest is counted or left out.
const (
	mostRecent     = 3
	mostSuccessors = 3
)

// Facts returns what is known of an item at a time beyond the item itself.
func (s *Store) Facts(ctx context.Context, item alert.Item, now time.Time) (facts alert.Facts, err error) {
	err = s.read(ctx, "reading what depends on an item", func(t *tx) error {
		if item.Kind == alert.KindCA {
			if err := t.addDependents(ctx, &facts, item.Fingerprint, now.Add(-alert.SeenWithin)); err != nil {
				return err
			}
		}
		if item.Kind == alert.KindCRL { // the next list is the same item
			return nil
		}
		if err := t.addReplacement(ctx, &facts, item); err != nil {
			return err
		}
		if facts.Replacement != nil { // no need to guess
			return nil
		}
		facts.Successors, err = t.items(ctx, `WHERE i.subject = ? AND i.kind = ? AND i.issuer = ? AND i.sans = ? AND i.not_after > ?
			AND i.trust = 'trusted' AND i.watch IN ('active', 'pending') AND i.id <> ? ORDER BY i.not_after DESC, i.id LIMIT ?`,
			item.Subject, item.Kind, item.Issuer, jsonText(orEmpty(item.SANs)), item.NotAfter.UnixMilli(), item.ID, mostSuccessors)
		return err
	})
	return facts, err
}

// addDependents counts the client certificates that a CA let in since a time,
// and names those that were seen last.
func (t *tx) addDependents(ctx context.Context, facts *alert.Facts, authority string, since time.Time) error {
	const seen = `FROM item_authorities a JOIN item_sources s ON s.item_id = a.item_id
		WHERE a.authority = ? AND s.kind = 'observed' AND s.last_seen >= ?`
	if err := t.row(ctx, `SELECT COUNT(DISTINCT s.item_id) `+seen, authority, since.UnixMilli()).Scan(&facts.Dependents); err != nil {
		return err
	}
	ids, err := collect(ctx, t, scanText, `SELECT s.item_id `+seen+` GROUP BY s.item_id ORDER BY MAX(s.last_seen) DESC, s.item_id LIMIT ?`,
		authority, since.UnixMilli(), mostRecent)
	if err != nil {
		return err
	}
	items, err := t.itemsByID(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		facts.Recent = append(facts.Recent, dependent(items[id]))
	}
	return nil
}

func dependent(item alert.Item) alert.Dependent {
	d := alert.Dependent{ItemID: item.ID, Name: item.CommonName}
	if d.Name == "" {
		d.Name = item.Subject
	}
	for _, s := range item.Sources {
		if s.Kind == alert.SourceObserved && s.LastSeen.After(d.LastSeen) {
			d.Hostname, d.LastSeen = s.Reference, s.LastSeen
		}
	}
	return d
}
