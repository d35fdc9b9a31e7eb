package store

import (
	"context"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
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
	where, args := f.conditions().clause()
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

// A Backlog is what of a channel is not settled.
type Backlog struct {
	Count  int
	Oldest time.Time // when the oldest of it was created
}

// Waiting returns the backlog of each channel, of those channels alone that
// have any.
func (s *Store) Waiting(ctx context.Context) (map[string]Backlog, error) {
	backlogs := map[string]Backlog{}
	err := s.read(ctx, "counting what waits", func(t *tx) error {
		_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
			var (
				channel string
				b       Backlog
				oldest  int64
			)
			if err = row.Scan(&channel, &b.Count, &oldest); err == nil {
				b.Oldest = fromMillis(oldest)
				backlogs[channel] = b
			}
			return
		}, `SELECT channel, COUNT(*), MIN(created_at) FROM (
				SELECT channel, created_at FROM deliveries WHERE state IN ('pending', 'retrying')
				UNION ALL SELECT channel, created_at FROM deliveries WHERE state = 'sending')
			GROUP BY channel`)
		return err
	})
	return backlogs, err
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
