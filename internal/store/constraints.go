package store

import (
	"context"
	"slices"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// constrain gives a stored bundle the constraints that an upload states.
func (s *Store) constrain(ctx context.Context, t *tx, id string, b inventory.NewBundle) error {
	if b.Constraints == nil {
		return nil
	}
	bundle, err := s.bundle(ctx, t, id)
	if err != nil || sameConstraints(bundle.Constraints, *b.Constraints) {
		return err
	}
	now := s.now()
	if err := t.setConstraints(ctx, id, *b.Constraints); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE bundles SET updated_at = ? WHERE id = ?`, now.UnixMilli(), id); err != nil {
		return err
	}
	if err := t.audit(ctx, now, b.Actor, change{
		action: "ca.constraints", object: "bundle:" + id,
		before: describeConstraints(bundle.Constraints), after: describeConstraints(*b.Constraints),
	}); err != nil {
		return err
	}
	return t.bumpGeneration(ctx)
}

func (t *tx) setConstraints(ctx context.Context, id string, c inventory.Constraints) error {
	_, err := t.exec(ctx, `UPDATE bundles SET permit_san = ?, permit_cn = ?, max_leaf_ns = ? WHERE id = ?`,
		jsonText(orEmpty(c.PermitSAN)), jsonText(orEmpty(c.PermitCN)), int64(c.MaxLeafLifetime), id)
	return err
}

func sameConstraints(a, b inventory.Constraints) bool {
	return slices.Equal(a.PermitSAN, b.PermitSAN) && slices.Equal(a.PermitCN, b.PermitCN) && a.MaxLeafLifetime == b.MaxLeafLifetime
}

func describeConstraints(c inventory.Constraints) map[string]any {
	return map[string]any{
		"permit_san": orEmpty(c.PermitSAN), "permit_cn": orEmpty(c.PermitCN), "max_leaf_lifetime": alert.FormatThreshold(c.MaxLeafLifetime),
	}
}
