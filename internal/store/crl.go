package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// AddCRL stores a revocation list in the place of the one that its issuer's
// key signed before: the same item, with a later end. The same list again
// changes no more than its source; created is false. One that is older than
// the stored one is a fault.Conflict, unless that is accepted.
func (s *Store) AddCRL(ctx context.Context, n inventory.NewCRL) (list inventory.CRL, created bool, err error) {
	if n.List == nil || n.Issuer == nil || len(n.DER) == 0 {
		return list, false, fault.New(fault.Invalid, "crl", "there is no revocation list, or nobody signed it")
	}
	sum := sha256.Sum256(n.DER)
	digest := hex.EncodeToString(sum[:])
	err = s.write(ctx, "adding a revocation list", func(t *tx) error {
		old, err := t.crls(ctx, `WHERE i.fingerprint = ? AND i.kind = 'crl'`, crlIdentity(cert.KeyHash(n.Issuer)))
		if err != nil {
			return err
		}
		var id string
		if len(old) == 0 {
			created = true
			id, err = s.insertCRL(ctx, t, n, digest)
		} else {
			id = old[0].Item.ID
			created, err = s.updateCRL(ctx, t, old[0], n, digest)
		}
		if err != nil {
			return err
		}
		list, err = t.crl(ctx, id)
		return err
	})
	return list, created && err == nil, err
}

// crlIdentity is the fingerprint of a list's item: a hash of its issuer's key
// and its distribution point. That is always the empty one, since a list that
// covers part of its issuer's certificates is refused.
func crlIdentity(issuerKey string) string {
	sum := sha256.Sum256([]byte("crl\x00" + issuerKey + "\x00"))
	return hex.EncodeToString(sum[:])
}

// A new list is active even when its thisUpdate is some minutes ahead: clocks
// differ, and nobody waits for it to begin.
func (s *Store) insertCRL(ctx context.Context, t *tx, n inventory.NewCRL, digest string) (string, error) {
	id, now := uuid.NewString(), s.now()
	_, err := t.exec(ctx, `INSERT INTO items (id, kind, fingerprint, spki_hash, subject, issuer, common_name, serial, sans,
			not_before, not_after, trust, watch, epoch, labels, next_due_at, created_at)
		VALUES (?, 'crl', ?, '', ?, ?, ?, ?, '[]', ?, ?, 'trusted', 'active', 1, '{}', 0, ?)`,
		id, crlIdentity(cert.KeyHash(n.Issuer)), cert.SubjectDN(n.Issuer), cert.SubjectDN(n.Issuer), first(cert.CommonNames(n.Issuer)),
		crlSerial(n.List.Number), n.List.ThisUpdate.UnixMilli(), n.List.NextUpdate.UnixMilli(), now.UnixMilli())
	if err != nil {
		return "", err
	}
	if _, err := t.exec(ctx, `INSERT INTO item_der (item_id, der) VALUES (?, ?)`, id, n.DER); err != nil {
		return "", err
	}
	if _, err := t.exec(ctx, `INSERT INTO crls (item_id, issuer_key, digest, number, entries, source, etag, last_modified, failure)
		VALUES (?, ?, ?, ?, ?, '', '', '', '')`, id, cert.KeyHash(n.Issuer), digest, numberText(n.List.Number), n.List.Len()); err != nil {
		return "", err
	}
	if err := s.sourceCRL(ctx, t, id, n); err != nil {
		return "", err
	}
	return id, s.crlChanged(ctx, t, id, n, "crl.add", nil)
}

// updateCRL reports whether the list differs from the stored one.
func (s *Store) updateCRL(ctx context.Context, t *tx, old inventory.CRL, n inventory.NewCRL, digest string) (changed bool, err error) {
	id, action := old.Item.ID, "crl.replace"
	if old.Item.Trust != alert.Trusted { // it was removed: whatever it was binds no longer
		if err := t.forgetSource(ctx, id); err != nil {
			return false, err
		}
		action = "crl.add"
	} else if old.Digest == digest {
		return false, s.sameCRL(ctx, t, old, n)
	} else if err := checkRollback(old, n); err != nil {
		return false, err
	}
	if _, err := t.exec(ctx, `UPDATE item_der SET der = ? WHERE item_id = ?`, n.DER, id); err != nil {
		return false, err
	}
	if _, err := t.exec(ctx, `UPDATE crls SET digest = ?, number = ?, entries = ? WHERE item_id = ?`,
		digest, numberText(n.List.Number), n.List.Len(), id); err != nil {
		return false, err
	}
	if err := s.prolong(ctx, t, old.Item, n); err != nil {
		return false, err
	}
	if err := s.sourceCRL(ctx, t, id, n); err != nil {
		return false, err
	}
	return true, s.crlChanged(ctx, t, id, n, action, describeCRL(old.Number, old.ThisUpdate, old.NextUpdate, old.Entries))
}

// checkRollback keeps an older list from giving back what a newer one took:
// neither the number may go back nor, where one of the two has none or both
// are the same, the time.
func checkRollback(old inventory.CRL, n inventory.NewCRL) error {
	back := n.List.ThisUpdate.Before(old.ThisUpdate)
	if old.Number != nil && n.List.Number != nil && old.Number.Cmp(n.List.Number) != 0 {
		back = n.List.Number.Cmp(old.Number) < 0
	}
	if !back || n.AcceptRollback {
		return nil
	}
	return fault.New(fault.Conflict, "crl_rollback", "the list of %s (%s) is older than the stored one (%s)", old.Item.Subject,
		crlAge(n.List.Number, n.List.ThisUpdate), crlAge(old.Number, old.ThisUpdate)).
		WithHint("get the newest list of that CA; if this one is meant, pass --accept-rollback")
}

func crlAge(number *big.Int, thisUpdate time.Time) string {
	at := "of " + thisUpdate.UTC().Format(time.RFC3339)
	if number == nil {
		return at
	}
	return "number " + number.String() + ", " + at
}

// prolong gives the item the new list's dates. Another end arms the thresholds
// again, in a new epoch, and what was to be told of the old one is not told. A
// removed item returns; an ignored one stays ignored.
func (s *Store) prolong(ctx context.Context, t *tx, item alert.Item, n inventory.NewCRL) error {
	watch, epoch, due := item.Watch, item.Epoch, sql.NullInt64{}
	if item.Trust != alert.Trusted {
		watch = alert.Active
	}
	rearmed := watch == alert.Active && (item.Trust != alert.Trusted || !item.NotAfter.Equal(n.List.NextUpdate))
	switch {
	case rearmed:
		epoch++
		due.Valid = true // at 0: the next scan looks at it
	case item.NextDueAt != nil:
		due = millis(*item.NextDueAt)
	}
	if rearmed && n.List.NextUpdate.After(item.NotAfter) {
		if err := t.end(ctx, item.ID, item.Epoch, alert.EventRenewed, s.now()); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, `UPDATE items SET serial = ?, not_before = ?, not_after = ?, trust = 'trusted', watch = ?, epoch = ?, next_due_at = ? WHERE id = ?`,
		crlSerial(n.List.Number), n.List.ThisUpdate.UnixMilli(), n.List.NextUpdate.UnixMilli(), watch, epoch, due, item.ID); err != nil || !rearmed {
		return err
	}
	return t.cancelDeliveries(ctx, item.ID, s.now())
}

// sameCRL takes over no more than where the list came from.
func (s *Store) sameCRL(ctx context.Context, t *tx, old inventory.CRL, n inventory.NewCRL) error {
	if err := s.sourceCRL(ctx, t, old.Item.ID, n); err != nil || n.Source == "" || n.Source == old.Source {
		return err
	}
	return t.audit(ctx, s.now(), n.Actor, change{
		action: "crl.source", object: "item:" + old.Item.ID,
		before: map[string]any{"source": old.Source}, after: map[string]any{"source": n.Source},
	})
}

// sourceCRL records where a list came from. A list that was read from its
// source has reached it, whatever failed before.
func (s *Store) sourceCRL(ctx context.Context, t *tx, id string, n inventory.NewCRL) error {
	now := s.now()
	source := alert.Source{Kind: alert.SourceUpload, Reference: n.Actor.ID}
	switch {
	case strings.Contains(n.Source, "://"):
		source = alert.Source{Kind: alert.SourceEndpoint, Reference: n.Source}
	case n.Source != "":
		source = alert.Source{Kind: alert.SourceFile, Reference: n.Source}
	}
	if _, err := t.sighted(ctx, id, source, now); err != nil || n.Source == "" {
		return err
	}
	refresh := now
	if n.RefreshAt != nil {
		refresh = *n.RefreshAt
	}
	_, err := t.exec(ctx, `UPDATE crls SET source = ?, etag = ?, last_modified = ?, checked_at = ?, refresh_at = ?, failure = '', failing_since = NULL
		WHERE item_id = ?`, n.Source, n.ETag, n.LastModified, now.UnixMilli(), refresh.UnixMilli(), id)
	return err
}

func (t *tx) forgetSource(ctx context.Context, id string) error {
	_, err := t.exec(ctx, `UPDATE crls SET source = '', etag = '', last_modified = '', checked_at = NULL, refresh_at = NULL, failure = '', failing_since = NULL
		WHERE item_id = ?`, id)
	return err
}

func (s *Store) crlChanged(ctx context.Context, t *tx, id string, n inventory.NewCRL, action string, before map[string]any) error {
	if err := t.audit(ctx, s.now(), n.Actor, change{
		action: action, object: "item:" + id, before: before,
		after: describeCRL(n.List.Number, n.List.ThisUpdate, n.List.NextUpdate, n.List.Len()),
	}); err != nil {
		return err
	}
	return t.bumpGeneration(ctx)
}

func describeCRL(number *big.Int, thisUpdate, nextUpdate time.Time, entries int) map[string]any {
	return map[string]any{
		"number": numberText(number), "entries": entries,
		"this_update": thisUpdate.UTC().Format(time.RFC3339), "next_update": nextUpdate.UTC().Format(time.RFC3339),
	}
}

func crlSerial(number *big.Int) string {
	if number == nil {
		return ""
	}
	return cert.FormatSerial(number)
}

func numberText(number *big.Int) string {
	if number == nil {
		return ""
	}
	return number.String()
}

// NoteCRLRefresh records what came of looking at a list's source when the list
// did not change, and announces it, in one transaction.
func (s *Store) NoteCRLRefresh(ctx context.Context, itemID string, r inventory.CRLRefresh) error {
	now := s.now().UnixMilli()
	query, args := `UPDATE crls SET failure = '', failing_since = NULL, checked_at = ?, refresh_at = ? WHERE item_id = ?`, []any{now, millis(r.RefreshAt), itemID}
	if r.Failure != "" {
		query = `UPDATE crls SET failure = ?, failing_since = COALESCE(failing_since, ?), refresh_at = ? WHERE item_id = ?`
		args = []any{r.Failure, now, millis(r.RefreshAt), itemID}
	}
	return s.write(ctx, "recording a refresh", func(t *tx) error {
		changed, err := t.exec(ctx, query, args...)
		if err == nil && changed == 0 {
			return noCRL(itemID)
		}
		for i := range r.Notices {
			err = errors.Join(err, t.insertNotice(ctx, &r.Notices[i]))
		}
		return err
	})
}

// RemoveCRL takes a list out of force: it revokes nobody any longer, is
// watched and refreshed no longer, and binds no list that comes after it.
func (s *Store) RemoveCRL(ctx context.Context, itemID string, actor inventory.Actor) error {
	return s.write(ctx, "removing a revocation list", func(t *tx) error {
		list, err := t.crl(ctx, itemID)
		if err != nil {
			return err
		}
		if err := t.forgetSource(ctx, itemID); err != nil {
			return err
		}
		return s.transition(ctx, t, list.Item, alert.Removed, alert.Ignored, actor, "crl.remove")
	})
}
