package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// An invariant is a query that finds what must not be.
type invariant struct{ says, query string }

var invariants = []invariant{
	{"a delivery tells of nothing", `SELECT id FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM delivery_alerts WHERE delivery_id = deliveries.id)`},
	{
		"a delivery is settled without a time, or has one without being settled",
		`SELECT id FROM deliveries WHERE (state IN ('sent', 'dead', 'cancelled')) <> (settled_at IS NOT NULL)`,
	},
	{
		"a delivery is being sent by nobody, or held without being sent",
		`SELECT id FROM deliveries WHERE (state = 'sending') <> (lease_owner IS NOT NULL AND lease_until IS NOT NULL)`,
	},
	{"an alert of an item names another subject", `SELECT id FROM alerts WHERE item_id IS NOT NULL AND subject <> item_id`},
	{"an alert speaks of an epoch to come", `SELECT a.id FROM alerts a JOIN items i ON i.id = a.item_id WHERE a.epoch > i.epoch`},
	{"an ending is of an epoch to come", `SELECT e.item_id FROM endings e JOIN items i ON i.id = e.item_id WHERE e.epoch > i.epoch`},
	{"an epoch goes on with one that did not come before it", `SELECT item_id FROM continuations WHERE began >= epoch`},
	{"an item was acknowledged in an epoch to come", `SELECT h.item_id FROM handlings h JOIN items i ON i.id = h.item_id WHERE h.epoch > i.epoch`},
	{"an active item has no epoch", `SELECT id FROM items WHERE watch = 'active' AND epoch < 1`},
	{"an item that is not superseded names a successor", `SELECT id FROM items WHERE replaced_by IS NOT NULL AND watch <> 'superseded'`},
	{"it is not known since when an item is superseded", `SELECT id FROM items WHERE (watch = 'superseded') <> (superseded_at IS NOT NULL)`},
	{"an item is in use that is not superseded and trusted", `SELECT id FROM items WHERE used_at IS NOT NULL AND (watch <> 'superseded' OR trust <> 'trusted')`},
	{"an item lacks its content", `SELECT id FROM items WHERE NOT EXISTS (SELECT 1 FROM item_der WHERE item_id = items.id)`},
	{"a revocation list lacks its details", `SELECT id FROM items WHERE kind = 'crl' AND NOT EXISTS (SELECT 1 FROM crls WHERE item_id = items.id)`},
	{"a certificate has the details of a revocation list", `SELECT item_id FROM crls JOIN items i ON i.id = item_id WHERE i.kind <> 'crl'`},
	{"two revocation lists have one issuer's key", `SELECT issuer_key FROM crls GROUP BY issuer_key HAVING COUNT(*) > 1`},
	{"a certificate is trusted whose key is revoked", `SELECT i.id FROM revoked_keys k JOIN items i ON i.spki_hash = k.spki_hash WHERE i.trust = 'trusted'`},
	{"a bundle holds no certificate", `SELECT id FROM bundles WHERE NOT EXISTS (SELECT 1 FROM bundle_items WHERE bundle_id = bundles.id)`},
}

// Check looks for damage, and returns what it found in words for a person;
// none means that the store is sound.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	problems := []string{}
	err := s.read(ctx, "checking the store", func(t *tx) error {
		results, err := collect(ctx, t, scanText, `PRAGMA integrity_check`)
		if err != nil {
			return err
		}
		for _, result := range results {
			if result != "ok" {
				problems = append(problems, "the file is damaged: "+result)
			}
		}
		orphans, err := collect(ctx, t, scanText, `SELECT "table" || ' row ' || COALESCE(rowid, '?') || ' refers to a missing row of ' || parent FROM pragma_foreign_key_check`)
		if err != nil {
			return err
		}
		problems = append(problems, orphans...)
		for _, i := range invariants {
			ids, err := collect(ctx, t, scanText, i.query)
			if err != nil {
				return err
			}
			for _, id := range ids {
				problems = append(problems, i.says+": "+id)
			}
		}
		return t.checkContents(ctx, func(problem string) { problems = append(problems, problem) })
	})
	return problems, err
}

// checkContents compares every certificate with its item's fingerprint, and
// every revocation list with its digest.
func (t *tx) checkContents(ctx context.Context, report func(string)) error {
	rows, err := t.sql.QueryContext(ctx, `SELECT i.id, COALESCE(l.digest, i.fingerprint), c.der FROM items i JOIN item_der c ON c.item_id = i.id
		LEFT JOIN crls l ON l.item_id = i.id ORDER BY i.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, fingerprint string
			der             []byte
		)
		if err := rows.Scan(&id, &fingerprint, &der); err != nil {
			return err
		}
		if sum := sha256.Sum256(der); hex.EncodeToString(sum[:]) != fingerprint {
			report("an item's content is not that of its fingerprint: " + id)
		}
	}
	return rows.Err()
}

// Purge deletes what retention no longer keeps: settled deliveries, audit rows
// and sightings from before the given time. What was told of an item stays, so
// that it is not told again, and so does the last sighting of an item that is
// known by sightings alone, until the item itself ended before that time.
func (s *Store) Purge(ctx context.Context, before time.Time) error {
	ms := before.UnixMilli()
	if err := s.write(ctx, "declaring the retention", func(t *tx) error {
		return t.setMeta(ctx, metaAuditPurged, strconv.FormatInt(ms, 10)) // what the audit trail's trigger lets go
	}); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE settled_at < ? LIMIT 1000)`,
		`DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE created_at < ? AND item_id IS NULL
			AND NOT EXISTS (SELECT 1 FROM delivery_alerts WHERE alert_id = alerts.id) LIMIT 1000)`,
		`DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT 1000)`,
		`DELETE FROM item_sources WHERE (item_id, kind, reference) IN (SELECT s.item_id, s.kind, s.reference FROM item_sources s
			WHERE s.kind = 'observed' AND s.last_seen < ? AND EXISTS (SELECT 1 FROM item_sources o WHERE o.item_id = s.item_id
				AND (o.kind <> 'observed' OR o.last_seen > s.last_seen)) LIMIT 1000)`,
	} {
		if err := s.purge(ctx, query, ms); err != nil {
			return err
		}
	}
	return s.forget(ctx, before)
}

// purge repeats a delete that takes a thousand rows at most until none is
// left, so that it never holds up other writers for long.
func (s *Store) purge(ctx context.Context, query string, before int64) error {
	for n := int64(1); n > 0; {
		if err := s.write(ctx, "purging", func(t *tx) (err error) {
			n, err = t.exec(ctx, query, before)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
