package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// Backup writes a consistent copy of the store to a new file that its owner
// alone can read, while others go on reading and writing. The key file is not
// part of it. The copy says of itself that it is one, for [Store.RestoredFrom]. A
// file that exists is a fault.Conflict.
func (s *Store) Backup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "file_exists", "%s exists already", path).WithHint("choose another name, or remove it first")
	}
	if err != nil {
		return fault.New(fault.Unprocessable, "cannot_create", "creating the backup: %w", err).
			WithHint("its folder must exist and be writable for you")
	}
	// SQLite writes into an empty file, which keeps its mode, and does not sync it.
	_, err = s.reader.ExecContext(ctx, `VACUUM INTO ?`, path)
	if err == nil {
		err = markBackup(ctx, path, s.now())
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing the backup: %w", err), os.Remove(path))
	}
	return syncFolder(filepath.Dir(path))
}

// markBackup writes into a copy when it was made.
func markBackup(ctx context.Context, path string, at time.Time) error {
	db, err := sql.Open("sqlite3", sqliteURI(path, busyWait, url.Values{"mode": {"rw"}, "_journal_mode": {"DELETE"}, "_synchronous": {"FULL"}}))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		metaBackup, strconv.FormatInt(at.UnixMilli(), 10))
	return errors.Join(err, db.Close())
}

// RestoredFrom returns when the backup was made that this store is, zero when
// it is none or [Store.ForgetRestore] was called since.
func (s *Store) RestoredFrom(ctx context.Context) (time.Time, error) {
	return s.metaTime(ctx, metaBackup)
}

// ForgetRestore makes a store that was restored one like any other: what it
// sends again has been told of.
func (s *Store) ForgetRestore(ctx context.Context) error {
	return s.write(ctx, "forgetting the restore", func(t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM meta WHERE key = ?`, metaBackup)
		return err
	})
}
