package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

const itemColumns = `i.id, i.kind, i.fingerprint, i.subject, i.issuer, i.common_name, i.serial, i.sans, i.not_before, i.not_after,
	i.trust, i.watch, i.epoch, i.labels, i.used_at, i.next_due_at, i.replaced_by, i.created_at`

func scanItem(row scanner) (item alert.Item, err error) {
	var (
		sans, labels          string
		before, after, create int64
		used, due             sql.NullInt64
		replaced              sql.NullString
	)
	err = row.Scan(&item.ID, &item.Kind, &item.Fingerprint, &item.Subject, &item.Issuer, &item.CommonName, &item.Serial, &sans,
		&before, &after, &item.Trust, &item.Watch, &item.Epoch, &labels, &used, &due, &replaced, &create)
	if err != nil {
		return item, err
	}
	item.NotBefore, item.NotAfter, item.CreatedAt = fromMillis(before), fromMillis(after), fromMillis(create)
	item.UsedAt, item.NextDueAt, item.ReplacedBy = optional(used), optional(due), replaced.String
	item.Bundles, item.Hostnames, item.Sources = []string{}, []string{}, []alert.Source{}
	return item, errors.Join(json.Unmarshal([]byte(sans), &item.SANs), json.Unmarshal([]byte(labels), &item.Labels))
}

// items returns the items of a query over items i, with their bundles,
// hostnames and sources.
func (t *tx) items(ctx context.Context, where string, args ...any) ([]alert.Item, error) {
	items, err := collect(ctx, t, scanItem, `SELECT `+itemColumns+` FROM items i `+where, args...)
	if err != nil {
		return nil, err
	}
	return items, t.complete(ctx, items)
}

func (t *tx) item(ctx context.Context, id string) (alert.Item, error) {
	items, err := t.items(ctx, `WHERE i.id = ?`, id)
	if err != nil {
		return alert.Item{}, err
	}
	if len(items) == 0 {
		return alert.Item{}, fault.New(fault.NotFound, "no_item", "there is no item %q", id)
	}
	return items[0], nil
}

// itemsByID returns the items of ids by id.
func (t *tx) itemsByID(ctx context.Context, ids []string) (map[string]alert.Item, error) {
	byID := make(map[string]alert.Item, len(ids))
	err := inChunks(ids, func(in string, args []any) error {
		items, err := t.items(ctx, `WHERE i.id IN `+in, args...)
		for _, item := range items {
			byID[item.ID] = item
		}
		return err
	})
	return byID, err
}

// complete fills in what other tables know of the items.
func (t *tx) complete(ctx context.Context, items []alert.Item) error {
	byID := make(map[string]*alert.Item, len(items))
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ID
		byID[ids[i]] = &items[i]
	}
	return inChunks(ids, func(in string, args []any) error {
		if err := t.addBundles(ctx, byID, in, args); err != nil {
			return err
		}
		if err := t.eachPair(ctx, func(id, name string) { byID[id].Hostnames = append(byID[id].Hostnames, name) },
			`SELECT DISTINCT bi.item_id, h.hostname FROM bundle_items bi JOIN bundle_hostnames h ON h.bundle_id = bi.bundle_id
			WHERE bi.item_id IN `+in+` ORDER BY h.hostname`, args); err != nil {
			return err
		}
		if err := t.addHandlings(ctx, byID, in, args); err != nil {
			return err
		}
		return t.addSources(ctx, byID, in, args)
	})
}

func (t *tx) addBundles(ctx context.Context, byID map[string]*alert.Item, in string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
		var itemID, id, name string
		if err = row.Scan(&itemID, &id, &name); err == nil {
			item := byID[itemID]
			item.Bundles, item.BundleIDs = append(item.Bundles, name), append(item.BundleIDs, id)
		}
		return struct{}{}, err
	}, `SELECT bi.item_id, b.id, b.name FROM bundle_items bi JOIN bundles b ON b.id = bi.bundle_id
		WHERE bi.item_id IN `+in+` ORDER BY b.name`, args...)
	return err
}

func (t *tx) eachPair(ctx context.Context, add func(id, name string), query string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
		var id, name string
		if err = row.Scan(&id, &name); err == nil {
			add(id, name)
		}
		return
	}, query, args...)
	return err
}

func (t *tx) addSources(ctx context.Context, byID map[string]*alert.Item, in string, args []any) error {
	_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
		var (
			id          string
			source      alert.Source
			first, last int64
		)
		if err = row.Scan(&id, &source.Kind, &source.Reference, &first, &last, &source.Count); err == nil {
			source.FirstSeen, source.LastSeen = fromMillis(first), fromMillis(last)
			byID[id].Sources = append(byID[id].Sources, source)
		}
		return
	}, `SELECT item_id, kind, reference, first_seen, last_seen, count FROM item_sources
		WHERE item_id IN `+in+` ORDER BY item_id, first_seen, kind, reference`, args...)
	return err
}

// Item returns the item that ref names: its UUID, its fingerprint, a unique
// prefix of at least 6 digits of either, or its serial. Colons and case do not
// matter.
func (s *Store) Item(ctx context.Context, ref string) (alert.Item, error) {
	var item alert.Item
	err := s.read(ctx, "looking up an item", func(t *tx) error {
		id, err := t.resolveItem(ctx, ref)
		if err != nil {
			return err
		}
		item, err = t.item(ctx, id)
		return err
	})
	return item, err
}

func (t *tx) resolveItem(ctx context.Context, ref string) (string, error) {
	digits := digitsOf(ref)
	queries := []struct {
		query string
		args  []any
	}{
		{`SELECT id FROM items WHERE id = ? OR fingerprint = ?`, []any{digits, digits}},
		{`SELECT id FROM items WHERE serial = ? AND kind <> 'crl'`, []any{serialOf(digits)}},
	}
	if from, to, ok := prefixRange(digits); ok {
		queries[1].query += ` OR id >= ? AND id < ? OR fingerprint >= ? AND fingerprint < ?`
		queries[1].args = append(queries[1].args, from, to, from, to)
	}
	for _, q := range queries {
		ids, err := collect(ctx, t, scanText, q.query+` LIMIT 4`, q.args...)
		if err != nil {
			return "", err
		}
		switch len(ids) {
		case 0:
			continue
		case 1:
			return ids[0], nil
		}
		return "", fault.New(fault.Conflict, "ambiguous", "%q is ambiguous: it names %s", ref, strings.Join(ids, ", ")).
			WithHint("name the item by its id")
	}
	return "", fault.New(fault.NotFound, "no_item", "there is no item %q", ref).
		WithHint("name it by its id, its fingerprint, %d or more first digits of either, or its serial; `certvigil cert list` and `certvigil ca list` show them", shortestPrefix)
}

// serialOf writes a serial as cert.Serial does: whole bytes, none of them a
// leading zero.
func serialOf(digits string) string {
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	octets, err := hex.DecodeString(digits)
	if err != nil {
		return "" // no item has it
	}
	for len(octets) > 1 && octets[0] == 0 {
		octets = octets[1:]
	}
	return fmt.Sprintf("%X", octets)
}

// Items returns the items that the filter selects, the first to end first.
func (s *Store) Items(ctx context.Context, f inventory.ItemFilter) ([]alert.Item, error) {
	where := conditions{}.and(`i.kind = ?`, string(f.Kind)).and(`i.watch = ?`, string(f.Watch)).and(`i.subject = ?`, f.Subject).and(`i.spki_hash = ?`, f.Key)
	if !f.ExpiringBefore.IsZero() {
		where = where.and(`i.not_after < ?`, f.ExpiringBefore.UnixMilli())
	}
	clause, args := where.clause()
	var items []alert.Item
	err := s.read(ctx, "listing items", func(t *tx) (err error) {
		items, err = t.items(ctx, clause+` ORDER BY i.not_after, i.id`, args...)
		return err
	})
	return items, err
}

// Certificate returns the certificate of an item.
func (s *Store) Certificate(ctx context.Context, itemID string) (*x509.Certificate, error) {
	var c *x509.Certificate
	err := s.read(ctx, "reading a certificate", func(t *tx) (err error) {
		c, err = t.certificate(ctx, itemID)
		return err
	})
	return c, err
}

func (t *tx) certificate(ctx context.Context, itemID string) (*x509.Certificate, error) {
	var der []byte
	err := t.row(ctx, `SELECT der FROM item_der WHERE item_id = ?`, itemID).Scan(&der)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "no_item", "there is no item %q", itemID)
	}
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
