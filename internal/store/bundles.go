package store

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Bundle returns the bundle of an id, a name, or a unique prefix of at least 6
// digits of an id.
func (s *Store) Bundle(ctx context.Context, ref string) (inventory.Bundle, error) {
	var bundle inventory.Bundle
	err := s.read(ctx, "looking up a bundle", func(t *tx) (err error) {
		bundle, err = s.bundle(ctx, t, ref)
		return err
	})
	return bundle, err
}

// Bundles returns every bundle by name.
func (s *Store) Bundles(ctx context.Context) ([]inventory.Bundle, error) {
	var bundles []inventory.Bundle
	err := s.read(ctx, "listing bundles", func(t *tx) (err error) {
		bundles, err = s.bundles(ctx, t, `ORDER BY name`)
		return err
	})
	return bundles, err
}

func (s *Store) bundle(ctx context.Context, t *tx, ref string) (inventory.Bundle, error) {
	bundles, err := s.bundles(ctx, t, `WHERE id = ? OR name = ? ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1`, ref, ref, ref)
	if from, to, ok := prefixRange(strings.ToLower(ref)); ok && err == nil && len(bundles) == 0 {
		bundles, err = s.bundles(ctx, t, `WHERE id >= ? AND id < ? LIMIT 2`, from, to)
	}
	switch {
	case err != nil:
		return inventory.Bundle{}, err
	case len(bundles) == 0:
		return inventory.Bundle{}, fault.New(fault.NotFound, "no_bundle", "there is no CA bundle %q", ref).
			WithHint("name it by its name or id; `certvigil ca list` shows them")
	case len(bundles) > 1:
		return inventory.Bundle{}, fault.New(fault.Conflict, "ambiguous", "%q names more than one CA bundle", ref).WithHint("give its whole id")
	}
	return bundles[0], nil
}

// bundles returns the bundles of a query with all they hold.
func (s *Store) bundles(ctx context.Context, t *tx, clause string, args ...any) ([]inventory.Bundle, error) {
	bundles, err := collect(ctx, t, scanBundle, `SELECT id, name, created_at, updated_at, permit_san, permit_cn, max_leaf_ns FROM bundles `+clause, args...)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*inventory.Bundle, len(bundles))
	ids := make([]string, len(bundles))
	for i := range bundles {
		ids[i] = bundles[i].ID
		byID[ids[i]] = &bundles[i]
	}
	return bundles, inChunks(ids, func(in string, args []any) error {
		if err := t.eachPair(ctx, func(id, name string) { byID[id].Hostnames = append(byID[id].Hostnames, name) },
			`SELECT bundle_id, hostname FROM bundle_hostnames WHERE bundle_id IN `+in+` ORDER BY hostname`, args); err != nil {
			return err
		}
		return s.addMembers(ctx, t, byID, in, args)
	})
}

func scanBundle(row scanner) (inventory.Bundle, error) {
	var created, updated int64
	var sans, names string
	b := inventory.Bundle{Hostnames: []string{}, Members: []inventory.Member{}}
	if err := row.Scan(&b.ID, &b.Name, &created, &updated, &sans, &names, &b.Constraints.MaxLeafLifetime); err != nil {
		return b, err
	}
	b.CreatedAt, b.UpdatedAt = fromMillis(created), fromMillis(updated)
	return b, errors.Join(json.Unmarshal([]byte(sans), &b.Constraints.PermitSAN), json.Unmarshal([]byte(names), &b.Constraints.PermitCN))
}

// A membership is a row of bundle_items.
type membership struct {
	bundleID, itemID string
	role             inventory.Role
}

func (s *Store) addMembers(ctx context.Context, t *tx, byID map[string]*inventory.Bundle, in string, args []any) error {
	rows, err := collect(ctx, t, func(row scanner) (m membership, err error) {
		err = row.Scan(&m.bundleID, &m.itemID, &m.role)
		return m, err
	}, `SELECT bundle_id, item_id, role FROM bundle_items WHERE bundle_id IN `+in+` ORDER BY bundle_id, position`, args...)
	if err != nil {
		return err
	}
	ids := make([]string, len(rows))
	for i, m := range rows {
		ids[i] = m.itemID
	}
	items, err := t.itemsByID(ctx, ids)
	if err != nil {
		return err
	}
	for _, m := range rows {
		item := items[m.itemID]
		c, err := s.parsedCertificate(ctx, t, item.ID, item.Fingerprint)
		if err != nil {
			return err
		}
		b := byID[m.bundleID]
		b.Members = append(b.Members, inventory.Member{Item: item, Role: m.role, Certificate: c})
	}
	return nil
}

// parsedCertificate remembers what it parsed: the trust snapshot is read again
// at every change. It serves members of bundles only, which are few.
func (s *Store) parsedCertificate(ctx context.Context, t *tx, itemID, fingerprint string) (*x509.Certificate, error) {
	s.parsed.Lock()
	c := s.parsed.certs[fingerprint]
	s.parsed.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := t.certificate(ctx, itemID)
	if err != nil {
		return nil, err
	}
	s.parsed.Lock()
	s.parsed.certs[fingerprint] = c
	s.parsed.Unlock()
	return c, nil
}
