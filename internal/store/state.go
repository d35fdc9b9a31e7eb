package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// SetTrust changes an item's trust. Removing it ends its watch; trusting it
// again starts a new epoch; a revoked or removed item has its deliveries that
// are not settled cancelled.
func (s *Store) SetTrust(ctx context.Context, itemID string, trust alert.Trust, actor inventory.Actor) error {
	switch trust {
	case alert.Trusted, alert.Revoked, alert.Removed:
	default:
		return fault.New(fault.Invalid, "trust", "there is no trust %q", trust)
	}
	return s.write(ctx, "changing an item's trust", func(t *tx) error {
		item, err := t.item(ctx, itemID)
		if err != nil || item.Trust == trust {
			return err
		}
		if trust == alert.Trusted {
			if err := t.refuseRevokedKey(ctx, item); err != nil {
				return err
			}
		}
		watch := item.Watch
		switch {
		case trust == alert.Removed && watch != alert.Superseded:
			watch = alert.Ignored
		case trust == alert.Trusted && item.Trust == alert.Removed:
			watch = alert.Active
		}
		return s.transition(ctx, t, item, trust, watch, actor, "item.trust")
	})
}

// refuseRevokedKey keeps one certificate from being trusted while every
// certificate with its key is denied.
func (t *tx) refuseRevokedKey(ctx context.Context, item alert.Item) error {
	revoked, err := t.itemKeyRevoked(ctx, item.ID)
	if err != nil || !revoked {
		return err
	}
	return fault.New(fault.Conflict, "key_revoked", "the key of %s (%s) is revoked", item.Fingerprint, item.Subject).
		WithHint("take that back for every certificate with that key: `certvigil cert unrevoke --key %s`", item.ID)
}

// SetWatch changes what alerting does with an item. Becoming active starts a
// new epoch; what is not valid yet becomes pending instead. Leaving active
// cancels the deliveries that are not settled.
func (s *Store) SetWatch(ctx context.Context, itemID string, watch alert.Watch, actor inventory.Actor) error {
	switch watch {
	case alert.Active, alert.Pending, alert.Superseded, alert.Ignored:
	default:
		return fault.New(fault.Invalid, "watch", "there is no watch %q", watch)
	}
	return s.write(ctx, "changing an item's watch", func(t *tx) error {
		item, err := t.item(ctx, itemID)
		if err != nil {
			return err
		}
		return s.transition(ctx, t, item, item.Trust, watch, actor, "item.watch")
	})
}

// live reports whether alerting speaks of an item.
func live(trust alert.Trust, watch alert.Watch) bool {
	return trust == alert.Trusted && watch == alert.Active
}

// isLive reports whether alerting speaks of an item as it is.
func isLive(item alert.Item) bool { return item.Trust == alert.Trusted && item.Watched() }

// transition moves an item to another trust and watch with all that follows:
// the epoch, when it is due, its deliveries, the renewals that wait for it,
// the trust generation and the audit row. It does nothing when nothing changes.
func (s *Store) transition(ctx context.Context, t *tx, item alert.Item, trust alert.Trust, watch alert.Watch, actor inventory.Actor, action string) error {
	now := s.now()
	if watch == alert.Active && item.NotBefore.After(now) {
		watch = alert.Pending
	}
	if item.Trust == trust && item.Watch == watch {
		return nil
	}
	if err := t.moveItem(ctx, item, trust, watch, now); err != nil {
		return err
	}
	if !live(trust, watch) {
		if err := t.cancelDeliveries(ctx, item.ID, now); err != nil {
			return err
		}
	}
	if isLive(item) && !live(trust, watch) {
		if err := t.end(ctx, item.ID, item.Epoch, endOf(trust, watch), now); err != nil {
			return err
		}
	}
	if item.Trust != trust {
		if err := t.bumpGeneration(ctx); err != nil {
			return err
		}
	}
	if err := t.audit(ctx, now, actor, change{
		action: action, object: "item:" + item.ID,
		before: map[string]any{"trust": item.Trust, "watch": item.Watch},
		after:  map[string]any{"trust": trust, "watch": watch},
	}); err != nil {
		return err
	}
	if item.Trust == alert.Trusted && trust != alert.Trusted && item.Watch != alert.Superseded {
		if err := s.standDown(ctx, t, item.ID, item.ID, actor); err != nil {
			return err
		}
	}
	switch {
	case live(trust, watch):
		return s.takeOver(ctx, t, item.ID, actor)
	case watch == alert.Ignored || trust == alert.Removed: // it will take no one's place
		_, err := t.exec(ctx, `DELETE FROM successions WHERE new_item_id = ?`, item.ID)
		return err
	}
	return nil
}

func (t *tx) moveItem(ctx context.Context, item alert.Item, trust alert.Trust, watch alert.Watch, now time.Time) error {
	begins := live(trust, watch) && !isLive(item)
	epoch, due := item.Epoch, sql.NullInt64{}
	if begins || watch == alert.Active && !item.Watched() {
		epoch++
	}
	switch {
	case begins:
		due.Valid = true // at 0: the next scan looks at it
	case live(trust, watch) && item.NextDueAt != nil:
		due = millis(*item.NextDueAt)
	}
	replaced, superseded := nullText(item.ReplacedBy), millis(now)
	if watch != alert.Superseded {
		replaced, superseded = sql.NullString{}, sql.NullInt64{}
	}
	_, err := t.exec(ctx, `UPDATE items SET trust = ?, watch = ?, epoch = ?, next_due_at = ?, replaced_by = ?, used_at = NULL,
			superseded_at = CASE WHEN ? IS NOT NULL THEN COALESCE(superseded_at, ?) END WHERE id = ?`,
		trust, watch, epoch, due, replaced, superseded, superseded, item.ID)
	if err != nil || !begins {
		return err
	}
	return t.takeBackEnd(ctx, item.ID, epoch)
}

// takeOver supersedes every item that waited for this one to be valid,
// including those that waited for an item that it supersedes.
func (s *Store) takeOver(ctx context.Context, t *tx, newID string, actor inventory.Actor) error {
	for {
		var oldID string
		err := t.row(ctx, `SELECT old_item_id FROM successions WHERE new_item_id = ? ORDER BY old_item_id LIMIT 1`, newID).Scan(&oldID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM successions WHERE new_item_id = ? AND old_item_id = ?`, newID, oldID); err != nil {
			return err
		}
		if err := s.supersede(ctx, t, oldID, newID, actor, "item.supersede"); err != nil {
			return err
		}
	}
}

// supersede puts newID, which is active, in the place of an item.
func (s *Store) supersede(ctx context.Context, t *tx, oldID, newID string, actor inventory.Actor, action string) error {
	old, err := t.item(ctx, oldID)
	if err != nil || old.Watch == alert.Superseded || old.ID == newID {
		return err
	}
	if err := s.transition(ctx, t, old, old.Trust, alert.Superseded, actor, action); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE items SET replaced_by = ? WHERE id = ?`, newID, oldID); err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO successions (new_item_id, old_item_id, created_at)
		SELECT ?, old_item_id, created_at FROM successions WHERE new_item_id = ? AND old_item_id <> ?
		ON CONFLICT DO NOTHING`, newID, oldID, newID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `DELETE FROM successions WHERE new_item_id = ?`, oldID)
	return err
}

// standDown returns to active what an item had superseded that is trusted no
// longer: it is what is in use again, and nothing else would speak of its end.
// Should the item be trusted again, it takes their place again. goneID is the
// item, or one before it in its line that is not trusted either.
func (s *Store) standDown(ctx context.Context, t *tx, newID, goneID string, actor inventory.Actor) error {
	olds, err := t.items(ctx, `WHERE i.replaced_by = ? AND i.watch = 'superseded' ORDER BY i.id`, goneID)
	if err != nil {
		return err
	}
	for _, old := range olds {
		if old.Trust != alert.Trusted {
			if err := s.standDown(ctx, t, newID, old.ID, actor); err != nil {
				return err
			}
			continue
		}
		if err := s.transition(ctx, t, old, old.Trust, alert.Active, actor, "item.resume"); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO successions (new_item_id, old_item_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			newID, old.ID, s.now().UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// cancelDeliveries drops an item's alerts from messages that have not gone
// out, and cancels messages that are left with none. One that is being sent
// right now is left alone: what became of it decides.
func (t *tx) cancelDeliveries(ctx context.Context, itemID string, now time.Time) error {
	ids, err := collect(ctx, t, scanText, `SELECT DISTINCT d.id FROM alerts a
		JOIN delivery_alerts da ON da.alert_id = a.id JOIN deliveries d ON d.id = da.delivery_id
		WHERE a.item_id = ? AND a.event = 'expiring' AND d.state IN ('pending', 'retrying')`, itemID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := t.exec(ctx, `UPDATE delivery_alerts SET dropped = 1 WHERE delivery_id = ?
			AND alert_id IN (SELECT id FROM alerts WHERE item_id = ? AND event = 'expiring')`, id, itemID); err != nil {
			return err
		}
		if err := t.cancelEmpty(ctx, id, now); err != nil {
			return err
		}
	}
	return nil
}

// cancelEmpty cancels a delivery all of whose alerts were dropped.
func (t *tx) cancelEmpty(ctx context.Context, deliveryID string, now time.Time) error {
	_, err := t.exec(ctx, `UPDATE deliveries SET state = 'cancelled', settled_at = ?, lease_owner = NULL, lease_until = NULL
		WHERE id = ? AND NOT EXISTS (SELECT 1 FROM delivery_alerts WHERE delivery_id = deliveries.id AND dropped = 0)`,
		now.UnixMilli(), deliveryID)
	return err
}
