package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// RetryDelivery makes a delivery that is dead or waiting due now, with the
// whole schedule of retries before it again. Where its channel fails, it may
// be the one that probes it.
func (s *Store) RetryDelivery(ctx context.Context, ref string, now time.Time, actor inventory.Actor) error {
	return s.write(ctx, "retrying a delivery", func(t *tx) error {
		d, err := t.delivery(ctx, ref)
		if err != nil {
			return err
		}
		n, err := t.retry(ctx, conditions{}.and(`id = ?`, d.ID), now)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "not_retriable", "delivery %s is %s", d.ID, d.State).
				WithHint("only one that is dead or waiting can be retried")
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "delivery.retry", object: "delivery:" + d.ID,
			before: map[string]any{"state": d.State}, after: map[string]any{"state": alert.StatePending},
		})
	})
}

// RetryDeliveries does the same to every delivery that the filter selects and
// that is dead or waiting, and returns how many those are. The limit is not
// looked at.
func (s *Store) RetryDeliveries(ctx context.Context, f DeliveryFilter, now time.Time, actor inventory.Actor) (n int64, err error) {
	err = s.write(ctx, "retrying deliveries", func(t *tx) error {
		if n, err = t.retry(ctx, f.conditions(), now); err != nil || n == 0 {
			return err
		}
		return t.audit(ctx, s.now(), actor, f.change("delivery.retry", n, alert.StatePending))
	})
	return n, err
}

// retry makes what the conditions select due now.
func (t *tx) retry(ctx context.Context, c conditions, now time.Time) (int64, error) {
	where, args := c.also(`state IN ('dead', 'retrying', 'pending')`).clause()
	if _, err := t.exec(ctx, `UPDATE channel_states SET retry_at = ? WHERE failing = 1 AND retry_at > ?
		AND channel IN (SELECT channel FROM deliveries `+where+`)`,
		append([]any{now.UnixMilli(), now.UnixMilli()}, args...)...); err != nil {
		return 0, err
	}
	return t.exec(ctx, `UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_at = ?, settled_at = NULL `+where,
		append([]any{now.UnixMilli()}, args...)...)
}

// CancelDelivery settles a delivery that waits, as one that is not to be sent.
// One that is being sent is a fault.Conflict.
func (s *Store) CancelDelivery(ctx context.Context, ref string, actor inventory.Actor) error {
	return s.write(ctx, "cancelling a delivery", func(t *tx) error {
		d, err := t.delivery(ctx, ref)
		if err != nil {
			return err
		}
		n, err := t.cancel(ctx, conditions{}.and(`id = ?`, d.ID), s.now())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "not_waiting", "delivery %s is %s", d.ID, d.State).
				WithHint("only one that waits can be cancelled")
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "delivery.cancel", object: "delivery:" + d.ID,
			before: map[string]any{"state": d.State}, after: map[string]any{"state": alert.StateCancelled},
		})
	})
}

// CancelDeliveries does the same to every delivery that the filter selects and
// that waits, and returns how many those are. The limit is not looked at.
func (s *Store) CancelDeliveries(ctx context.Context, f DeliveryFilter, actor inventory.Actor) (n int64, err error) {
	err = s.write(ctx, "cancelling deliveries", func(t *tx) error {
		if n, err = t.cancel(ctx, f.conditions(), s.now()); err != nil || n == 0 {
			return err
		}
		return t.audit(ctx, s.now(), actor, f.change("delivery.cancel", n, alert.StateCancelled))
	})
	return n, err
}

func (t *tx) cancel(ctx context.Context, c conditions, now time.Time) (int64, error) {
	where, args := c.also(`state IN ('retrying', 'pending')`).clause()
	return t.exec(ctx, `UPDATE deliveries SET state = 'cancelled', settled_at = ? `+where, append([]any{now.UnixMilli()}, args...)...)
}

// conditions are those of the filter, over deliveries.
func (f DeliveryFilter) conditions() conditions {
	return conditions{}.and(`state = ?`, string(f.State)).and(`channel = ?`, f.Channel)
}

// change is the audit row of an act on all that the filter selects.
func (f DeliveryFilter) change(action string, n int64, after alert.DeliveryState) change {
	before := map[string]any{}
	if f.State != "" {
		before["state"] = f.State
	}
	if f.Channel != "" {
		before["channel"] = f.Channel
	}
	return change{action: action, object: "deliveries", before: before, after: map[string]any{"state": after, "deliveries": n}}
}
