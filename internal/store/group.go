package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// CountEnding counts, for each kind, the items that are active and end at one
// of the edges or before, and after the edge before it. The edges rise. Behind
// them it counts what is left out of these: what nobody uses any more, as
// alert.Item.Outlived tells. It reads what ends by the last edge, not what ends
// later.
func (s *Store) CountEnding(ctx context.Context, edges []time.Time) (map[alert.Kind][]int, error) {
	if len(edges) == 0 {
		return nil, nil
	}
	choose, args := fmt.Sprintf("CASE WHEN %s THEN %d", outlived, len(edges)), []any{}
	for i, edge := range edges {
		choose += fmt.Sprintf(" WHEN i.not_after <= ? THEN %d", i)
		args = append(args, edge.UnixMilli())
	}
	counts := map[alert.Kind][]int{}
	err := s.read(ctx, "counting what ends", func(t *tx) error {
		_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
			var (
				kind  alert.Kind
				at, n int
			)
			if err = row.Scan(&kind, &at, &n); err == nil {
				if counts[kind] == nil {
					counts[kind] = make([]int, len(edges)+1)
				}
				counts[kind][at] = n
			}
			return
		}, `SELECT i.kind, `+choose+` END AS range, COUNT(*) FROM items i
			WHERE i.not_after <= ? AND i.watch = 'active' AND i.trust <> 'removed' GROUP BY i.kind, range`, append(args, edges[len(edges)-1].UnixMilli())...)
		return err
	})
	return counts, err
}
