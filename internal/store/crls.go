package store

import (
	"context"
	"database/sql"
	"errors"
	"math/big"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// What selects the lists in force, and the certificates known of an issuer.
const (
	inForce  = `WHERE i.kind = 'crl' AND i.trust = 'trusted'`
	ofIssuer = `SELECT id, serial FROM items WHERE issuer = ? AND kind <> 'crl' ORDER BY serial, id`
)

// CRLs returns the lists in force, by their issuer's name.
func (s *Store) CRLs(ctx context.Context) ([]inventory.CRL, error) {
	var lists []inventory.CRL
	err := s.read(ctx, "listing revocation lists", func(t *tx) (err error) {
		lists, err = t.crlsInForce(ctx)
		return err
	})
	return lists, err
}

func (t *tx) crlsInForce(ctx context.Context) ([]inventory.CRL, error) {
	return t.crls(ctx, inForce+` ORDER BY i.subject, i.id`)
}

// CRL returns the list in force that ref names: by its item's id or
// fingerprint, its issuer's key, a unique prefix of at least 6 digits of these,
// or its issuer's name or common name.
func (s *Store) CRL(ctx context.Context, ref string) (inventory.CRL, error) {
	var found []inventory.CRL
	err := s.read(ctx, "looking up a revocation list", func(t *tx) (err error) {
		found, err = t.crls(ctx, inForce+` AND ? IN (i.id, i.fingerprint, c.issuer_key, i.subject, i.common_name) LIMIT 2`, ref)
		if from, to, ok := prefixRange(strings.ToLower(ref)); ok && err == nil && len(found) == 0 {
			found, err = t.crls(ctx, inForce+` AND (i.id >= ? AND i.id < ? OR i.fingerprint >= ? AND i.fingerprint < ?
				OR c.issuer_key >= ? AND c.issuer_key < ?) LIMIT 2`, from, to, from, to, from, to)
		}
		return err
	})
	switch {
	case err != nil:
		return inventory.CRL{}, err
	case len(found) == 0:
		return inventory.CRL{}, noCRL(ref)
	case len(found) > 1:
		return inventory.CRL{}, fault.New(fault.Conflict, "ambiguous", "%q names more than one revocation list", ref).WithHint("give its whole id")
	}
	return found[0], nil
}

func noCRL(ref string) error {
	return fault.New(fault.NotFound, "no_crl", "there is no revocation list %q", ref).
		WithHint("name it by its id or its issuer's name; `certvigil crl list` shows them")
}

// CRLData returns the DER of a list.
func (s *Store) CRLData(ctx context.Context, itemID string) ([]byte, error) {
	var der []byte
	err := s.read(ctx, "reading a revocation list", func(t *tx) error {
		err := t.row(ctx, `SELECT d.der FROM crls c JOIN item_der d ON d.item_id = c.item_id WHERE c.item_id = ?`, itemID).Scan(&der)
		if errors.Is(err, sql.ErrNoRows) {
			return noCRL(itemID)
		}
		return err
	})
	return der, err
}

func (t *tx) crl(ctx context.Context, id string) (inventory.CRL, error) {
	lists, err := t.crls(ctx, `WHERE i.id = ? AND i.kind = 'crl'`, id)
	if err != nil {
		return inventory.CRL{}, err
	}
	if len(lists) == 0 {
		return inventory.CRL{}, noCRL(id)
	}
	return lists[0], nil
}

// crls returns the lists of a query over crls c and items i.
func (t *tx) crls(ctx context.Context, where string, args ...any) ([]inventory.CRL, error) {
	lists, err := collect(ctx, t, scanCRL, `SELECT c.item_id, c.issuer_key, c.digest, c.number, c.entries, c.source, c.etag, c.last_modified,
		c.checked_at, c.refresh_at, c.failure, c.failing_since FROM items i JOIN crls c ON c.item_id = i.id `+where, args...)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(lists))
	for i, l := range lists {
		ids[i] = l.Item.ID
	}
	items, err := t.itemsByID(ctx, ids)
	for i := range lists {
		l := &lists[i]
		l.Item = items[l.Item.ID]
		l.ThisUpdate, l.NextUpdate = l.Item.NotBefore, l.Item.NotAfter
	}
	return lists, err
}

func scanCRL(row scanner) (l inventory.CRL, err error) {
	var (
		number                  string
		checked, refresh, since sql.NullInt64
	)
	if err := row.Scan(&l.Item.ID, &l.IssuerKey, &l.Digest, &number, &l.Entries, &l.Source, &l.ETag, &l.LastModified,
		&checked, &refresh, &l.Failure, &since); err != nil {
		return l, err
	}
	l.CheckedAt, l.RefreshAt, l.FailingSince = optional(checked), optional(refresh), optional(since)
	if number != "" {
		var ok bool
		if l.Number, ok = new(big.Int).SetString(number, 10); !ok {
			return l, errors.New("a stored CRLNumber is no number")
		}
	}
	return l, nil
}

// EachOfIssuer calls fn with every certificate that is known under an issuer's
// name, by serial. There may be a million: they are not held at once. fn must
// not use the store.
func (s *Store) EachOfIssuer(ctx context.Context, issuer string, fn func(itemID, serial string) error) error {
	return s.read(ctx, "reading the certificates of an issuer", func(t *tx) error {
		rows, err := t.sql.QueryContext(ctx, ofIssuer, issuer)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, serial string
			if err := rows.Scan(&id, &serial); err != nil {
				return err
			}
			if err := fn(id, serial); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
