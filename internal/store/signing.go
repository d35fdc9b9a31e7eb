package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A SigningKey is an opened private key that signs tokens for applications, or
// did until it was retired.
type SigningKey struct {
	KID       string
	DER       []byte // the private key, as it was given to AddSigningKey
	CreatedAt time.Time
	RetiredAt *time.Time
}

type sealedKey struct {
	SigningKey
	sealed []byte
}

// keyObject names a signing key in the audit trail.
func keyObject(kid string) string { return "key:" + kid }

func sealedAs(kid string) string { return "signing_keys/" + kid }

// SigningKeys opens every signing key, newest first. It is a fault when the
// key file is not the one that sealed them.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	aead, err := s.cipher(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.sealedKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]SigningKey, len(rows))
	for i, row := range rows {
		keys[i] = row.SigningKey
		if keys[i].DER, err = unseal(aead, row.sealed, sealedAs(row.KID)); err != nil {
			return nil, fmt.Errorf("reading the signing key %s: %w", row.KID, err)
		}
	}
	return keys, nil
}

// AddSigningKey seals a private key and stores it. A kid that is in use is a
// fault.Conflict.
func (s *Store) AddSigningKey(ctx context.Context, kid string, der []byte, actor inventory.Actor) error {
	aead, err := s.cipher(ctx)
	if err != nil {
		return err
	}
	sealed, err := seal(aead, der, sealedAs(kid))
	if err != nil {
		return fmt.Errorf("sealing a signing key: %w", err)
	}
	return s.write(ctx, "storing a signing key", func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO signing_keys (kid, sealed, created_at) VALUES (?, ?, ?)`, kid, sealed, s.now().UnixMilli())
		if isUnique(err) {
			return fault.New(fault.Conflict, "kid_in_use", "there is a signing key %s already", kid)
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{action: "key.add", object: keyObject(kid), after: map[string]any{"kid": kid}})
	})
}

// RemoveSigningKey deletes a signing key: what it signed can be verified no
// longer. One that is not there is a fault.NotFound.
func (s *Store) RemoveSigningKey(ctx context.Context, kid string, actor inventory.Actor) error {
	return s.write(ctx, "removing a signing key", func(t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM signing_keys WHERE kid = ?`, kid)
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "no_kid", "there is no signing key %s", kid)
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{action: "key.remove", object: keyObject(kid), before: map[string]any{"kid": kid}})
	})
}

func (s *Store) sealedKeys(ctx context.Context) ([]sealedKey, error) {
	var rows []sealedKey
	err := s.read(ctx, "reading the signing keys", func(t *tx) (err error) {
		rows, err = collect(ctx, t, scanSealedKey, `SELECT kid, sealed, created_at, retired_at FROM signing_keys ORDER BY created_at DESC, kid`)
		return err
	})
	return rows, err
}

func scanSealedKey(row scanner) (k sealedKey, err error) {
	var (
		created int64
		retired sql.NullInt64
	)
	err = row.Scan(&k.KID, &k.sealed, &created, &retired)
	k.CreatedAt, k.RetiredAt = fromMillis(created), optional(retired)
	return k, err
}

// KeyRotation returns after how long the API has the signing keys replaced, 0
// if it never said.
func (s *Store) KeyRotation(ctx context.Context) (every time.Duration, err error) {
	err = s.read(ctx, "reading the rotation of the signing keys", func(t *tx) error {
		every, err = t.keyRotation(ctx)
		return err
	})
	return every, err
}

func (t *tx) keyRotation(ctx context.Context) (time.Duration, error) {
	text, err := t.meta(ctx, metaKeyRotation)
	if err != nil || text == "" {
		return 0, err
	}
	return time.ParseDuration(text)
}

// SetKeyRotation has the signing keys replaced after a span. The same again
// changes nothing.
func (s *Store) SetKeyRotation(ctx context.Context, every time.Duration, actor inventory.Actor) error {
	return s.write(ctx, "storing the rotation of the signing keys", func(t *tx) error {
		before, err := t.keyRotation(ctx)
		if err != nil || before == every {
			return err
		}
		if err := t.setMeta(ctx, metaKeyRotation, every.String()); err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "keys.update", object: "settings:keys", before: describeRotation(before), after: describeRotation(every),
		})
	})
}

// describeRotation is nil while the API has never said.
func describeRotation(every time.Duration) map[string]any {
	if every == 0 {
		return nil
	}
	return map[string]any{"key_rotation": every.String()}
}

// Audience returns the aud claim of an application, 64 random hex digits that
// stay the same for good; the first call makes them.
func (s *Store) Audience(ctx context.Context, applicationID string) (string, error) {
	find := func(t *tx) ([]string, error) {
		return collect(ctx, t, scanText, `SELECT aud FROM audiences WHERE application_id = ?`, applicationID)
	}
	var found []string
	err := s.read(ctx, "reading an audience", func(t *tx) (err error) {
		found, err = find(t)
		return err
	})
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	const octets = 32
	random := make([]byte, octets)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	err = s.write(ctx, "making an audience", func(t *tx) error {
		if _, err := t.exec(ctx, `INSERT INTO audiences (application_id, aud, created_at) VALUES (?, ?, ?)
			ON CONFLICT (application_id) DO NOTHING`, applicationID, hex.EncodeToString(random), s.now().UnixMilli()); err != nil {
			return err
		}
		found, err = find(t)
		return err
	})
	return first(found), err
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
