package store

import (
	"context"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
)

// SentDeliveries returns messages that were sent, the newest first, and how
// many there are in all.
func (s *Store) SentDeliveries(ctx context.Context, span alerting.Span) (list []alerting.Sent, total int, err error) {
	c := conditions{}.and(`d.state = ?`, string(alert.StateSent))
	if !span.Since.IsZero() {
		c = c.and(`d.settled_at > ?`, span.Since.UnixMilli())
	}
	if !span.Before.IsZero() {
		c = c.and(`d.settled_at < ?`, span.Before.UnixMilli())
	}
	where, args := c.clause()
	err = s.read(ctx, "reading what was sent", func(t *tx) error {
		if err := t.row(ctx, `SELECT COUNT(*) FROM deliveries d `+where, args...).Scan(&total); err != nil {
			return err
		}
		deliveries, err := t.deliveries(ctx, where+` ORDER BY d.settled_at DESC, d.id LIMIT ? OFFSET ?`, append(args, span.Limit, span.Offset)...)
		if err != nil {
			return err
		}
		for _, d := range deliveries {
			m := alerting.Sent{Delivery: d}
			if m.Entries, err = t.entries(ctx, d.ID, alerting.SentEntries); err != nil {
				return err
			}
			if err := t.row(ctx, `SELECT COUNT(*) FROM delivery_alerts WHERE delivery_id = ? AND dropped = 0`, d.ID).Scan(&m.Total); err != nil {
				return err
			}
			list = append(list, m)
		}
		return nil
	})
	return list, total, err
}
