package store

import (
	"context"
	"encoding/json"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Group counts the items that rules cannot tell apart but by their times.
type Group struct {
	Kind   alert.Kind
	Watch  alert.Watch
	Labels map[string]string
	Count  int
}

// Groups counts the items that were not removed. It reads one index, where
// there is one, not the items.
func (s *Store) Groups(ctx context.Context) ([]Group, error) {
	var groups []Group
	err := s.read(ctx, "counting items", func(t *tx) (err error) {
		groups, err = collect(ctx, t, scanGroup, `SELECT kind, watch, labels, COUNT(*) FROM items
			WHERE trust <> 'removed' GROUP BY kind, watch, labels ORDER BY kind, watch, labels`)
		return err
	})
	return groups, err
}

func scanGroup(row scanner) (g Group, err error) {
	var labels string
	if err = row.Scan(&g.Kind, &g.Watch, &labels, &g.Count); err != nil {
		return g, err
	}
	return g, json.Unmarshal([]byte(labels), &g.Labels)
}
