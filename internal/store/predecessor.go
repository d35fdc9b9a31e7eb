package store

import (
	"context"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

// Issued returns up to limit active client certificates that are known under
// an issuer's name, by serial: of many it reads no more than asked for.
func (s *Store) Issued(ctx context.Context, issuer string, limit int) ([]alert.Item, error) {
	var items []alert.Item
	err := s.read(ctx, "listing what a CA issued", func(t *tx) (err error) {
		items, err = t.items(ctx, `WHERE i.issuer = ? AND i.kind = ? AND i.watch = ? ORDER BY i.serial, i.id LIMIT ?`,
			issuer, alert.KindClient, alert.Active, rowLimit(limit))
		return err
	})
	return items, err
}

// Successor returns the item that replaced the given one, or waits to become
// valid to do so, or fault.NotFound.
func (s *Store) Successor(ctx context.Context, itemID string) (alert.Item, error) {
	return s.neighbour(ctx, itemID, `WHERE i.id IN (SELECT replaced_by FROM items WHERE id = ?)
		OR i.id IN (SELECT new_item_id FROM successions WHERE old_item_id = ?)`,
		fault.New(fault.NotFound, "no_successor", "nothing replaced the item %q", itemID))
}

// Predecessor returns the item that the given one replaced last, or will
// replace when it becomes valid, or fault.NotFound.
func (s *Store) Predecessor(ctx context.Context, itemID string) (alert.Item, error) {
	return s.neighbour(ctx, itemID, `WHERE i.replaced_by = ?
		OR i.id IN (SELECT old_item_id FROM successions WHERE new_item_id = ?)`,
		fault.New(fault.NotFound, "no_predecessor", "the item %q replaced nothing", itemID))
}

// neighbour returns, of the items before or after one in its line, that which
// ends last.
func (s *Store) neighbour(ctx context.Context, itemID, where string, none *fault.Error) (alert.Item, error) {
	var item alert.Item
	err := s.read(ctx, "looking for what an item replaced or was replaced by", func(t *tx) error {
		items, err := t.items(ctx, where+` ORDER BY i.not_after DESC, i.id LIMIT 1`, itemID, itemID)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return none
		}
		item = items[0]
		return nil
	})
	return item, err
}
