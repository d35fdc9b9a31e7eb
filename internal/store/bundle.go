package store

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// AddBundle stores a bundle. The same set of certificates under the same name
// is left as it is, but hostnames are added, constraints that are given take
// the place of the stored ones, and removed certificates return; created is
// false. The set counts as uploaded and as renewals have left it.
// A name in use by another set, a set stored under another name, and a revoked
// certificate are a fault.Conflict.
func (s *Store) AddBundle(ctx context.Context, b inventory.NewBundle) (bundle inventory.Bundle, created bool, err error) {
	fingerprints, err := checkBundle(b)
	if err != nil {
		return bundle, false, err
	}
	err = s.write(ctx, "adding a bundle", func(t *tx) error {
		id, err := t.bundleLike(ctx, b.Name, setHash(fingerprints))
		if err != nil {
			return err
		}
		switch created = id == ""; {
		case created:
			id, err = s.insertBundle(ctx, t, b, fingerprints)
		case b.Only:
			err = storedAlready(b.Name, id)
		default:
			err = s.extendBundle(ctx, t, id, b)
		}
		if err != nil {
			return err
		}
		bundle, err = s.bundle(ctx, t, id)
		return err
	})
	return bundle, created && err == nil, err
}

func checkBundle(b inventory.NewBundle) (fingerprints []string, err error) {
	if b.Name == "" || len(b.Certificates) == 0 || len(b.Roles) != len(b.Certificates) {
		return nil, fault.New(fault.Invalid, "bundle", "a bundle needs a name, certificates and a role for each")
	}
	for _, c := range b.Certificates {
		fingerprint := cert.Fingerprint(c)
		if slices.Contains(fingerprints, fingerprint) {
			return nil, fault.New(fault.Unprocessable, "duplicate", "the certificate %s is there twice", fingerprint).
				WithHint("upload each certificate once")
		}
		fingerprints = append(fingerprints, fingerprint)
	}
	return fingerprints, nil
}

// setHash is the identity of a set of certificates, whatever its order.
func setHash(fingerprints []string) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(fingerprints)), ",")))
	return hex.EncodeToString(sum[:])
}

// bundleLike returns the id of the bundle that an upload names again, "" when
// it is new.
func (t *tx) bundleLike(ctx context.Context, name, hash string) (id string, err error) {
	var uploaded, current string
	err = t.row(ctx, `SELECT id, uploaded_hash, set_hash FROM bundles WHERE name = ?`, name).Scan(&id, &uploaded, &current)
	switch {
	case err == nil && (hash == uploaded || hash == current):
		return id, nil
	case err == nil:
		return "", fault.New(fault.Conflict, "name_in_use", "the name %q is in use by a bundle of other certificates", name).
			WithField("name").WithHint("choose another name, or renew the certificates of that bundle")
	case !errors.Is(err, sql.ErrNoRows):
		return "", err
	}
	var other string
	err = t.row(ctx, `SELECT name FROM bundles WHERE uploaded_hash = ? OR set_hash = ? LIMIT 1`, hash, hash).Scan(&other)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "", fault.New(fault.Conflict, "same_set", "the same certificates are stored as %q", other).
		WithHint("add the hostnames to %q instead", other)
}

func (s *Store) insertBundle(ctx context.Context, t *tx, b inventory.NewBundle, fingerprints []string) (string, error) {
	id, hash, now := uuid.NewString(), setHash(fingerprints), s.now()
	_, err := t.exec(ctx, `INSERT INTO bundles (id, name, uploaded_hash, set_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)`,
		id, b.Name, hash, hash, now.UnixMilli(), now.UnixMilli())
	if err != nil {
		return "", err
	}
	for i, c := range b.Certificates {
		itemID, err := s.member(ctx, t, b, c)
		if err != nil {
			return "", err
		}
		if _, err := t.exec(ctx, `INSERT INTO bundle_items (bundle_id, item_id, position, role) VALUES (?, ?, ?, ?)`,
			id, itemID, i, b.Roles[i]); err != nil {
			return "", err
		}
	}
	if _, err := t.addHostnames(ctx, id, b.Hostnames); err != nil {
		return "", err
	}
	after := map[string]any{"name": b.Name, "hostnames": b.Hostnames, "fingerprints": fingerprints}
	if b.Constraints != nil {
		if err := t.setConstraints(ctx, id, *b.Constraints); err != nil {
			return "", err
		}
		after["constraints"] = describeConstraints(*b.Constraints)
	}
	if err := t.audit(ctx, now, b.Actor, change{
		action: "ca.add", object: "bundle:" + id, after: after,
	}); err != nil {
		return "", err
	}
	return id, t.placed(ctx)
}

// member returns the item of one certificate of an upload, trusted and watched.
func (s *Store) member(ctx context.Context, t *tx, b inventory.NewBundle, c *x509.Certificate) (string, error) {
	id, created, err := s.putItem(ctx, t, inventory.NewItem{
		Kind: alert.KindCA, Certificate: c, Labels: b.Labels, Source: b.Source, Actor: b.Actor,
	})
	if err != nil {
		return "", err
	}
	item, err := t.item(ctx, id)
	if err != nil {
		return "", err
	}
	if err := t.refuseRevoked(ctx, item); err != nil { // a new one too, when its key is
		return "", err
	}
	switch {
	case item.Trust == alert.Trusted && item.Watch == alert.Superseded:
		return id, s.useAgain(ctx, t, item, b)
	case created:
		return id, nil
	}
	return id, s.bringBack(ctx, t, item, b.Actor)
}

// useAgain watches a superseded certificate again that a new bundle holds
// without its successor: what is in use there ends with it.
func (s *Store) useAgain(ctx context.Context, t *tx, item alert.Item, b inventory.NewBundle) error {
	successor, err := t.item(ctx, item.ReplacedBy)
	if err != nil {
		return err
	}
	for _, c := range b.Certificates {
		if cert.Fingerprint(c) == successor.Fingerprint {
			return nil
		}
	}
	return s.transition(ctx, t, item, item.Trust, alert.Active, b.Actor, "item.add")
}

// refuseRevoked keeps what is revoked, by itself or by its key, from coming
// back by being added.
func (t *tx) refuseRevoked(ctx context.Context, item alert.Item) error {
	if item.Trust == alert.Trusted {
		return nil
	}
	if err := t.refuseRevokedKey(ctx, item); err != nil || item.Trust != alert.Revoked {
		return err
	}
	return fault.New(fault.Conflict, "revoked", "the certificate %s (%s) is revoked here", item.Fingerprint, item.Subject).
		WithHint("lift the revocation first: `certvigil cert unrevoke %s`", item.ID)
}

// extendBundle adds hostnames to a bundle that is uploaded again, gives it the
// constraints that come with it, and brings back those of its certificates
// that were removed.
func (s *Store) extendBundle(ctx context.Context, t *tx, id string, b inventory.NewBundle) error {
	removed, err := t.items(ctx, `JOIN bundle_items bi ON bi.item_id = i.id WHERE bi.bundle_id = ? AND i.trust = 'removed'`, id)
	if err != nil {
		return err
	}
	for _, item := range removed {
		if err := t.refuseRevoked(ctx, item); err != nil {
			return err
		}
		if err := s.bringBack(ctx, t, item, b.Actor); err != nil {
			return err
		}
	}
	if err := s.constrain(ctx, t, id, b); err != nil {
		return err
	}
	bundle, err := s.bundle(ctx, t, id)
	if err != nil {
		return err
	}
	added, err := t.addHostnames(ctx, id, b.Hostnames)
	if err != nil || len(added) == 0 {
		return err
	}
	now := s.now()
	if _, err := t.exec(ctx, `UPDATE bundles SET updated_at = ? WHERE id = ?`, now.UnixMilli(), id); err != nil {
		return err
	}
	if err := t.audit(ctx, now, b.Actor, change{
		action: "ca.hostnames", object: "bundle:" + id, before: map[string]any{"hostnames": bundle.Hostnames},
		after: map[string]any{"hostnames": slices.Sorted(slices.Values(slices.Concat(bundle.Hostnames, added)))},
	}); err != nil {
		return err
	}
	return t.placed(ctx)
}

// addHostnames returns those that are new.
func (t *tx) addHostnames(ctx context.Context, bundleID string, hostnames []string) (added []string, err error) {
	for _, hostname := range hostnames {
		n, err := t.exec(ctx, `INSERT INTO bundle_hostnames (bundle_id, hostname) VALUES (?, ?) ON CONFLICT DO NOTHING`, bundleID, hostname)
		if err != nil {
			return nil, err
		}
		if n == 1 {
			added = append(added, hostname)
		}
	}
	return added, nil
}

// RemoveBundle deletes a bundle. Its items that no other bundle holds become
// removed and are watched no longer; a revoked one stays revoked, so that
// uploading it again does not lift the revocation.
func (s *Store) RemoveBundle(ctx context.Context, id string, actor inventory.Actor, checks ...inventory.Check) error {
	return s.write(ctx, "removing a bundle", func(t *tx) error {
		bundle, err := s.bundle(ctx, t, id)
		if err != nil {
			return err
		}
		for _, check := range checks {
			if err := check(bundle); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, `DELETE FROM bundles WHERE id = ?`, id); err != nil {
			return err
		}
		// What was superseded goes first: it is not to be watched again for the
		// moment between its successor's removal and its own.
		for _, member := range slices.Backward(bundle.Members) {
			if err := s.abandon(ctx, t, member.Item.ID, actor); err != nil {
				return err
			}
		}
		if err := t.audit(ctx, s.now(), actor, change{
			action: "ca.remove", object: "bundle:" + id,
			before: map[string]any{"name": bundle.Name, "hostnames": bundle.Hostnames, "fingerprints": fingerprintsOf(bundle)},
		}); err != nil {
			return err
		}
		return t.placed(ctx)
	})
}

// abandon removes an item unless a bundle still holds it.
func (s *Store) abandon(ctx context.Context, t *tx, itemID string, actor inventory.Actor) error {
	item, err := t.item(ctx, itemID)
	if err != nil || len(item.Bundles) > 0 {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM proposals WHERE item_id = ?`, itemID); err != nil {
		return err
	}
	trust, watch := alert.Removed, item.Watch
	if item.Trust == alert.Revoked {
		trust = alert.Revoked
	}
	if watch != alert.Superseded {
		watch = alert.Ignored
	}
	return s.transition(ctx, t, item, trust, watch, actor, "item.remove")
}

func fingerprintsOf(b inventory.Bundle) []string {
	list := make([]string, len(b.Members))
	for i, m := range b.Members {
		list[i] = m.Item.Fingerprint
	}
	return list
}
