package store

import (
	"context"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

// Predecessor returns the item that the given one replaced last, or will
// replace when it becomes valid, or fault.NotFound.
func (s *Store) Predecessor(ctx context.Context, itemID string) (alert.Item, error) {
	var item alert.Item
	err := s.read(ctx, "looking for what an item replaced", func(t *tx) error {
		items, err := t.items(ctx, `WHERE i.replaced_by = ?
			OR i.id IN (SELECT old_item_id FROM successions WHERE new_item_id = ?) ORDER BY i.not_after DESC, i.id LIMIT 1`, itemID, itemID)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return fault.New(fault.NotFound, "no_predecessor", "the item %q replaced nothing", itemID)
		}
		item = items[0]
		return nil
	})
	return item, err
}
