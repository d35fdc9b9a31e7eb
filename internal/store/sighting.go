package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// RecordSightings records where client certificates were seen, in one
// transaction; one that is not known yet becomes known as observed. It leaves no
// audit row: nobody decided anything, and the access log has each of them. What
// was superseded and is still in use is watched again, and that is on record.
func (s *Store) RecordSightings(ctx context.Context, list []inventory.Sighting) error {
	return s.write(ctx, "recording sightings", func(t *tx) error {
		for _, seen := range list {
			if err := s.recordSighting(ctx, t, seen); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) recordSighting(ctx context.Context, t *tx, seen inventory.Sighting) error {
	source := alert.Source{
		Kind: alert.SourceObserved, Reference: seen.Hostname, FirstSeen: seen.FirstSeen, LastSeen: seen.LastSeen, Count: seen.Count,
	}
	known, err := t.clientWith(ctx, cert.Fingerprint(seen.Certificate))
	if err != nil {
		return err
	}
	outlived := known.Outlived()
	if known.ID == "" {
		n := inventory.NewItem{Kind: alert.KindClient, Certificate: seen.Certificate}
		if known.ID, err = s.insertItem(ctx, t, n); err != nil {
			return err
		}
	}
	if _, err := t.sighted(ctx, known.ID, source, s.now()); err != nil {
		return err
	}
	known.Sources = append(known.Sources, source)
	if outlived && !known.Outlived() { // it was to end in silence
		if err := t.dueNow(ctx, known.ID); err != nil {
			return err
		}
	}
	for _, authority := range seen.Authorities {
		if _, err := t.exec(ctx, `INSERT INTO item_authorities (item_id, authority) VALUES (?, ?) ON CONFLICT DO NOTHING`,
			known.ID, authority); err != nil {
			return err
		}
	}
	return s.noteUse(ctx, t, known, seen)
}

// clientWith returns the client item of a fingerprint with its sources, the
// zero item when there is none.
func (t *tx) clientWith(ctx context.Context, fingerprint string) (alert.Item, error) {
	items, err := collect(ctx, t, scanItem, `SELECT `+itemColumns+` FROM items i WHERE i.fingerprint = ? AND i.kind = 'client'`, fingerprint)
	if err != nil || len(items) == 0 {
		return alert.Item{}, err
	}
	item := items[0]
	return item, t.addSources(ctx, map[string]*alert.Item{item.ID: &item}, `(?)`, []any{item.ID})
}

// outlived selects items i as alert.Item.Outlived tells them.
const outlived = `(i.kind = 'client' AND EXISTS (SELECT 1 FROM item_sources s WHERE s.item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM item_sources s WHERE s.item_id = i.id
		AND (s.kind <> 'observed' OR s.last_seen >= i.not_after - (i.not_after - i.not_before) / 4)))`

// forgettable finds what ended, and was last seen, before an instant, and was
// known from handshakes alone: rotated certificates would gather for ever. What
// somebody decided about, or was told of and is still on record, stays.
const forgettable = `SELECT i.id FROM items i WHERE i.kind = 'client' AND i.not_after < ? AND i.trust = 'trusted' AND i.watch IN ('active', 'pending')
	AND EXISTS (SELECT 1 FROM item_sources s WHERE s.item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM item_sources s WHERE s.item_id = i.id AND (s.kind <> 'observed' OR s.last_seen >= ?))
	AND NOT EXISTS (SELECT 1 FROM alerts a JOIN delivery_alerts da ON da.alert_id = a.id WHERE a.item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM items o WHERE o.replaced_by = i.id)
	AND NOT EXISTS (SELECT 1 FROM bundle_items b WHERE b.item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM successions c WHERE c.new_item_id = i.id OR c.old_item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM proposals p WHERE p.item_id = i.id)
	AND NOT EXISTS (SELECT 1 FROM tokens k WHERE k.item_id = i.id)
	LIMIT 500`

// forget deletes what forgettable finds, some at a time.
func (s *Store) forget(ctx context.Context, before time.Time) error {
	for more := true; more; {
		if err := s.write(ctx, "forgetting certificates that were only seen", func(t *tx) error {
			ids, err := collect(ctx, t, scanText, forgettable, before.UnixMilli(), before.UnixMilli())
			more = len(ids) > 0
			if err != nil {
				return err
			}
			return t.deleteItems(ctx, ids)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) deleteItems(ctx context.Context, ids []string) error {
	return inChunks(ids, func(in string, args []any) error {
		for _, table := range []string{"told", "endings", "continuations", "handlings", "slack_threads", "alerts", "item_authorities", "item_sources", "item_der"} {
			if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE item_id IN `+in, args...); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `DELETE FROM items WHERE id IN `+in, args...)
		return err
	})
}
