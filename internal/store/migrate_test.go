package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/store"
)

// A released migration never changes: databases that have it would differ from
// new ones.
func TestMigrations_ReleasedOnesStand(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"0001_initial.sql": "2b4b03a72720f6849165225e32ce6d320712b401c8a5a4bf305795c739737cc1",
	} {
		text, err := os.ReadFile(filepath.Join("migrations", "sqlite", file))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s was changed after its release; write another migration", file)
		}
	}
}

// TestMigrate_FromTheFirstRelease opens a database of schema 1 that holds a
// bundle and a client.
func TestMigrate_FromTheFirstRelease(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	store.MigrateTo(t, path, 1)
	ca := certtest.NewCA(certtest.CommonName("Root"))
	client := ca.Issue(certtest.CommonName("James Royal"))
	old := ca.Issue(certtest.CommonName("James Royal"))
	db := raw(t, path)
	for id, c := range map[string]*certtest.Certificate{"ca": ca, "client": client, "old": old} {
		run(t, db, `INSERT INTO items (id, kind, fingerprint, spki_hash, subject, issuer, common_name, serial, sans, not_before, not_after,
			trust, watch, epoch, labels, created_at) VALUES (?1, ?1, ?2, ?3, ?4, ?5, '', ?6, '[]', 0, ?7, 'trusted', 'active', 1, '{}', 0)`,
			id, cert.Fingerprint(c.Certificate), cert.KeyHash(c.Certificate), cert.SubjectDN(c.Certificate), cert.IssuerDN(c.Certificate),
			cert.Serial(c.Certificate), c.NotAfter.UnixMilli())
		run(t, db, `INSERT INTO item_der (item_id, der) VALUES (?, ?)`, id, c.Raw)
	}
	run(t, db, `UPDATE items SET watch = 'superseded', replaced_by = 'client' WHERE id = 'old'`)
	run(t, db, `INSERT INTO bundles (id, name, uploaded_hash, set_hash, created_at, updated_at) VALUES ('b', 'partner', 'x', 'x', 0, 0)`)
	run(t, db, `INSERT INTO bundle_items (bundle_id, item_id, position, role) VALUES ('b', 'ca', 0, 'anchor')`)
	run(t, db, `INSERT INTO bundle_hostnames (bundle_id, hostname) VALUES ('b', 'orders.example.com')`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s := openAt(t, store.Options{DSN: path})
	trust, err := s.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b := trust.Bundles; len(b) != 1 || b[0].Name != "partner" || len(b[0].Members) != 1 || b[0].Constraints.MaxLeafLifetime != 0 || len(b[0].Constraints.PermitSAN) != 0 {
		t.Errorf("bundles %+v", b)
	}
	if trust.Generation != 1 || len(trust.RevokedKeys) != 0 || len(trust.CRLs) != 0 {
		t.Errorf("%+v", trust)
	}
	if err := s.SetKeyTrust(t.Context(), cert.KeyHash(client.Certificate), true, actor); err != nil {
		t.Fatal(err)
	}
	item, err := s.Item(t.Context(), "client")
	if err != nil || item.Trust != alert.Revoked || !item.NotAfter.Equal(client.NotAfter.Truncate(time.Millisecond)) {
		t.Errorf("%+v, %v", item, err)
	}
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
