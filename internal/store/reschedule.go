package store

import (
	"context"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

// Reschedule sets next_due_at of every active item by next (the zero time
// means never), a thousand in a transaction, unless it already did so for this
// key; a run that was cut off is done again. So is one during which somebody
// else went by another key, and when that does not end it returns
// fault.Unavailable. next must not use the store.
func (s *Store) Reschedule(ctx context.Context, key string, next func(alert.Candidate) time.Time) error {
	const tries = 3
	for range tries {
		if done, err := s.scheduledFor(ctx, key); err != nil || done {
			return err
		}
		if done, err := s.rescheduleAll(ctx, key, next); err != nil || done {
			return err
		}
	}
	return fault.New(fault.Unavailable, "rules_contested", "another process schedules by other rules").
		WithHint("scan again; give every process the same configuration")
}

// rescheduleAll reports whether the whole schedule is by the key. While it
// runs, it is that of no key at all: going back to the former rules after a
// run that was cut off must not look like nothing to do.
func (s *Store) rescheduleAll(ctx context.Context, key string, next func(alert.Candidate) time.Time) (done bool, err error) {
	if err := s.write(ctx, "recording the rules' key", func(t *tx) error { return t.setMeta(ctx, metaRules, underWay(key)) }); err != nil {
		return false, err
	}
	for last, more := "", true; more; {
		if last, more, err = s.rescheduleBatch(ctx, key, last, next); errors.Is(err, errContested) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	err = s.write(ctx, "recording the rules' key", func(t *tx) error {
		if err := t.goingBy(ctx, key); err != nil {
			return err
		}
		return t.setMeta(ctx, metaRules, key)
	})
	if errors.Is(err, errContested) {
		return false, nil
	}
	return err == nil, err
}

// errContested says that the schedule is no longer by one's key.
var errContested = errors.New("somebody else schedules by other rules")

// underWay is the rules' key while a schedule by it is made.
func underWay(key string) string { return "under way: " + key }

func (t *tx) goingBy(ctx context.Context, key string) error {
	present, err := t.meta(ctx, metaRules)
	if err == nil && present != underWay(key) {
		err = errContested
	}
	return err
}

// scheduledBy keeps a schedule from passing for that of one set of rules when
// part of it is of another: then it is nobody's, and whoever scans next makes
// it anew.
func (t *tx) scheduledBy(ctx context.Context, key string) error {
	present, err := t.meta(ctx, metaRules)
	if err != nil || key == "" || present == key || present == underWay(key) {
		return err
	}
	return t.setMeta(ctx, metaRules, "")
}

func (s *Store) scheduledFor(ctx context.Context, key string) (done bool, err error) {
	err = s.read(ctx, "reading the rules' key", func(t *tx) error {
		present, err := t.meta(ctx, metaRules)
		done = present != "" && present == key
		return err
	})
	return done, err
}

// rescheduleBatch goes on after the item with the id last.
func (s *Store) rescheduleBatch(ctx context.Context, key, last string, next func(alert.Candidate) time.Time) (end string, more bool, err error) {
	const batch = 1000
	err = s.write(ctx, "rescheduling", func(t *tx) error {
		if err := t.goingBy(ctx, key); err != nil {
			return err
		}
		items, err := t.items(ctx, `WHERE i.id > ? AND `+watched+` ORDER BY i.id LIMIT ?`, last, batch)
		if err != nil || len(items) == 0 {
			return err
		}
		end, more = items[len(items)-1].ID, len(items) == batch
		candidates, err := t.candidates(ctx, items)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			if err := t.reschedule(ctx, c.Item, next(c)); err != nil {
				return err
			}
		}
		return nil
	})
	return end, more, err
}

func (t *tx) reschedule(ctx context.Context, item alert.Item, next time.Time) error {
	if item.NextDueAt == nil && next.IsZero() || item.NextDueAt != nil && millis(*item.NextDueAt) == millis(next) {
		return nil
	}
	return t.setNext(ctx, item.ID, next)
}
