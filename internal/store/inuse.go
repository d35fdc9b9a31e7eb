package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// watched selects items i that alerting speaks of, as alert.Item.Watched tells
// them: the condition of the partial index items_due.
const watched = `(i.watch = 'active' OR i.used_at IS NOT NULL)`

// noteUse watches again what was superseded, and by a sighting is in use for
// longer than a renewal takes to arrive everywhere: the certificate itself, and
// the CAs that let it in.
func (s *Store) noteUse(ctx context.Context, t *tx, client alert.Item, seen inventory.Sighting) error {
	if client.Watch == alert.Superseded {
		if err := s.usedAt(ctx, t, client.ID, seen.LastSeen); err != nil {
			return err
		}
	}
	for _, authority := range seen.Authorities {
		var needed string
		switch err := t.row(ctx, neededCA, authority).Scan(&needed); {
		case errors.Is(err, sql.ErrNoRows): // it is watched, or not trusted any more
		case err != nil:
			return err
		default:
			if err := s.usedAt(ctx, t, needed, seen.LastSeen); err != nil {
				return err
			}
		}
	}
	return nil
}

// onwards goes on with a line, of which it is given the first item, by what took
// the place of each; n counts them.
const onwards = ` UNION SELECT i.replaced_by, n + 1 FROM line JOIN items i ON i.id = line.id WHERE i.replaced_by IS NOT NULL)`

// neededCA finds, of a CA's certificate and those that took its place, the last one
// with its key, if that is superseded: each of them vouches for what the others
// signed, so that whoever was let in by any of them needs that one.
const neededCA = `WITH RECURSIVE line(id, n) AS (SELECT id, 0 FROM items WHERE fingerprint = ? AND kind = 'ca'` + onwards + `
	SELECT id FROM (SELECT i.id, i.watch FROM line JOIN items i ON i.id = line.id
		WHERE i.trust = 'trusted' AND i.spki_hash = (SELECT f.spki_hash FROM line JOIN items f ON f.id = line.id WHERE line.n = 0)
		ORDER BY line.n DESC LIMIT 1)
	WHERE watch = 'superseded'`

// usedAt notes that an item was in use at an instant, if it was superseded and
// should not be.
func (s *Store) usedAt(ctx context.Context, t *tx, itemID string, at time.Time) error {
	item, err := t.item(ctx, itemID)
	if err != nil || item.Watch != alert.Superseded || item.Trust != alert.Trusted {
		return err
	}
	if item.UsedAt != nil {
		_, err := t.exec(ctx, `UPDATE items SET used_at = MAX(used_at, ?) WHERE id = ?`, at.UnixMilli(), itemID)
		return err
	}
	var superseded int64
	if err := t.row(ctx, `SELECT superseded_at FROM items WHERE id = ?`, itemID).Scan(&superseded); err != nil {
		return err
	}
	if !item.OutOfUse(fromMillis(superseded), at) {
		return nil
	}
	if _, err := t.exec(ctx, `UPDATE items SET used_at = ?, epoch = ?, next_due_at = 0 WHERE id = ?`, at.UnixMilli(), item.Epoch+1, itemID); err != nil {
		return err
	}
	if err := t.takeBackEnd(ctx, itemID, item.Epoch+1); err != nil {
		return err
	}
	return s.auditUse(ctx, t, itemID, "item.in_use", inventory.Actor{Kind: inventory.ActorSystem, ID: "sightings"}, true)
}

// unused selects items i that were in use until an instant: a span before now or,
// since nobody presents what has ended, before their end.
const unused = `(i.used_at IS NOT NULL AND i.used_at < ? AND i.used_at < i.not_after - ?)`

// unusedArgs are the arguments of unused at an instant.
func unusedArgs(now time.Time) []any {
	return []any{now.Add(-alert.UsedWithin).UnixMilli(), alert.UsedWithin.Milliseconds()}
}

// retireUnused ends the watch of what was superseded and is in use no more.
func (s *Store) retireUnused(ctx context.Context, t *tx, now time.Time) error {
	items, err := t.items(ctx, `WHERE `+unused+` ORDER BY i.id`, unusedArgs(now)...)
	if err != nil {
		return err
	}
	for _, item := range items {
		if _, err := t.exec(ctx, `UPDATE items SET used_at = NULL, next_due_at = NULL WHERE id = ?`, item.ID); err != nil {
			return err
		}
		if err := t.cancelDeliveries(ctx, item.ID, s.now()); err != nil {
			return err
		}
		if err := t.end(ctx, item.ID, item.Epoch, alert.EventRenewed, s.now()); err != nil {
			return err
		}
		if err := s.auditUse(ctx, t, item.ID, "item.unused", scanActor, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) auditUse(ctx context.Context, t *tx, itemID, action string, actor inventory.Actor, used bool) error {
	return t.audit(ctx, s.now(), actor, change{
		action: action, object: "item:" + itemID,
		before: map[string]any{"in_use": !used}, after: map[string]any{"in_use": used},
	})
}

// addReplacement adds what has taken the place of an item that is in use all the
// same: the last of its line.
func (t *tx) addReplacement(ctx context.Context, facts *alert.Facts, item alert.Item) error {
	if item.UsedAt == nil {
		return nil
	}
	items, err := t.items(ctx, `WHERE i.id = (WITH RECURSIVE line(id, n) AS (SELECT ?, 0`+onwards+`
		SELECT id FROM line ORDER BY n DESC LIMIT 1)`, item.ID)
	if err != nil || len(items) == 0 || items[0].ID == item.ID {
		return err
	}
	facts.Replacement = &items[0]
	return nil
}
