package store

import (
	"context"
	"strconv"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// metaReported is followed by a channel's name.
const metaReported = "reported:"

// Installation returns the random name of this store. A copy of the store has
// it too.
func (s *Store) Installation(ctx context.Context) (name string, err error) {
	err = s.read(ctx, "reading the installation's name", func(t *tx) error {
		name, err = t.meta(ctx, metaInstallation)
		return err
	})
	return name, err
}

// Reported returns the period of the last report by a channel, zero if none.
func (s *Store) Reported(ctx context.Context, channel string) (time.Time, error) {
	return s.metaTime(ctx, metaReported+channel)
}

// Report hands a channel's report of a period to the outbox, once: it does
// nothing, and returns false, when that of this period or a later one was handed
// over before.
func (s *Store) Report(ctx context.Context, channel string, period time.Time, n alert.Notice) (handed bool, err error) {
	err = s.write(ctx, "reporting", func(t *tx) error {
		text, err := t.meta(ctx, metaReported+channel)
		if err != nil {
			return err
		}
		if last, _ := strconv.ParseInt(text, 10, 64); last >= period.UnixMilli() { // "" before the first
			return nil
		}
		handed = true
		if err := t.insertNotice(ctx, &n); err != nil {
			return err
		}
		return t.setMetaTime(ctx, metaReported+channel, period)
	})
	return handed && err == nil, err
}

// Ending returns the first items that are watched and end before an instant,
// and how many there are.
func (s *Store) Ending(ctx context.Context, before time.Time, limit int) (items []alert.Item, all int, err error) {
	const ending = `WHERE i.not_after < ? AND ` + watched + ` AND i.trust = 'trusted' AND NOT ` + outlived
	err = s.read(ctx, "looking for what ends", func(t *tx) error {
		if err := t.row(ctx, `SELECT COUNT(*) FROM items i `+ending, before.UnixMilli()).Scan(&all); err != nil {
			return err
		}
		items, err = t.items(ctx, ending+` ORDER BY i.not_after, i.id LIMIT ?`, before.UnixMilli(), rowLimit(limit))
		return err
	})
	return items, all, err
}

// SeenHosts returns the host names at which any client certificate was seen.
func (s *Store) SeenHosts(ctx context.Context) ([]string, error) {
	var hosts []string
	err := s.read(ctx, "listing where clients were seen", func(t *tx) (err error) {
		hosts, err = collect(ctx, t, scanText, `SELECT DISTINCT reference FROM item_sources WHERE kind = 'observed' ORDER BY reference`)
		return err
	})
	return hosts, err
}
