package store

import (
	"context"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// writePlan writes what a scan decided.
func (t *tx) writePlan(ctx context.Context, candidates []alert.Candidate, plan alert.Plan) error {
	for _, a := range plan.Alerts {
		if err := t.insertAlert(ctx, a); err != nil {
			return fmt.Errorf("recording an alert: %w", err)
		}
	}
	for _, d := range plan.Deliveries {
		if err := t.insertDelivery(ctx, d); err != nil {
			return fmt.Errorf("recording a delivery: %w", err)
		}
	}
	for _, mark := range plan.Told {
		if err := t.insertTold(ctx, mark); err != nil {
			return fmt.Errorf("recording who is told: %w", err)
		}
	}
	for _, c := range candidates {
		if c.Ended != nil {
			if err := t.ended(ctx, c); err != nil {
				return err
			}
			continue
		}
		next, ok := plan.Next[c.Item.ID]
		if !ok {
			// Guessing "never" would silence the item for good.
			return fmt.Errorf("the plan does not say when item %s is due again", c.Item.ID)
		}
		if err := t.setNext(ctx, c.Item.ID, next); err != nil {
			return err
		}
	}
	return t.scheduledBy(ctx, plan.Rules)
}

func (t *tx) setNext(ctx context.Context, itemID string, next time.Time) error {
	_, err := t.exec(ctx, `UPDATE items SET next_due_at = ? WHERE id = ?`, millis(next), itemID)
	return err
}

func (t *tx) insertAlert(ctx context.Context, a alert.Alert) error {
	_, err := t.exec(ctx, `INSERT INTO alerts (id, subject, item_id, epoch, rule, threshold_ns, event, covered, detail, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.ID, a.Subject, nullText(a.ItemID), a.Epoch, a.Rule, int64(a.Threshold), a.Event, flag(a.Covered), a.Detail, a.CreatedAt.UnixMilli())
	return err
}

// insertDelivery writes a delivery with its alerts, all or, when it is known,
// nothing.
func (t *tx) insertDelivery(ctx context.Context, d alert.Delivery) error {
	inserted, err := t.exec(ctx, `INSERT INTO deliveries (id, channel, recipient, rule, state, attempts, next_attempt_at, last_error, created_at)
		VALUES (?, ?, ?, ?, 'pending', 0, ?, '', ?) ON CONFLICT DO NOTHING`,
		d.ID, d.Channel, d.Recipient, d.Rule, d.NextAttemptAt.UnixMilli(), d.CreatedAt.UnixMilli())
	if err != nil || inserted == 0 {
		return err
	}
	for _, id := range d.AlertIDs {
		if _, err := t.exec(ctx, `INSERT INTO delivery_alerts (delivery_id, alert_id) VALUES (?, ?)`, d.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// insertTold keeps the tightest threshold.
func (t *tx) insertTold(ctx context.Context, m alert.ToldMark) error {
	_, err := t.exec(ctx, `INSERT INTO told (item_id, epoch, channel, recipient, threshold_ns, rule) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (item_id, epoch, channel, recipient) DO UPDATE SET threshold_ns = excluded.threshold_ns, rule = excluded.rule
		WHERE excluded.threshold_ns < told.threshold_ns`, m.ItemID, m.Epoch, m.Channel, m.Recipient, int64(m.Threshold), m.Rule)
	return err
}

// flag is how a truth value is stored.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
