package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// A tx is a transaction: the only thing that runs SQL.
type tx struct{ sql *sql.Tx }

// write runs fn in one immediate transaction, and commits when it returns nil.
// A panic in fn rolls back.
func (s *Store) write(ctx context.Context, doing string, fn func(*tx) error) error {
	if s.writer == nil {
		return fault.New(fault.Conflict, "read_only", "%s: the store is open for reading only", doing)
	}
	return transact(ctx, s.writer, doing, fn)
}

// read runs fn on one snapshot of the store.
func (s *Store) read(ctx context.Context, doing string, fn func(*tx) error) error {
	return transact(ctx, s.reader, doing, fn)
}

func transact(ctx context.Context, db *sql.DB, doing string, fn func(*tx) error) error {
	t, err := begin(ctx, db)
	if err != nil {
		return wrap(doing, err)
	}
	defer func() { _ = t.Rollback() }() // does nothing after a commit
	if err := fn(&tx{t}); err != nil {
		return wrap(doing, err)
	}
	if err := t.Commit(); err != nil {
		return wrap(doing, err)
	}
	return nil
}

// begin waits its turn, in steps: SQLite hears of the end of ctx only between
// two waits, and stopping must not take as long as another process writes.
func begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	for left := busyTries; ; left-- {
		t, err := db.BeginTx(ctx, nil)
		switch {
		case err == nil || left <= 1 || !isBusy(err):
			return t, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// wrap says what was being done. A fault's words are for the person who reads
// them and stand alone.
func wrap(doing string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if f := troubleFault(doing, err); f != nil {
		return f
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.sql.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t *tx) row(ctx context.Context, query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(ctx, query, args...)
}

// A scanner is a *sql.Row or the present row of a *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// collect returns every row of a query.
func collect[T any](ctx context.Context, t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

func scanText(row scanner) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

// inChunks calls fn with parts of ids, each with its list of placeholders:
// databases limit the number of arguments of one statement.
func inChunks(ids []string, fn func(placeholders string, args []any) error) error {
	const most = 500
	for len(ids) > 0 {
		part := ids[:min(most, len(ids))]
		ids = ids[len(part):]
		args := make([]any, len(part))
		for i, id := range part {
			args[i] = id
		}
		if err := fn("("+strings.Repeat("?, ", len(part)-1)+"?)", args); err != nil {
			return err
		}
	}
	return nil
}

// millis is how a time is stored; the zero time is NULL.
func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// fromNull returns the zero time for NULL.
func fromNull(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMillis(ms.Int64)
}

// optional returns nil for NULL.
func optional(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	at := fromMillis(ms.Int64)
	return &at
}

func nullText(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// jsonText encodes what always can be: strings, and maps and slices of them.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
