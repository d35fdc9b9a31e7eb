package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/certvigil/certvigil/internal/fault"
)

// databasePath returns the absolute path of the SQLite file that a DSN names.
func databasePath(dsn string) (string, error) {
	switch {
	case dsn == "":
		return "", fault.New(fault.Invalid, "dsn", "the store's dsn is empty").
			WithField("storage.dsn").WithHint("set it to the path of the database file, such as certvigil.db")
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return "", fault.New(fault.Unprocessable, "postgres", "postgresql is not supported in this version").
			WithField("storage.dsn").WithHint("use a file path, such as certvigil.db, for SQLite")
	case strings.HasPrefix(dsn, "file:"), strings.Contains(dsn, ":memory:"), strings.Contains(dsn, "://"):
		return "", fault.New(fault.Unprocessable, "dsn", "the store's dsn is not a plain file path").
			WithField("storage.dsn").WithHint("use a file path, such as certvigil.db")
	}
	return filepath.Abs(dsn)
}

// createPrivate makes an empty file that nobody but its owner can open, so
// that SQLite never creates one by the umask; its -wal and -shm inherit the
// mode. A file that exists is left as it is.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// The pragmas go in the DSN, because only then has every connection of a pool
// got them. The driver would set synchronous=NORMAL, which loses commits when
// the power fails.
func openWriter(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", sqliteURI(path, busyWait, url.Values{
		"mode":             {"rw"},
		"_journal_mode":    {"WAL"},
		"_synchronous":     {"FULL"},
		"_txlock":          {"immediate"},
		"_cache_size":      {"-16384"}, // KiB
		"_stmt_cache_size": {"64"},
	}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func openReaders(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", sqliteURI(path, busyTries*busyWait, url.Values{
		"mode":             {"ro"},
		"_stmt_cache_size": {"32"},
	}))
	if err != nil {
		return nil, err
	}
	const readers = 4
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	return db, nil
}

// How long the writer waits at once for another process that writes, and how
// often: ten seconds in all. Readers have to wait only after a crash.
const (
	busyWait  = 500 * time.Millisecond
	busyTries = 20
)

func sqliteURI(path string, wait time.Duration, params url.Values) string {
	params.Set("_busy_timeout", strconv.Itoa(int(wait.Milliseconds())))
	params.Set("_foreign_keys", "on")
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
}

// openFault says what is wrong with a file that SQLite does not open.
func openFault(path string, err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
		return fault.New(fault.Unprocessable, "not_a_database", "%s is not a usable SQLite database: %w", path, err).
			WithField("storage.dsn").WithHint("point storage.dsn elsewhere, or restore the file from a backup")
	case sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrReadonly:
		return fault.New(fault.Unprocessable, "cannot_open", "opening %s: %w", path, err).
			WithField("storage.dsn").WithHint("its folder must exist, and it and the folder must be writable for you")
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fault.New(fault.Unavailable, "busy", "opening %s: %w", path, err).
			WithHint("another process is writing to it; try again")
	}
	return err
}

// troubleFault says what keeps a store that was open from serving, nil when it
// is nothing of the kind.
func troubleFault(doing string, err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return nil
	}
	hints := map[sqlite3.ErrNo]string{
		sqlite3.ErrBusy:     "another process holds the database; try again",
		sqlite3.ErrLocked:   "another process holds the database; try again",
		sqlite3.ErrFull:     "make room on the disk of the database",
		sqlite3.ErrReadonly: "make the database and its folder writable",
		sqlite3.ErrIoErr:    "see to the disk of the database",
	}
	hint, ok := hints[e.Code]
	if !ok {
		return nil
	}
	return fault.New(fault.Unavailable, "storage", "%s: %w", doing, err).WithHint("%s", hint)
}

// isBusy reports whether another process writes.
func isBusy(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrBusy
}

// isUnique reports whether err is the violation of a unique constraint.
func isUnique(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}
