package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// Reschedule sets next_due_at of every active item by next (the zero time
// means never), a thousand in a transaction, unless it already did so for this
// key; a run that was cut off is done again. next must not use the store.
func (s *Store) Reschedule(ctx context.Context, key string, next func(alert.Candidate) time.Time) error {
	done, err := s.scheduledFor(ctx, key)
	if err != nil || done {
		return err
	}
	// While it runs the schedule is that of no key at all: going back to the
	// former rules after a run that was cut off must not look like nothing to do.
	if err := s.setRulesKey(ctx, ""); err != nil {
		return err
	}
	for last, more := "", true; more; {
		if last, more, err = s.rescheduleBatch(ctx, last, next); err != nil {
			return err
		}
	}
	return s.setRulesKey(ctx, key)
}

func (s *Store) scheduledFor(ctx context.Context, key string) (done bool, err error) {
	err = s.read(ctx, "reading the rules' key", func(t *tx) error {
		present, err := t.meta(ctx, metaRules)
		done = present != "" && present == key
		return err
	})
	return done, err
}

func (s *Store) setRulesKey(ctx context.Context, key string) error {
	return s.write(ctx, "recording the rules' key", func(t *tx) error { return t.setMeta(ctx, metaRules, key) })
}

// rescheduleBatch goes on after the item with the id last.
func (s *Store) rescheduleBatch(ctx context.Context, last string, next func(alert.Candidate) time.Time) (end string, more bool, err error) {
	const batch = 1000
	err = s.write(ctx, "rescheduling", func(t *tx) error {
		items, err := t.items(ctx, `WHERE i.id > ? AND i.watch = 'active' ORDER BY i.id LIMIT ?`, last, batch)
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
