package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// SetKeyTrust denies every certificate with a key, known or not, now or later,
// or takes that back. key is the SHA-256 of a SubjectPublicKeyInfo in
// lower-case hex. Known certificates with that key become revoked, and trusted
// again when it is taken back, also those that were revoked by themselves.
func (s *Store) SetKeyTrust(ctx context.Context, key string, revoked bool, actor inventory.Actor) error {
	if octets, err := hex.DecodeString(key); err != nil || len(octets) != sha256.Size || hex.EncodeToString(octets) != key {
		return fault.New(fault.Invalid, "key", "%q is not the SHA-256 of a public key", key).WithHint("give 64 lower-case hex digits")
	}
	return s.write(ctx, "changing a key's trust", func(t *tx) error {
		changed, err := s.setKeyTrust(ctx, t, key, revoked, actor)
		if err != nil || !changed {
			return err
		}
		return t.bumpGeneration(ctx)
	})
}

// setKeyTrust reports whether the key's own trust changed.
func (s *Store) setKeyTrust(ctx context.Context, t *tx, key string, revoked bool, actor inventory.Actor) (changed bool, err error) {
	query, args, action := `DELETE FROM revoked_keys WHERE spki_hash = ?`, []any{key}, "key.unrevoke"
	from, to := alert.Revoked, alert.Trusted
	if revoked {
		query, args, action = `INSERT INTO revoked_keys (spki_hash, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, []any{key, s.now().UnixMilli()}, "key.revoke"
		from, to = alert.Trusted, alert.Revoked
	}
	n, err := t.exec(ctx, query, args...)
	if err != nil || n == 0 && revoked {
		return false, err
	}
	if n > 0 {
		if err := t.audit(ctx, s.now(), actor, change{
			action: action, object: "key:" + key, before: map[string]any{"revoked": !revoked}, after: map[string]any{"revoked": revoked},
		}); err != nil {
			return false, err
		}
	}
	items, err := t.items(ctx, `WHERE i.spki_hash = ? AND i.trust = ? AND i.kind <> 'crl' ORDER BY i.id`, key, from)
	if err != nil {
		return false, err
	}
	for _, item := range items {
		// One that is moved may have moved another of the list.
		if item, err = t.item(ctx, item.ID); err != nil {
			return false, err
		}
		if err := s.transition(ctx, t, item, to, item.Watch, actor, "item.trust"); err != nil {
			return false, err
		}
	}
	return n > 0, nil
}

func (t *tx) keyRevoked(ctx context.Context, key string) (revoked bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM revoked_keys WHERE spki_hash = ?)`, key).Scan(&revoked)
	return revoked, err
}

func (t *tx) itemKeyRevoked(ctx context.Context, itemID string) (revoked bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM items i JOIN revoked_keys k ON k.spki_hash = i.spki_hash WHERE i.id = ?)`, itemID).Scan(&revoked)
	return revoked, err
}
