package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A batchItem is the outcome for one certificate of a batch.
type batchItem struct {
	id      string
	created bool
}

// AddItem stores a certificate; one already known gets the new source, and
// created is false. One that was removed or ignored returns with a new epoch.
// One that is revoked stays revoked.
func (s *Store) AddItem(ctx context.Context, n inventory.NewItem) (item alert.Item, created bool, err error) {
	err = s.write(ctx, "adding a certificate", func(t *tx) error {
		added, err := s.addItem(ctx, t, n)
		if err != nil {
			return err
		}
		created = added.created
		item, err = t.item(ctx, added.id)
		return err
	})
	return item, created, err
}

// AddItems stores many certificates in one transaction, whole or not at all,
// each as [Store.AddItem] would. It returns how many were not known before.
func (s *Store) AddItems(ctx context.Context, list []inventory.NewItem) (created int, err error) {
	err = s.write(ctx, "adding certificates", func(t *tx) error {
		for _, n := range list {
			added, err := s.addItem(ctx, t, n)
			if err != nil {
				return err
			}
			if added.created {
				created++
			}
		}
		return nil
	})
	return created, err
}

func (s *Store) addItem(ctx context.Context, t *tx, n inventory.NewItem) (batchItem, error) {
	id, created, err := s.putItem(ctx, t, n)
	if err != nil {
		return batchItem{}, err
	}
	if created {
		return batchItem{id, true}, t.audit(ctx, s.now(), n.Actor, change{
			action: "item.add", object: "item:" + id, after: describe(n.Kind, n.Certificate),
		})
	}
	item, err := t.item(ctx, id)
	if err != nil {
		return batchItem{}, err
	}
	return batchItem{id: id}, s.bringBack(ctx, t, item, n.Actor)
}

// bringBack returns a removed or ignored item to active, as an explicit
// addition asks. Revocation and supersession are not undone by adding.
func (s *Store) bringBack(ctx context.Context, t *tx, item alert.Item, actor inventory.Actor) error {
	gone := item.Trust == alert.Removed || item.Trust == alert.Trusted && item.Watch == alert.Ignored
	if !gone {
		return nil
	}
	revoked, err := t.itemKeyRevoked(ctx, item.ID)
	if err != nil {
		return err
	}
	trust := alert.Trusted
	if revoked {
		trust = alert.Revoked
	}
	return s.transition(ctx, t, item, trust, alert.Active, actor, "item.add")
}

func describe(kind alert.Kind, c *x509.Certificate) map[string]any {
	return map[string]any{
		"kind": kind, "fingerprint": cert.Fingerprint(c), "subject": cert.SubjectDN(c),
		"not_after": c.NotAfter.UTC().Format(time.RFC3339),
	}
}

// putItem finds or inserts the row of a certificate and records the source.
func (s *Store) putItem(ctx context.Context, t *tx, n inventory.NewItem) (id string, created bool, err error) {
	if n.Certificate == nil {
		return "", false, fault.New(fault.Invalid, "no_certificate", "there is no certificate to add")
	}
	err = t.row(ctx, `SELECT id FROM items WHERE fingerprint = ? AND kind = ?`, cert.Fingerprint(n.Certificate), n.Kind).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if id, err = s.insertItem(ctx, t, n); err != nil {
			return "", false, err
		}
		_, err = t.sighted(ctx, id, n.Source, s.now())
		return id, true, err
	case err != nil:
		return "", false, err
	}
	return id, false, s.touchItem(ctx, t, id, n)
}

func (s *Store) insertItem(ctx context.Context, t *tx, n inventory.NewItem) (string, error) {
	c, now, id := n.Certificate, s.now(), uuid.NewString()
	// A new item is due at once: the next scan looks at it and sets the rest.
	watch, epoch, due := alert.Active, 1, sql.NullInt64{Valid: true}
	if c.NotBefore.After(now) {
		watch, epoch, due = alert.Pending, 0, sql.NullInt64{}
	}
	key, trust := cert.KeyHash(c), alert.Trusted
	if revoked, err := t.keyRevoked(ctx, key); err != nil {
		return "", err
	} else if revoked {
		trust, due = alert.Revoked, sql.NullInt64{}
	}
	var name string
	if names := cert.CommonNames(c); len(names) > 0 {
		name = names[0]
	}
	_, err := t.exec(ctx, `INSERT INTO items (id, kind, fingerprint, spki_hash, subject, issuer, common_name, serial, sans,
			not_before, not_after, trust, watch, epoch, labels, next_due_at, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, n.Kind, cert.Fingerprint(c), key, cert.SubjectDN(c), cert.IssuerDN(c), name,
		cert.Serial(c), jsonText(orEmpty(cert.SANs(c))), c.NotBefore.UnixMilli(), c.NotAfter.UnixMilli(),
		trust, watch, epoch, jsonText(labelsOf(n.Labels)), due, now.UnixMilli())
	if err != nil {
		return "", err
	}
	_, err = t.exec(ctx, `INSERT INTO item_der (item_id, der) VALUES (?, ?)`, id, c.Raw)
	return id, err
}

// touchItem records one more source, and labels that were not known. Both may
// change which rules and thresholds hold, so the next scan looks at the item.
func (s *Store) touchItem(ctx context.Context, t *tx, id string, n inventory.NewItem) error {
	added, err := t.sighted(ctx, id, n.Source, s.now())
	if err != nil {
		return err
	}
	relabelled, err := s.mergeLabels(ctx, t, id, n)
	if err != nil || !relabelled && (!added || n.Source.Kind == alert.SourceObserved) {
		return err
	}
	return t.dueNow(ctx, id)
}

func (t *tx) dueNow(ctx context.Context, id string) error {
	_, err := t.exec(ctx, `UPDATE items AS i SET next_due_at = 0 WHERE i.id = ? AND `+watched+` AND trust = 'trusted'`, id)
	return err
}

// mergeLabels adds labels to an item's, and reports whether any is new.
func (s *Store) mergeLabels(ctx context.Context, t *tx, id string, n inventory.NewItem) (bool, error) {
	if len(n.Labels) == 0 {
		return false, nil
	}
	var text string
	if err := t.row(ctx, `SELECT labels FROM items WHERE id = ?`, id).Scan(&text); err != nil {
		return false, err
	}
	var old map[string]string
	if err := json.Unmarshal([]byte(text), &old); err != nil {
		return false, err
	}
	merged := maps.Clone(old)
	maps.Copy(merged, n.Labels)
	if maps.Equal(old, merged) {
		return false, nil
	}
	if err := t.setLabels(ctx, id, merged); err != nil {
		return false, err
	}
	return true, t.audit(ctx, s.now(), n.Actor, change{
		action: "item.labels", object: "item:" + id,
		before: map[string]any{"labels": labelsOf(old)}, after: map[string]any{"labels": merged},
	})
}

func (t *tx) setLabels(ctx context.Context, id string, labels map[string]string) error {
	_, err := t.exec(ctx, `UPDATE items SET labels = ? WHERE id = ?`, jsonText(labelsOf(labels)), id)
	return err
}

// sighted records where an item was seen, and reports whether it is the first
// time there. Times that the source leaves out are now; without a count it is
// once.
func (t *tx) sighted(ctx context.Context, id string, source alert.Source, now time.Time) (added bool, err error) {
	if source.Kind == "" {
		return false, nil
	}
	if source.LastSeen.IsZero() {
		source.LastSeen = now
	}
	if source.FirstSeen.IsZero() {
		source.FirstSeen = source.LastSeen
	}
	first, last, count := source.FirstSeen.UnixMilli(), source.LastSeen.UnixMilli(), max(source.Count, 1)
	inserted, err := t.exec(ctx, `INSERT INTO item_sources (item_id, kind, reference, first_seen, last_seen, count)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, id, source.Kind, source.Reference, first, last, count)
	if err != nil || inserted == 1 {
		return inserted == 1, err
	}
	_, err = t.exec(ctx, `UPDATE item_sources SET count = count + ?,
			first_seen = CASE WHEN first_seen < ? THEN first_seen ELSE ? END,
			last_seen = CASE WHEN last_seen > ? THEN last_seen ELSE ? END
		WHERE item_id = ? AND kind = ? AND reference = ?`, count, first, first, last, last, id, source.Kind, source.Reference)
	return false, err
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func labelsOf(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}
