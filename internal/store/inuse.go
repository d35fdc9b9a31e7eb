package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A succession is one item in the place of another.
type succession struct{ newID, oldID string }

// resumeUsed watches again what was superseded, and by a sighting is in use for
// longer than a renewal takes to arrive everywhere: the certificate itself, and
// the CAs that let it in.
func (s *Store) resumeUsed(ctx context.Context, t *tx, itemID string, seen inventory.Sighting) error {
	return inChunks(append([]string{itemID}, seen.Authorities...), func(in string, args []any) error {
		type use struct {
			succession
			since int64
		}
		found, err := collect(ctx, t, func(row scanner) (u use, err error) {
			err = row.Scan(&u.newID, &u.oldID, &u.since)
			return u, err
		}, supersededUsed(in), append(args, args...)...)
		if err != nil {
			return err
		}
		for _, u := range found {
			if err := s.resume(ctx, t, u.succession, fromMillis(u.since), seen.LastSeen); err != nil {
				return err
			}
		}
		return nil
	})
}

// supersededUsed selects what was superseded of a list of ids and fingerprints. A CA's
// certificate whose successor has its key is not needed any more: each of them
// vouches for what the other one signed.
func supersededUsed(in string) string {
	return `SELECT n.id, i.id, i.superseded_at FROM items i JOIN items n ON n.id = i.replaced_by
		WHERE i.watch = 'superseded' AND i.trust = 'trusted'
			AND (i.id IN ` + in + ` OR i.fingerprint IN ` + in + ` AND i.kind = 'ca' AND i.spki_hash <> n.spki_hash)
		ORDER BY i.id`
}

// resume returns an item to active, if it should be out of use by an instant. Its
// successor waits to take its place again.
func (s *Store) resume(ctx context.Context, t *tx, c succession, superseded, seen time.Time) error {
	old, err := t.item(ctx, c.oldID)
	if err != nil || !old.OutOfUse(superseded, seen) {
		return err
	}
	if c.newID, err = t.lastInLine(ctx, c.newID); err != nil {
		return err
	}
	actor := inventory.Actor{Kind: inventory.ActorSystem, ID: "sightings"}
	if err := s.transition(ctx, t, old, old.Trust, alert.Active, actor, "item.resume"); err != nil {
		return err
	}
	return t.wait(ctx, c, s.now())
}

// lastInLine returns what is in an item's place after all renewals, perhaps itself.
func (t *tx) lastInLine(ctx context.Context, itemID string) (string, error) {
	for {
		item, err := t.item(ctx, itemID)
		if err != nil || item.Watch != alert.Superseded || item.ReplacedBy == "" {
			return itemID, err
		}
		itemID = item.ReplacedBy
	}
}

// wait records that an item takes another one's place later.
func (t *tx) wait(ctx context.Context, c succession, now time.Time) error {
	_, err := t.exec(ctx, `INSERT INTO successions (new_item_id, old_item_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		c.newID, c.oldID, now.UnixMilli())
	return err
}

// inUse selects successions c whose items o and n are both watched: n has taken
// the place of o, which is still in use. (SQLite reads what a CROSS JOIN names
// first before the rest: there are few successions.)
const inUse = `FROM successions c CROSS JOIN items o ON o.id = c.old_item_id CROSS JOIN items n ON n.id = c.new_item_id
	WHERE o.watch = 'active' AND o.trust = 'trusted' AND n.watch = 'active' AND n.trust = 'trusted'`

// usedNoMore is in use by the stored watches, and was not seen since an instant.
const usedNoMore = `SELECT n.id, o.id ` + inUse + `
	AND NOT EXISTS (SELECT 1 FROM item_sources s WHERE s.item_id = o.id AND s.kind = 'observed' AND s.last_seen >= ?)
	AND NOT EXISTS (SELECT 1 FROM item_authorities a JOIN item_sources s ON s.item_id = a.item_id
		WHERE a.authority = o.fingerprint AND s.kind = 'observed' AND s.last_seen >= ?)
	ORDER BY o.id, n.not_after DESC`

// retireUnused supersedes again what was in use although it had been superseded,
// and was not seen for a while.
func (s *Store) retireUnused(ctx context.Context, t *tx, now time.Time) error {
	since := now.Add(-alert.UsedWithin).UnixMilli()
	unused, err := collect(ctx, t, func(row scanner) (c succession, err error) {
		err = row.Scan(&c.newID, &c.oldID)
		return c, err
	}, usedNoMore, since, since)
	if err != nil {
		return err
	}
	for _, c := range unused {
		if _, err := t.exec(ctx, `DELETE FROM successions WHERE new_item_id = ? AND old_item_id = ?`, c.newID, c.oldID); err != nil {
			return err
		}
		if err := s.supersede(ctx, t, c.oldID, c.newID, scanActor, "item.supersede"); err != nil {
			return err
		}
	}
	return nil
}

// addReplacement adds what has taken the place of an item that is still in use.
func (t *tx) addReplacement(ctx context.Context, facts *alert.Facts, itemID string) error {
	items, err := t.items(ctx, `WHERE i.id = (SELECT n.id `+inUse+` AND c.old_item_id = ? ORDER BY n.not_after DESC, n.id LIMIT 1)`, itemID)
	if err != nil || len(items) == 0 {
		return err
	}
	facts.Replacement = &items[0]
	return nil
}
