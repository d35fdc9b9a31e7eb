package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// What is due, and what a scan makes active. These conditions are those of the
// partial indexes items_due and items_pending.
const (
	dueItems  = `WHERE ` + watched + ` AND i.trust = 'trusted' AND i.next_due_at IS NOT NULL AND i.next_due_at <= ?`
	ripeItems = `WHERE i.watch = 'pending' AND i.trust = 'trusted' AND i.not_before <= ?`
	// endingItems adds to what is due what ends before an instant, without what a
	// scan finds unused.
	endingItems = `WHERE ` + watched + ` AND i.trust = 'trusted' AND (i.next_due_at <= ? OR i.not_after <= ?) AND NOT ` + unused
	// staying leaves out what a scan finds superseded by a ripe item.
	staying = ` AND NOT EXISTS (SELECT 1 FROM successions s JOIN items n ON n.id = s.new_item_id
		WHERE s.old_item_id = i.id AND n.watch = 'pending' AND n.trust = 'trusted' AND n.not_before <= ?)`
)

// scanPage is how many due items one transaction takes on: more than are due at
// once but after a mass import, and few enough to be held in memory.
const scanPage = 10_000

// Scan takes over pending items that have become valid, hands the active items
// whose next_due_at has come and the ends that are to be told to decide, and
// writes the plan, all in one transaction that excludes every other scan. If more
// items are due than fit into memory, there are several of these, each with its
// own call of decide; an error leaves those before it written. What is on record
// already is not written again. decide is not called when nothing is due, and must
// not use the store.
func (s *Store) Scan(ctx context.Context, now time.Time, decide func([]alert.Candidate) alert.Plan) error {
	for first, more := true, true; more; first = false {
		if err := s.write(ctx, "scanning", func(t *tx) (err error) {
			if first {
				if err := errors.Join(s.activate(ctx, t, now), s.retireUnused(ctx, t, now)); err != nil {
					return err
				}
			}
			if more, err = s.scanDue(ctx, t, now, first, decide); err != nil || more {
				return err
			}
			return t.setMetaTime(ctx, metaLastScan, now)
		}); err != nil {
			return err
		}
	}
	return nil
}

// scanDue scans one page of what is due, and the first time all that has ended.
// more says that the page was full, and that another one will be another.
func (s *Store) scanDue(ctx context.Context, t *tx, now time.Time, first bool, decide func([]alert.Candidate) alert.Plan) (more bool, err error) {
	items, err := t.items(ctx, dueItems+` ORDER BY i.next_due_at, i.rowid LIMIT ?`, now.UnixMilli(), s.scanPage)
	if err != nil {
		return false, err
	}
	slices.SortFunc(items, func(a, b alert.Item) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), strings.Compare(a.ID, b.ID))
	})
	candidates, err := t.candidates(ctx, items)
	if err != nil {
		return false, err
	}
	if first {
		ended, err := t.endings(ctx, now)
		if err != nil {
			return false, err
		}
		candidates = append(candidates, ended...)
	}
	if len(candidates) == 0 {
		return false, nil
	}
	plan := decide(candidates)
	more = len(items) == s.scanPage && slices.ContainsFunc(items, func(i alert.Item) bool {
		next := plan.Next[i.ID]
		return next.IsZero() || next.After(now)
	})
	return more, t.writePlan(ctx, candidates, plan)
}

// activate makes pending items that are valid now active, in the place of what
// they renew.
func (s *Store) activate(ctx context.Context, t *tx, now time.Time) error {
	items, err := t.items(ctx, ripeItems+` ORDER BY i.not_before, i.id`, now.UnixMilli())
	if err != nil {
		return err
	}
	for _, item := range items {
		// An item before this one in the list may have been superseded by it.
		if item, err = t.item(ctx, item.ID); err != nil {
			return err
		}
		if item.Watch != alert.Pending {
			continue
		}
		if err := s.moveNow(ctx, t, item); err != nil {
			return err
		}
	}
	return nil
}

var scanActor = inventory.Actor{Kind: inventory.ActorSystem, ID: "scan"}

// moveNow makes an item active by the scan's clock, which has found it valid.
func (s *Store) moveNow(ctx context.Context, t *tx, item alert.Item) error {
	if err := t.moveItem(ctx, item, item.Trust, alert.Active, s.now()); err != nil {
		return err
	}
	if err := t.audit(ctx, s.now(), scanActor, change{
		action: "item.activate", object: "item:" + item.ID,
		before: map[string]any{"trust": item.Trust, "watch": item.Watch},
		after:  map[string]any{"trust": item.Trust, "watch": alert.Active},
	}); err != nil {
		return err
	}
	return s.takeOver(ctx, t, item.ID, scanActor)
}

// Preview returns what Scan would hand to decide at the given time, and what
// is watched and ends within the given span of it, however it is scheduled: a
// rule that is not in force yet may be about it. It changes nothing.
func (s *Store) Preview(ctx context.Context, at time.Time, within time.Duration) ([]alert.Candidate, error) {
	var candidates []alert.Candidate
	err := s.read(ctx, "previewing a scan", func(t *tx) error {
		args := append(append([]any{at.UnixMilli(), at.Add(within).UnixMilli()}, unusedArgs(at)...), at.UnixMilli())
		items, err := t.items(ctx, endingItems+staying, args...)
		if err != nil {
			return err
		}
		pending, err := t.items(ctx, ripeItems+staying, at.UnixMilli(), at.UnixMilli())
		if err != nil {
			return err
		}
		for _, item := range pending {
			item.Watch = alert.Active
			item.Epoch++
			items = append(items, item)
		}
		slices.SortStableFunc(items, func(a, b alert.Item) int { return a.NotAfter.Compare(b.NotAfter) })
		if candidates, err = t.candidates(ctx, items); err != nil {
			return err
		}
		ended, err := t.endings(ctx, at)
		candidates = append(candidates, ended...)
		return err
	})
	return candidates, err
}

// HasDue reports whether a scan at now would have anything to do.
func (s *Store) HasDue(ctx context.Context, now time.Time) (bool, error) {
	var due bool
	err := s.read(ctx, "looking for what is due", func(t *tx) error {
		return t.row(ctx, `SELECT EXISTS (SELECT 1 FROM items i `+dueItems+`) OR EXISTS (SELECT 1 FROM items i `+ripeItems+`)
			OR EXISTS (SELECT 1 FROM endings e `+dueEndings+`)`,
			now.UnixMilli(), now.UnixMilli(), now.UnixMilli()).Scan(&due)
	})
	return due, err
}

// candidates adds to items what is on record for their present epoch.
func (t *tx) candidates(ctx context.Context, items []alert.Item) ([]alert.Candidate, error) {
	candidates := make([]alert.Candidate, len(items))
	byID := make(map[string]*alert.Candidate, len(items))
	ids := make([]string, len(items))
	for i, item := range items {
		candidates[i] = alert.Candidate{Item: item, CAs: append([]string(nil), item.Bundles...)}
		ids[i] = item.ID
		byID[item.ID] = &candidates[i]
	}
	return candidates, inChunks(ids, func(in string, args []any) error {
		if err := t.addMarks(ctx, byID, in, args); err != nil {
			return err
		}
		if err := t.addTold(ctx, byID, in, args); err != nil {
			return err
		}
		return t.addCAs(ctx, byID, in, args)
	})
}

func (t *tx) addMarks(ctx context.Context, byID map[string]*alert.Candidate, in string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (mark alert.Mark, err error) {
		var (
			id    string
			epoch int
		)
		if err = row.Scan(&id, &epoch, &mark.Rule, &mark.Threshold); err != nil {
			return mark, err
		}
		if c := byID[id]; c.Item.Epoch == epoch {
			c.Recorded = append(c.Recorded, mark)
		}
		return mark, nil
	}, `SELECT item_id, epoch, rule, threshold_ns FROM alerts
		WHERE event = 'expiring' AND item_id IN `+in+` ORDER BY item_id, rule, threshold_ns`, args...)
	return err
}

func (t *tx) addTold(ctx context.Context, byID map[string]*alert.Candidate, in string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (told alert.Told, err error) {
		var (
			id    string
			epoch int
		)
		if err = row.Scan(&id, &epoch, &told.Channel, &told.Recipient, &told.Threshold, &told.Rule, &told.Heard); err != nil {
			return told, err
		}
		if c := byID[id]; c.Item.Epoch == epoch {
			c.Told = append(c.Told, told)
		}
		return told, nil
	}, `SELECT item_id, epoch, channel, recipient, threshold_ns, rule, heard FROM told
		WHERE item_id IN `+in+` ORDER BY item_id, channel, recipient`, args...)
	return err
}
