package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// When the end of a watch is told: after a moment in which other acts may join
// the message, and much later when the same item's last end was told lately, so
// that what goes back and forth is told once and not each time.
const (
	gatherEndings = time.Minute
	alongEndings  = gatherEndings / 2 // what is due so soon goes along
	flapHold      = time.Hour
	flapWithin    = 24 * time.Hour
)

// takenBack are the events of ends that are dropped when the item is watched again
// before they were sent.
const takenBack = `('renewed', 'revoked', 'removed')`

// dueEndings selects endings e that are to be told now. One whose expiry is just
// being told of waits for what becomes of that message.
const dueEndings = `WHERE e.due_at <= ? AND NOT EXISTS (SELECT 1 FROM alerts a JOIN delivery_alerts da ON da.alert_id = a.id
	JOIN deliveries d ON d.id = da.delivery_id WHERE a.item_id = e.item_id AND a.epoch = e.epoch AND a.event = 'expiring' AND d.state = 'sending')`

// endOf names the end that moving to a trust and watch puts to alerting, ""
// when it is nobody's news.
func endOf(trust alert.Trust, watch alert.Watch) alert.Event {
	switch {
	case trust == alert.Removed:
		return alert.EventRemoved
	case trust == alert.Revoked:
		return alert.EventRevoked
	case watch == alert.Superseded:
		return alert.EventRenewed
	case watch == alert.Ignored:
		return alert.EventIgnored
	}
	return ""
}

// end records that the watch of an item's epoch has ended, when somebody was,
// or is being, told of its expiry.
func (t *tx) end(ctx context.Context, itemID string, epoch int, event alert.Event, now time.Time) error {
	var told, flaps bool
	if err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM told WHERE item_id = ? AND epoch = ?),
			EXISTS (SELECT 1 FROM alerts WHERE item_id = ? AND event IN ('renewed', 'revoked', 'removed', 'ignored') AND created_at > ?)`,
		itemID, epoch, itemID, now.Add(-flapWithin).UnixMilli()).Scan(&told, &flaps); err != nil || !told || event == "" {
		return err
	}
	hold := gatherEndings
	if flaps {
		hold = flapHold
	}
	_, err := t.exec(ctx, `INSERT INTO endings (item_id, epoch, event, created_at, due_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (item_id, epoch) DO UPDATE SET event = excluded.event`,
		itemID, epoch, event, now.UnixMilli(), now.Add(hold).UnixMilli())
	return err
}

// takeBackEnd forgets the last end that was not told yet, when the item is watched
// again in a new epoch: whoever heard of it in the former one need not hear it
// again, and what that opened at receivers goes on. To ignore an item and to take
// that back is no flapping: both are told.
func (t *tx) takeBackEnd(ctx context.Context, itemID string, epoch int) error {
	former, err := t.epochOf(ctx, `SELECT epoch FROM endings WHERE item_id = ? AND event <> 'ignored' ORDER BY epoch DESC LIMIT 1`, itemID)
	if err != nil {
		return err
	}
	if former == 0 {
		return t.goOnWithUnsent(ctx, itemID, epoch)
	}
	if _, err := t.exec(ctx, `DELETE FROM endings WHERE item_id = ? AND epoch = ?`, itemID, former); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE told SET epoch = ? WHERE item_id = ? AND epoch = ? AND heard = 1`, epoch, itemID, former); err != nil {
		return err
	}
	return t.goOn(ctx, itemID, former, epoch)
}

// goOnWithUnsent lets an epoch go on with what a former one had opened, if the end
// of that one waits to be sent: it will be dropped.
func (t *tx) goOnWithUnsent(ctx context.Context, itemID string, epoch int) error {
	former, err := t.epochOf(ctx, `SELECT a.epoch FROM alerts a JOIN delivery_alerts da ON da.alert_id = a.id JOIN deliveries d ON d.id = da.delivery_id
		WHERE a.item_id = ? AND a.event IN `+takenBack+` AND da.dropped = 0 AND d.state IN ('pending', 'retrying')
		ORDER BY a.epoch DESC LIMIT 1`, itemID)
	if err != nil || former == 0 {
		return err
	}
	return t.goOn(ctx, itemID, former, epoch)
}

// goOn lets an epoch go on with what a former one had opened.
func (t *tx) goOn(ctx context.Context, itemID string, former, epoch int) error {
	_, err := t.exec(ctx, `INSERT INTO continuations (item_id, epoch, began)
		VALUES (?1, ?2, COALESCE((SELECT began FROM continuations WHERE item_id = ?1 AND epoch = ?3), ?3)) ON CONFLICT DO NOTHING`,
		itemID, epoch, former)
	return err
}

// epochOf returns the epoch that a query about an item finds, 0 when it finds none.
func (t *tx) epochOf(ctx context.Context, query, itemID string) (epoch int, err error) {
	err = t.row(ctx, query, itemID).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return epoch, err
}

// endings returns the ends that are to be told at now, and those that soon
// would be, once any is.
func (t *tx) endings(ctx context.Context, now time.Time) ([]alert.Candidate, error) {
	var due bool
	if err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM endings e `+dueEndings+`)`, now.UnixMilli()).Scan(&due); err != nil || !due {
		return nil, err
	}
	type row struct {
		id     string
		ending alert.Ending
	}
	rows, err := collect(ctx, t, func(r scanner) (e row, err error) {
		err = r.Scan(&e.id, &e.ending.Epoch, &e.ending.Event)
		return e, err
	}, `SELECT e.item_id, e.epoch, e.event FROM endings e `+dueEndings+` ORDER BY e.item_id, e.epoch`, now.Add(alongEndings).UnixMilli())
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	items, err := t.itemsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	list := make([]alert.Candidate, len(rows))
	for i, r := range rows {
		list[i] = alert.Candidate{Item: items[r.id], Ended: &r.ending}
		if list[i].Told, err = t.told(ctx, r.id, r.ending.Epoch); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (t *tx) told(ctx context.Context, itemID string, epoch int) ([]alert.Told, error) {
	return collect(ctx, t, func(row scanner) (told alert.Told, err error) {
		err = row.Scan(&told.Channel, &told.Recipient, &told.Threshold, &told.Rule, &told.Heard)
		return told, err
	}, `SELECT channel, recipient, threshold_ns, rule, heard FROM told WHERE item_id = ? AND epoch = ? ORDER BY channel, recipient`, itemID, epoch)
}

// ended forgets an end that is told now.
func (t *tx) ended(ctx context.Context, c alert.Candidate) error {
	_, err := t.exec(ctx, `DELETE FROM endings WHERE item_id = ? AND epoch = ?`, c.Item.ID, c.Ended.Epoch)
	return err
}

// heard records that a delivery's recipient has, or may have, got it.
func (t *tx) heard(ctx context.Context, deliveryID string) error {
	_, err := t.exec(ctx, `UPDATE told SET heard = 1 WHERE heard = 0 AND (item_id, epoch, channel, recipient) IN (
		SELECT a.item_id, a.epoch, d.channel, d.recipient FROM deliveries d JOIN delivery_alerts da ON da.delivery_id = d.id
		JOIN alerts a ON a.id = da.alert_id WHERE d.id = ? AND da.dropped = 0 AND a.event = 'expiring')`, deliveryID)
	return err
}

// NextEnding returns when the next end of a watch is to be told, zero if none.
func (s *Store) NextEnding(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := s.read(ctx, "looking for the next end to tell", func(t *tx) error {
		return t.row(ctx, `SELECT MIN(due_at) FROM endings`).Scan(&at)
	})
	return fromNull(at), err
}
