package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Handle records what somebody said about an item in its present epoch, in the
// place of what was said before; nil takes that back. The next scan looks at
// the item. One that is not watched is a fault.Conflict.
func (s *Store) Handle(ctx context.Context, itemID string, h *alert.Handling, actor inventory.Actor) error {
	return s.write(ctx, "acknowledging an item", func(t *tx) error {
		item, err := t.item(ctx, itemID)
		if err != nil {
			return err
		}
		if !isLive(item) {
			return fault.New(fault.Conflict, "not_watched", "nothing is told of %s: it is %s, %s", item.Subject, item.Trust, item.Watch).
				WithHint("there is nothing to acknowledge or to snooze")
		}
		action, err := t.handle(ctx, item, h)
		if err != nil {
			return err
		}
		if err := t.dueNow(ctx, itemID); err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: action, object: "item:" + itemID,
			before: map[string]any{"handling": item.Handling}, after: map[string]any{"handling": h},
		})
	})
}

func (t *tx) handle(ctx context.Context, item alert.Item, h *alert.Handling) (action string, err error) {
	if h == nil {
		_, err := t.exec(ctx, `DELETE FROM handlings WHERE item_id = ?`, item.ID)
		return "item.unacknowledge", err
	}
	until := sql.NullInt64{}
	action = "item.acknowledge"
	if h.Until != nil {
		until, action = millis(*h.Until), "item.snooze"
	}
	_, err = t.exec(ctx, `INSERT INTO handlings (item_id, epoch, by_whom, at, until) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (item_id) DO UPDATE SET epoch = excluded.epoch, by_whom = excluded.by_whom, at = excluded.at, until = excluded.until`,
		item.ID, item.Epoch, h.By, h.At.UnixMilli(), until)
	return action, err
}

// addHandlings adds what was said about items in their present epoch.
func (t *tx) addHandlings(ctx context.Context, byID map[string]*alert.Item, in string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (h alert.Handling, err error) {
		var (
			id    string
			epoch int
			at    int64
			until sql.NullInt64
		)
		if err = row.Scan(&id, &epoch, &h.By, &at, &until); err != nil {
			return h, err
		}
		h.At, h.Until = fromMillis(at), optional(until)
		if item := byID[id]; item.Epoch == epoch {
			item.Handling = &h
		}
		return h, nil
	}, `SELECT item_id, epoch, by_whom, at, until FROM handlings WHERE item_id IN `+in, args...)
	return err
}

// Candidate returns an item as a scan would hand it to the rules.
func (s *Store) Candidate(ctx context.Context, itemID string) (c alert.Candidate, err error) {
	err = s.read(ctx, "looking up an item", func(t *tx) error {
		item, err := t.item(ctx, itemID)
		if err != nil {
			return err
		}
		list, err := t.candidates(ctx, []alert.Item{item})
		if err == nil {
			c = list[0]
		}
		return err
	})
	return c, err
}

// Placement returns the number that every change of a bundle raises.
func (s *Store) Placement(ctx context.Context) (int64, error) {
	var n int64
	err := s.read(ctx, "reading the placement", func(t *tx) error {
		text, err := t.meta(ctx, metaPlacement)
		if err != nil || text == "" {
			return err
		}
		n, err = strconv.ParseInt(text, 10, 64)
		return err
	})
	return n, err
}

// placed follows every change of a bundle: of what it vouches for, and of the
// alert rules that are about it.
func (t *tx) placed(ctx context.Context) error {
	text, err := t.meta(ctx, metaPlacement)
	if err != nil {
		return err
	}
	n, _ := strconv.ParseInt(text, 10, 64) // "" before the first
	if err := t.setMeta(ctx, metaPlacement, strconv.FormatInt(n+1, 10)); err != nil {
		return err
	}
	return t.bumpGeneration(ctx)
}

// addCAs adds the bundles that hold a CA of the items' issuers' names.
func (t *tx) addCAs(ctx context.Context, byID map[string]*alert.Candidate, in string, args []any) error {
	return t.eachPair(ctx, func(id, bundle string) {
		if c := byID[id]; !slices.Contains(c.CAs, bundle) {
			c.CAs = append(c.CAs, bundle)
		}
	}, `SELECT i.id, b.name FROM items i JOIN items c ON c.subject = i.issuer JOIN bundle_items bi ON bi.item_id = c.id
		JOIN bundles b ON b.id = bi.bundle_id WHERE i.id IN `+in+` ORDER BY b.name`, args)
}
