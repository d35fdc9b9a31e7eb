package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// Options say which store to open.
type Options struct {
	DSN      string           // path of the SQLite file, made when it is missing
	KeyFile  string           // seals private keys; "" = DSN + ".key"
	ReadOnly bool             // for looking only: makes and migrates nothing, and every write fails
	Now      func() time.Time // nil = time.Now
}

// A Store is an open store. Its methods may be called concurrently, also by
// other processes on the same file.
type Store struct {
	path    string
	keyFile string
	now     func() time.Time
	writer  *sql.DB // nil when read-only
	reader  *sql.DB
	key     sealer
	watch   watcher

	scanPage int

	parsed struct { // certificates by fingerprint
		sync.Mutex
		certs map[string]*x509.Certificate
	}
}

// Open opens the store, makes it when there is none, and brings its schema up
// to date. A store that a newer version has written to is refused with a
// fault.Conflict.
func Open(ctx context.Context, o Options) (*Store, error) {
	path, err := databasePath(o.DSN)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, keyFile: o.KeyFile, now: o.Now, scanPage: scanPage}
	if s.keyFile == "" {
		s.keyFile = path + ".key"
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.parsed.certs = map[string]*x509.Certificate{}
	if err := s.open(ctx, o.ReadOnly); err != nil {
		return nil, errors.Join(openFault(path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, readOnly bool) (err error) {
	if !readOnly {
		if err := createPrivate(s.path); err != nil {
			return fault.New(fault.Unprocessable, "cannot_open", "creating the database: %w", err).
				WithField("storage.dsn").WithHint("its folder must exist and be writable for you")
		}
		if s.writer, err = openWriter(s.path); err != nil {
			return err
		}
		if err := migrate(ctx, s.writer); err != nil {
			return err
		}
	} else if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "no_database", "there is no database at %s", s.path).
			WithField("storage.dsn").WithHint("check storage.dsn, or start with `certvigil ca add`")
	}
	if s.reader, err = openReaders(s.path); err != nil {
		return err
	}
	return checkVersion(ctx, s.reader)
}

// Close closes the store.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.watch.close(), s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
