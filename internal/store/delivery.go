package store

import (
	"context"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A DeliveryFilter selects deliveries; zero fields do not filter.
type DeliveryFilter struct {
	State   alert.DeliveryState
	Channel string
	Limit   int // at most so many
}

// Alerts returns alerts, newest first. A limit of 0 or less means no limit.
func (s *Store) Alerts(ctx context.Context, limit int) ([]alert.Alert, error) {
	var alerts []alert.Alert
	err := s.read(ctx, "listing alerts", func(t *tx) (err error) {
		alerts, err = t.alerts(ctx, `ORDER BY a.created_at DESC, a.id LIMIT ?`, rowLimit(limit))
		return err
	})
	return alerts, err
}

// Deliveries returns the deliveries that the filter selects, newest first.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]alert.Delivery, error) {
	where, args := conditions{}.and(`d.state = ?`, string(f.State)).and(`d.channel = ?`, f.Channel).clause()
	var deliveries []alert.Delivery
	err := s.read(ctx, "listing deliveries", func(t *tx) (err error) {
		deliveries, err = t.deliveries(ctx, where+` ORDER BY d.created_at DESC, d.id LIMIT ?`, append(args, rowLimit(f.Limit))...)
		return err
	})
	return deliveries, err
}

// Delivery returns the delivery that an id or a unique prefix of at least 6
// digits names, with its attempts, oldest first.
func (s *Store) Delivery(ctx context.Context, ref string) (d alert.Delivery, attempts []alert.Attempt, err error) {
	err = s.read(ctx, "looking up a delivery", func(t *tx) error {
		if d, err = t.delivery(ctx, ref); err != nil {
			return err
		}
		attempts, err = collect(ctx, t, scanAttempt, `SELECT at, outcome, error FROM attempts WHERE delivery_id = ? ORDER BY id`, d.ID)
		return err
	})
	return d, attempts, err
}

func scanAttempt(row scanner) (a alert.Attempt, err error) {
	var at int64
	err = row.Scan(&at, &a.Outcome, &a.Error)
	a.At = fromMillis(at)
	return a, err
}

func (t *tx) delivery(ctx context.Context, ref string) (alert.Delivery, error) {
	var found []alert.Delivery
	if from, to, ok := prefixRange(strings.ToLower(strings.TrimSpace(ref))); ok {
		var err error
		if found, err = t.deliveries(ctx, `WHERE d.id >= ? AND d.id < ? ORDER BY d.id LIMIT 2`, from, to); err != nil {
			return alert.Delivery{}, err
		}
	}
	switch len(found) {
	case 0:
		return alert.Delivery{}, fault.New(fault.NotFound, "no_delivery", "there is no delivery %q", ref).
			WithHint("name it by its id or by %d or more first digits of it; `certvigil delivery list` shows them", shortestPrefix)
	case 1:
		return found[0], nil
	}
	return alert.Delivery{}, fault.New(fault.Conflict, "ambiguous", "%q names more than one delivery", ref).
		WithHint("give more digits")
}

// RetryDelivery makes a delivery that is dead or waiting due now, with the
// whole schedule of retries before it again. Where its channel fails, it may
// be the one that probes it.
func (s *Store) RetryDelivery(ctx context.Context, ref string, now time.Time, actor inventory.Actor) error {
	return s.write(ctx, "retrying a delivery", func(t *tx) error {
		d, err := t.delivery(ctx, ref)
		if err != nil {
			return err
		}
		switch d.State {
		case alert.StateDead, alert.StateRetrying, alert.StatePending:
		default:
			return fault.New(fault.Conflict, "not_retriable", "delivery %s is %s", d.ID, d.State).
				WithHint("only one that is dead or waiting can be retried")
		}
		if _, err := t.exec(ctx, `UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_at = ?, settled_at = NULL WHERE id = ?`,
			now.UnixMilli(), d.ID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE channel_states SET retry_at = ? WHERE channel = ? AND failing = 1 AND retry_at > ?`,
			now.UnixMilli(), d.Channel, now.UnixMilli()); err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "delivery.retry", object: "delivery:" + d.ID,
			before: map[string]any{"state": d.State}, after: map[string]any{"state": alert.StatePending},
		})
	})
}

// Waiting returns how many deliveries of each channel are not settled, of those
// channels alone that have any.
func (s *Store) Waiting(ctx context.Context) (map[string]int, error) {
	counts := map[string]int{}
	err := s.read(ctx, "counting what waits", func(t *tx) error {
		_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
			var (
				channel string
				n       int
			)
			if err = row.Scan(&channel, &n); err == nil {
				counts[channel] += n
			}
			return
		}, `SELECT channel, COUNT(*) FROM deliveries WHERE state IN ('pending', 'retrying') GROUP BY channel
			UNION ALL SELECT channel, COUNT(*) FROM deliveries WHERE state = 'sending' GROUP BY channel`)
		return err
	})
	return counts, err
}

// DeliveryCounts returns how many deliveries stand in each state.
func (s *Store) DeliveryCounts(ctx context.Context) (map[alert.DeliveryState]int, error) {
	counts := map[alert.DeliveryState]int{
		alert.StatePending: 0, alert.StateSending: 0, alert.StateRetrying: 0,
		alert.StateSent: 0, alert.StateDead: 0, alert.StateCancelled: 0,
	}
	err := s.read(ctx, "counting deliveries", func(t *tx) error {
		_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
			var (
				state alert.DeliveryState
				n     int
			)
			if err = row.Scan(&state, &n); err == nil {
				counts[state] = n
			}
			return
		}, `SELECT state, COUNT(*) FROM deliveries GROUP BY state`)
		return err
	})
	return counts, err
}
