package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// UpdateBundle changes a bundle whole or not at all: it carries out the
// renewals, gives it the name, and makes the hostnames its list. The same again
// changes nothing. A name in use by another bundle is a fault.Conflict.
func (s *Store) UpdateBundle(ctx context.Context, u inventory.BundleUpdate) (bundle inventory.Bundle, err error) {
	err = s.write(ctx, "changing a bundle", func(t *tx) error {
		before, err := s.bundle(ctx, t, u.ID)
		if err != nil {
			return err
		}
		if u.Check != nil {
			if err := u.Check(before); err != nil {
				return err
			}
		}
		for _, r := range u.Renewals {
			old, err := t.item(ctx, r.OldItemID)
			if err != nil {
				return err
			}
			if _, err := s.replace(ctx, t, old, r); err != nil {
				return err
			}
		}
		if err := s.describeBundle(ctx, t, before, u); err != nil {
			return err
		}
		bundle, err = s.bundle(ctx, t, before.ID)
		return err
	})
	return bundle, err
}

// describeBundle gives a bundle its name and its hostnames.
func (s *Store) describeBundle(ctx context.Context, t *tx, b inventory.Bundle, u inventory.BundleUpdate) error {
	wanted := slices.Compact(slices.Sorted(slices.Values(u.Hostnames)))
	if b.Name == u.Name && slices.Equal(b.Hostnames, wanted) {
		return nil
	}
	if err := t.nameIsFree(ctx, u.Name, b.ID); err != nil {
		return err
	}
	now := s.now()
	if _, err := t.exec(ctx, `UPDATE bundles SET name = ?, updated_at = ? WHERE id = ?`, u.Name, now.UnixMilli(), b.ID); err != nil {
		return err
	}
	for _, hostname := range b.Hostnames {
		if slices.Contains(wanted, hostname) {
			continue
		}
		if _, err := t.exec(ctx, `DELETE FROM bundle_hostnames WHERE bundle_id = ? AND hostname = ?`, b.ID, hostname); err != nil {
			return err
		}
	}
	if _, err := t.addHostnames(ctx, b.ID, wanted); err != nil {
		return err
	}
	if err := t.audit(ctx, now, u.Actor, change{
		action: "ca.update", object: "bundle:" + b.ID,
		before: map[string]any{"name": b.Name, "hostnames": b.Hostnames}, after: map[string]any{"name": u.Name, "hostnames": orEmpty(wanted)},
	}); err != nil {
		return err
	}
	return t.placed(ctx)
}

func (t *tx) nameIsFree(ctx context.Context, name, bundleID string) error {
	var other string
	err := t.row(ctx, `SELECT id FROM bundles WHERE name = ? AND id <> ?`, name, bundleID).Scan(&other)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "name_in_use", "the name %q is in use by the bundle %s", name, other).
		WithField("name").WithHint("choose another name")
}

func storedAlready(name, id string) error {
	return fault.New(fault.Conflict, "stored", "the same certificates are stored as %q already, with the id %s", name, id).
		WithField("certificate").WithHint("update that one: its hostnames, its name, or a renewed certificate")
}
