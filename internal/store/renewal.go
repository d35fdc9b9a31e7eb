package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Replace carries out a renewal and returns the new item. The same one again
// changes nothing. It returns fault.NotFound for an unknown item or proposal,
// fault.Conflict for an item that another one has superseded or that was
// revoked or removed, and for a new certificate that is revoked.
func (s *Store) Replace(ctx context.Context, r inventory.Replacement) (alert.Item, error) {
	if r.Certificate == nil {
		return alert.Item{}, fault.New(fault.Invalid, "no_certificate", "there is no certificate to renew with")
	}
	var item alert.Item
	err := s.write(ctx, "renewing a certificate", func(t *tx) error {
		old, err := t.item(ctx, r.OldItemID)
		if err != nil {
			return err
		}
		id, err := s.replace(ctx, t, old, r)
		if err != nil {
			return err
		}
		item, err = t.item(ctx, id)
		return err
	})
	return item, err
}

func (s *Store) replace(ctx context.Context, t *tx, old alert.Item, r inventory.Replacement) (string, error) {
	if id, err := t.replacedAlready(ctx, old, cert.Fingerprint(r.Certificate)); err != nil || id != "" {
		return id, err
	}
	if r.Once {
		if err := t.checkFirst(ctx, old.ID); err != nil {
			return "", err
		}
	}
	id, _, err := s.putItem(ctx, t, inventory.NewItem{
		Kind: old.Kind, Certificate: r.Certificate, Labels: old.Labels, Source: r.Source, Actor: r.Actor,
	})
	if err != nil {
		return "", err
	}
	if err := t.setLabels(ctx, id, old.Labels); err != nil {
		return "", err
	}
	if err := s.putInPlace(ctx, t, old, id, r); err != nil {
		return "", err
	}
	if r.ProposalID != "" {
		if err := t.deleteProposal(ctx, r.ProposalID); err != nil {
			return "", err
		}
	}
	if err := t.audit(ctx, s.now(), r.Actor, change{
		action: cmp.Or(r.Action, "item.renew"), object: "item:" + id,
		before: map[string]any{"item": old.ID, "fingerprint": old.Fingerprint},
		after:  describe(old.Kind, r.Certificate),
	}); err != nil {
		return "", err
	}
	return id, t.bumpGeneration(ctx)
}

// replacedAlready returns the id of the new item when this very renewal was
// carried out before, and refuses what cannot be renewed.
func (t *tx) replacedAlready(ctx context.Context, old alert.Item, fingerprint string) (string, error) {
	if fingerprint == old.Fingerprint {
		return "", fault.New(fault.Conflict, "same_certificate", "the new certificate is the present one").
			WithHint("upload the renewed certificate")
	}
	var (
		id      string
		waiting bool
	)
	err := t.row(ctx, `SELECT i.id, s.new_item_id IS NOT NULL FROM items i
		LEFT JOIN successions s ON s.new_item_id = i.id AND s.old_item_id = ?
		WHERE i.fingerprint = ? AND i.kind = ?`, old.ID, fingerprint, old.Kind).Scan(&id, &waiting)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	switch {
	case old.Watch == alert.Superseded && old.ReplacedBy == id && id != "", waiting:
		return id, nil
	case old.Watch == alert.Superseded:
		return "", fault.New(fault.Conflict, "superseded", "the certificate %s is superseded already", old.Fingerprint).
			WithHint("renew the one that took its place: %s", cmp.Or(old.ReplacedBy, "see `certvigil cert list`"))
	case old.Trust != alert.Trusted:
		return "", fault.New(fault.Conflict, "not_trusted", "the certificate %s is %s", old.Fingerprint, old.Trust).
			WithHint("a revoked or removed certificate has no successor; add the new one by itself")
	}
	return "", nil
}

// checkFirst refuses an item for which another certificate waits already.
func (t *tx) checkFirst(ctx context.Context, oldID string) error {
	var waiting int
	err := t.row(ctx, `SELECT COUNT(*) FROM successions WHERE old_item_id = ?`, oldID).Scan(&waiting)
	if err == nil && waiting > 0 {
		return fault.New(fault.Conflict, "link_used", "a renewed certificate was handed in already, and takes over when it is valid").
			WithHint("an administrator can still put another one in its place: certvigil cert renew %s FILE", oldID)
	}
	return err
}

// putInPlace puts the new item into the old one's bundles and takes over its
// watch, now or when it is valid.
func (s *Store) putInPlace(ctx context.Context, t *tx, old alert.Item, newID string, r inventory.Replacement) error {
	item, err := t.item(ctx, newID)
	if err != nil {
		return err
	}
	if err := t.refuseRevoked(ctx, item); err != nil {
		return err
	}
	if err := s.joinBundles(ctx, t, old.ID, newID); err != nil {
		return err
	}
	watch := alert.Active // a transition makes it pending while it is not valid
	if r.Pending && item.Watch != alert.Active {
		watch = alert.Pending
	}
	if err := s.transition(ctx, t, item, alert.Trusted, watch, r.Actor, "item.add"); err != nil {
		return err
	}
	if item, err = t.item(ctx, newID); err != nil {
		return err
	}
	if item.Watch == alert.Active {
		return s.supersede(ctx, t, old.ID, newID, r.Actor, "item.supersede")
	}
	_, err = t.exec(ctx, `INSERT INTO successions (new_item_id, old_item_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		newID, old.ID, s.now().UnixMilli())
	return err
}

// joinBundles puts the new item before the old one in every bundle that holds
// the old one, with its role.
func (s *Store) joinBundles(ctx context.Context, t *tx, oldID, newID string) error {
	bundles, err := collect(ctx, t, scanText, `SELECT bundle_id FROM bundle_items WHERE item_id = ?
		AND bundle_id NOT IN (SELECT bundle_id FROM bundle_items WHERE item_id = ?)`, oldID, newID)
	if err != nil {
		return err
	}
	for _, id := range bundles {
		if _, err := t.exec(ctx, `UPDATE bundle_items SET position = position + 1 WHERE bundle_id = ?
			AND position >= (SELECT position FROM bundle_items WHERE bundle_id = ? AND item_id = ?)`, id, id, oldID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO bundle_items (bundle_id, item_id, position, role)
			SELECT bundle_id, ?, position - 1, role FROM bundle_items WHERE bundle_id = ? AND item_id = ?`, newID, id, oldID); err != nil {
			return err
		}
		if err := s.rehash(ctx, t, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rehash(ctx context.Context, t *tx, bundleID string) error {
	fingerprints, err := collect(ctx, t, scanText, `SELECT i.fingerprint FROM bundle_items bi JOIN items i ON i.id = bi.item_id
		WHERE bi.bundle_id = ?`, bundleID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE bundles SET set_hash = ?, updated_at = ? WHERE id = ?`, setHash(fingerprints), s.now().UnixMilli(), bundleID)
	return err
}
