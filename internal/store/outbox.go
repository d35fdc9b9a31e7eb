package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// waiting selects deliveries d of a channel that may be leased at an instant:
// those that are due, and those whose lease has run out. The states are those
// of the partial indexes deliveries_waiting and deliveries_leased.
const waiting = `WHERE d.channel = ? AND (d.state IN ('pending', 'retrying') AND d.next_attempt_at <= ?
	OR d.state = 'sending' AND d.lease_until <= ?)`

// Claim leases up to n deliveries of a channel that are due at now, oldest
// first, until the given time. It drops alerts that hold no longer, and cancels
// deliveries that are left with none. While the channel fails, it leases
// nothing before RetryAt, and one delivery at a time after it.
func (s *Store) Claim(ctx context.Context, owner, channel string, now, until time.Time, n int) ([]alert.Job, error) {
	var jobs []alert.Job
	err := s.write(ctx, "leasing deliveries", func(t *tx) error {
		n, err := t.room(ctx, channel, now, n)
		if err != nil {
			return err
		}
		for len(jobs) < n {
			// Every round leases, cancels or loses each row that it found, so
			// none is found twice.
			due, err := t.deliveries(ctx, waiting+` ORDER BY d.created_at, d.id LIMIT ?`,
				channel, now.UnixMilli(), now.UnixMilli(), n-len(jobs))
			if err != nil || len(due) == 0 {
				return err
			}
			for _, d := range due {
				job, leased, err := t.lease(ctx, d, owner, now, until)
				if err != nil {
					return err
				}
				if leased {
					jobs = append(jobs, job)
				}
			}
		}
		return nil
	})
	return jobs, err
}

// room returns how many deliveries of a channel may be leased now.
func (t *tx) room(ctx context.Context, channel string, now time.Time, n int) (int, error) {
	status, err := t.channel(ctx, channel)
	if err != nil || !status.Failing {
		return n, err
	}
	if now.Before(status.RetryAt) {
		return 0, nil
	}
	var probing bool
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE channel = ? AND state = 'sending' AND lease_until > ?)`,
		channel, now.UnixMilli()).Scan(&probing)
	if probing {
		return 0, err
	}
	return min(n, 1), err
}

// lease takes one delivery by compare-and-swap, or cancels it when nothing
// that it tells still holds.
func (t *tx) lease(ctx context.Context, d alert.Delivery, owner string, now, until time.Time) (job alert.Job, leased bool, err error) {
	if d.State == alert.StateSending { // whoever held it before is not heard of: it may have gone
		if err := t.heard(ctx, d.ID); err != nil {
			return job, false, err
		}
	}
	if err := t.dropStale(ctx, d.ID); err != nil {
		return job, false, err
	}
	entries, err := t.entries(ctx, d.ID, 0)
	if err != nil {
		return job, false, err
	}
	if len(entries) == 0 {
		return job, false, t.cancelEmpty(ctx, d.ID, now)
	}
	changed, err := t.exec(ctx, `UPDATE deliveries SET state = 'sending', lease_owner = ?, lease_until = ?
		WHERE id = ? AND state = ? AND (state <> 'sending' OR lease_until <= ?)`,
		owner, until.UnixMilli(), d.ID, d.State, now.UnixMilli())
	d.State = alert.StateSending
	return alert.Job{Delivery: d, Entries: entries}, changed == 1, err
}

// dropStale drops what an item's alerts told once the item is no longer
// watched, trusted and of the same epoch, and that its watch ended once it is
// watched again. A revocation list always is, by its next issue. That it was
// ignored is told all the same: whoever heard is told of the next epoch too.
func (t *tx) dropStale(ctx context.Context, deliveryID string) error {
	_, err := t.exec(ctx, `UPDATE delivery_alerts SET dropped = 1 WHERE delivery_id = ? AND dropped = 0 AND alert_id IN (
		SELECT a.id FROM delivery_alerts da JOIN alerts a ON a.id = da.alert_id JOIN items i ON i.id = a.item_id
		WHERE da.delivery_id = ? AND (a.event = 'expiring' AND (NOT `+watched+` OR i.trust <> 'trusted' OR i.epoch <> a.epoch)
			OR a.event IN `+takenBack+` AND i.kind <> 'crl' AND `+watched+` AND i.trust = 'trusted'))`,
		deliveryID, deliveryID)
	return err
}

// entries returns what a delivery still tells, most urgent first, and at most
// limit of it; a limit of 0 means none.
func (t *tx) entries(ctx context.Context, deliveryID string, limit int) ([]alert.Entry, error) {
	alerts, err := t.alerts(ctx, `JOIN delivery_alerts da ON da.alert_id = a.id LEFT JOIN items i ON i.id = a.item_id
		WHERE da.delivery_id = ? AND da.dropped = 0 ORDER BY i.not_after, a.id LIMIT ?`, deliveryID, rowLimit(limit))
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(alerts))
	for _, a := range alerts {
		if a.ItemID != "" {
			ids = append(ids, a.ItemID)
		}
	}
	items, err := t.itemsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	entries := make([]alert.Entry, len(alerts))
	for i, a := range alerts {
		entries[i].Alert = a
		if item, ok := items[a.ItemID]; ok {
			entries[i].Item = &item
		}
	}
	return entries, t.addSuccessors(ctx, entries)
}

// addSuccessors adds what took the place of renewed items.
func (t *tx) addSuccessors(ctx context.Context, entries []alert.Entry) error {
	var ids []string
	for _, e := range entries {
		if e.Alert.Event == alert.EventRenewed && e.Item != nil && e.Item.ReplacedBy != "" {
			ids = append(ids, e.Item.ReplacedBy)
		}
	}
	items, err := t.itemsByID(ctx, ids)
	for i, e := range entries {
		if e.Item == nil {
			continue
		}
		if next, ok := items[e.Item.ReplacedBy]; ok && e.Alert.Event == alert.EventRenewed {
			entries[i].Successor = &next
		}
	}
	return err
}

// NextAttempt returns when the channel next has something to do, zero if
// nothing is waiting: the end of a lease counts, since it may have to be taken
// over.
func (s *Store) NextAttempt(ctx context.Context, channel string) (time.Time, error) {
	var next time.Time
	err := s.read(ctx, "looking for the next delivery", func(t *tx) error {
		var due, leased sql.NullInt64
		if err := t.row(ctx, `SELECT
			(SELECT MIN(next_attempt_at) FROM deliveries WHERE channel = ? AND state IN ('pending', 'retrying')),
			(SELECT MIN(lease_until) FROM deliveries WHERE channel = ? AND state = 'sending')`,
			channel, channel).Scan(&due, &leased); err != nil {
			return err
		}
		status, err := t.channel(ctx, channel)
		next = nextAttempt(fromNull(due), fromNull(leased), status)
		return err
	})
	return next, err
}

func nextAttempt(due, leased time.Time, status alert.ChannelStatus) time.Time {
	next := due
	switch {
	case due.IsZero(), !leased.IsZero() && (leased.Before(due) || status.Failing):
		// While a channel fails, one attempt is under way at most.
		next = leased
	}
	if status.Failing && !next.IsZero() && next.Before(status.RetryAt) {
		next = status.RetryAt
	}
	return next
}

// Recover makes every delivery that is being sent pending again. It is for the
// start of a daemon that holds the lock of its file: whoever had leased them is
// gone. Their recipients may have heard.
func (s *Store) Recover(ctx context.Context) error {
	return s.write(ctx, "recovering deliveries", func(t *tx) error {
		ids, err := collect(ctx, t, scanText, `SELECT id FROM deliveries WHERE state = 'sending'`)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := t.heard(ctx, id); err != nil {
				return err
			}
		}
		_, err = t.exec(ctx, `UPDATE deliveries SET state = 'pending', lease_owner = NULL, lease_until = NULL WHERE state = 'sending'`)
		return err
	})
}

// alerts returns the alerts of a query over alerts a.
func (t *tx) alerts(ctx context.Context, clause string, args ...any) ([]alert.Alert, error) {
	return collect(ctx, t, scanAlert, `SELECT a.id, a.subject, a.item_id, a.epoch, a.rule, a.threshold_ns, a.event, a.covered, a.detail, a.created_at,
		(SELECT c.began FROM continuations c WHERE c.item_id = a.item_id AND c.epoch = a.epoch)
		FROM alerts a `+clause, args...)
}

func scanAlert(row scanner) (a alert.Alert, err error) {
	var (
		item    sql.NullString
		created int64
		began   sql.NullInt64
	)
	err = row.Scan(&a.ID, &a.Subject, &item, &a.Epoch, &a.Rule, &a.Threshold, &a.Event, &a.Covered, &a.Detail, &created, &began)
	a.ItemID, a.CreatedAt, a.Began = item.String, fromMillis(created), int(began.Int64)
	return a, err
}

// deliveries returns the deliveries of a query over deliveries d.
func (t *tx) deliveries(ctx context.Context, clause string, args ...any) ([]alert.Delivery, error) {
	list, err := collect(ctx, t, scanDelivery, `SELECT d.id, d.channel, d.recipient, d.rule, d.state, d.attempts, d.next_attempt_at,
		d.last_error, d.created_at, d.settled_at FROM deliveries d `+clause, args...)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*alert.Delivery, len(list))
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
		byID[ids[i]] = &list[i]
	}
	err = inChunks(ids, func(in string, args []any) error {
		return t.eachPair(ctx, func(id, alertID string) { byID[id].AlertIDs = append(byID[id].AlertIDs, alertID) },
			`SELECT delivery_id, alert_id FROM delivery_alerts WHERE delivery_id IN `+in+` ORDER BY delivery_id, alert_id`, args)
	})
	if err != nil {
		return nil, fmt.Errorf("reading what deliveries tell: %w", err)
	}
	return list, nil
}

func scanDelivery(row scanner) (d alert.Delivery, err error) {
	var (
		next, created int64
		settled       sql.NullInt64
	)
	err = row.Scan(&d.ID, &d.Channel, &d.Recipient, &d.Rule, &d.State, &d.Attempts, &next, &d.LastError, &created, &settled)
	d.NextAttemptAt, d.CreatedAt, d.SettledAt = fromMillis(next), fromMillis(created), optional(settled)
	d.AlertIDs = []string{}
	return d, err
}
