package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// raw opens the file of a store beside it, as a person with sqlite3 would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise.db")
	if err := os.WriteFile(noise, bytes.Repeat([]byte("this is not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	openAt(t, store.Options{DSN: newer})
	run(t, raw(t, newer), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	for name, row := range map[string]struct {
		options store.Options
		kind    fault.Kind
		rule    string
	}{
		"postgres":               {store.Options{DSN: "postgres://user:secret@db/certvigil"}, fault.Unprocessable, "postgres"},
		"postgresql":             {store.Options{DSN: "postgresql://db/certvigil"}, fault.Unprocessable, "postgres"},
		"another scheme":         {store.Options{DSN: "mysql://db"}, fault.Unprocessable, "dsn"},
		"memory":                 {store.Options{DSN: ":memory:"}, fault.Unprocessable, "dsn"},
		"nothing":                {store.Options{}, fault.Invalid, "dsn"},
		"a folder that is not":   {store.Options{DSN: filepath.Join(dir, "missing", "a.db")}, fault.Unprocessable, "cannot_open"},
		"a folder":               {store.Options{DSN: dir}, fault.Unprocessable, "cannot_open"},
		"noise":                  {store.Options{DSN: noise}, fault.Unprocessable, "not_a_database"},
		"a newer schema":         {store.Options{DSN: newer}, fault.Conflict, "newer_schema"},
		"a newer schema to read": {store.Options{DSN: newer, ReadOnly: true}, fault.Conflict, "newer_schema"},
		"nothing to read":        {store.Options{DSN: filepath.Join(dir, "none.db"), ReadOnly: true}, fault.NotFound, "no_database"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), row.options)
			if err == nil {
				_ = s.Close()
			}
			if !fault.Is(err, row.kind) || fault.Rule(err) != row.rule || fault.Hint(err) == "" {
				t.Errorf("got %v (%s), hint %q", err, fault.Rule(err), fault.Hint(err))
			}
			if err != nil && bytes.Contains([]byte(err.Error()), []byte("secret")) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("opening for reading made a database")
	}
}

func TestOpen_NewFileIsPrivateAndDurable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "with space & ?sign#100%.db")
	s := openAt(t, store.Options{DSN: path})
	if err := s.AddSigningKey(t.Context(), "kid", []byte("private"), inventory.Actor{}); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".key"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %04o", filepath.Base(path)+suffix, got)
		}
	}
	got := s.Pragmas(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "500"} {
		if got[pragma] != want {
			t.Errorf("%s is %s, want %s", pragma, got[pragma], want)
		}
	}
}

func TestOpen_ManyAtOnceOnANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			s, err := store.Open(t.Context(), store.Options{DSN: path})
			if err != nil {
				t.Error(err)
				return
			}
			if version, err := s.SchemaVersion(t.Context()); err != nil || version < 1 {
				t.Errorf("version %d, %v", version, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestWrite_WaitsForOthersThenSaysSo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	s := openAt(t, store.Options{DSN: path})
	s.SetBusyTimeout(t, 1)
	run(t, raw(t, path), `BEGIN IMMEDIATE`)
	err := s.AcceptClock(t.Context(), start, inventory.Actor{})
	if !fault.Is(err, fault.Unavailable) || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

// Stopping must not take as long as another process writes.
func TestWrite_EndsItsWaitWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	s := openAt(t, store.Options{DSN: path})
	run(t, raw(t, path), `BEGIN IMMEDIATE`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err := s.AcceptClock(ctx, start, inventory.Actor{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

func TestOpen_ReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	w := openAt(t, store.Options{DSN: path})
	addClient(t, w, "client")
	r := openAt(t, store.Options{DSN: path, ReadOnly: true})
	if groups, err := r.Groups(t.Context()); err != nil || len(groups) != 1 {
		t.Errorf("%v, %v", groups, err)
	}
	if err := r.AcceptClock(t.Context(), start, inventory.Actor{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a write went through: %v", err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	s := open(t)
	item := addClient(t, s, "client")
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	b := openAt(t, store.Options{DSN: path})
	if got, err := b.Item(t.Context(), item.ID); err != nil || got.Fingerprint != item.Fingerprint {
		t.Errorf("%+v, %v", got, err)
	}
	if problems, err := b.Check(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if err := s.Backup(t.Context(), path); !fault.Is(err, fault.Conflict) {
		t.Errorf("an existing file was overwritten: %v", err)
	}
	if err := s.Backup(t.Context(), filepath.Join(path, "x")); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("got %v", err)
	}
}

func TestCheck_FindsDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"another certificate":    `UPDATE item_der SET der = x'00'`,
		"a missing certificate":  `DELETE FROM item_der`,
		"an orphan":              `PRAGMA foreign_keys = off; UPDATE item_sources SET item_id = 'nobody'`,
		"no epoch":               `UPDATE items SET epoch = 0`,
		"an early successor":     `UPDATE items SET replaced_by = id`,
		"a list without details": `UPDATE items SET kind = 'crl'`,
		"another list": `UPDATE items SET kind = 'crl';
			INSERT INTO crls (item_id, issuer_key, digest, number, entries, source, etag, last_modified, failure)
			SELECT id, '', '00', '', 0, '', '', '', '' FROM items`,
		"a certificate as a list": `INSERT INTO crls (item_id, issuer_key, digest, number, entries, source, etag, last_modified, failure)
			SELECT id, '', fingerprint, '', 0, '', '', '', '' FROM items`,
		"a trusted item of a revoked key": `INSERT INTO revoked_keys (spki_hash, created_at) SELECT spki_hash, 0 FROM items`,
		"an empty delivery": `INSERT INTO deliveries (id, channel, recipient, rule, state, attempts, next_attempt_at, last_error, created_at)
			VALUES ('d', 'c', 'r', 'x', 'pending', 0, 0, '', 0)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "certvigil.db")
			s := openAt(t, store.Options{DSN: path})
			addClient(t, s, "client")
			run(t, raw(t, path), damage)
			if problems, err := s.Check(t.Context()); err != nil || len(problems) == 0 {
				t.Errorf("%v, %v", problems, err)
			}
		})
	}
}

func TestAudit_IsAppendOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	s := openAt(t, store.Options{DSN: path})
	addClient(t, s, "client")
	db := raw(t, path)
	for _, query := range []string{`UPDATE audit SET actor_id = 'mallory'`, `DELETE FROM audit`, `DELETE FROM audit WHERE id = 1`} {
		if _, err := db.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s was carried out", query)
		}
	}
	if entries, err := s.Audit(t.Context(), inventory.AuditFilter{}); err != nil || len(entries) != 1 || entries[0].ActorID != "alice" {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	unlock, err := store.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Lock(path)
	if !fault.Is(err, fault.Conflict) || !bytes.Contains([]byte(err.Error()), pid()) {
		t.Errorf("a second daemon got %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = store.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unlock() }()
	if _, err := store.Lock(filepath.Join(path, "missing", "x")); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("locking made the database: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lock(filepath.Join(link, "certvigil.db")); !fault.Is(err, fault.Conflict) {
		t.Errorf("another name of the same store was locked too: %v", err)
	}
}
