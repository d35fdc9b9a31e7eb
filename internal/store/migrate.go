package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/certvigil/certvigil/internal/fault"
)

//go:embed migrations
var migrations embed.FS

func sqliteMigrations(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// migrate brings the schema up to date. Two processes that meet in a new file
// both try; the one that comes second fails on what the first has just
// committed, and finds the schema up to date when it looks again.
func migrate(ctx context.Context, db *sql.DB) error {
	provider, err := sqliteMigrations(db)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	for range busyTries {
		var current, target int64
		if current, target, err = provider.GetVersions(ctx); err != nil {
			continue
		}
		if current > target {
			return newerFault(current, target)
		}
		if current == target {
			return nil
		}
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
	}
	return fmt.Errorf("migrating the database: %w", err)
}

// SchemaVersion returns the number of the last migration that was applied.
func (s *Store) SchemaVersion(ctx context.Context) (int64, error) {
	return schemaVersion(ctx, s.reader)
}

func schemaVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	row := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`)
	if err := row.Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return version, nil
}

// checkVersion refuses a schema that is not the one this version knows,
// without changing anything.
func checkVersion(ctx context.Context, db *sql.DB) error {
	provider, err := sqliteMigrations(db)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	sources := provider.ListSources()
	target := sources[len(sources)-1].Version
	current, err := schemaVersion(ctx, db)
	switch {
	case err != nil:
		return err
	case current > target:
		return newerFault(current, target)
	case current < target:
		return fault.New(fault.Conflict, "older_schema", "the database's schema is version %d, this program needs %d", current, target).
			WithHint("run `certvigil db migrate`")
	}
	return nil
}

func newerFault(current, target int64) error {
	return fault.New(fault.Conflict, "newer_schema", "the database's schema is version %d, this program knows only %d: a newer certvigil has written to it", current, target).
		WithHint("run that newer version; going back needs a backup from before the upgrade")
}
