package store

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// Pragmas returns the settings of the connection that writes.
func (s *Store) Pragmas(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	for _, pragma := range []string{"journal_mode", "synchronous", "foreign_keys", "busy_timeout"} {
		var value string
		if err := s.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&value); err != nil {
			t.Fatal(err)
		}
		settings[pragma] = value
	}
	return settings
}

// SetBusyTimeout sets how many milliseconds a write waits for another process.
func (s *Store) SetBusyTimeout(t *testing.T, ms int) {
	t.Helper()
	if _, err := s.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = "+strconv.Itoa(ms)); err != nil {
		t.Fatal(err)
	}
}

// SetScanPage has scans take on fewer items at once.
func (s *Store) SetScanPage(n int) { s.scanPage = n }

// The queries whose cost must follow what they find, not what is stored.
const (
	DueItems  = `SELECT i.id FROM items i ` + dueItems
	RipeItems = `SELECT i.id FROM items i ` + ripeItems
	OfIssuer  = ofIssuer
	InForce   = `SELECT i.id FROM items i JOIN crls c ON c.item_id = i.id ` + inForce
	NeededCA  = neededCA
	Unused    = `SELECT i.id FROM items i WHERE ` + unused
	Waiting   = `SELECT d.id FROM deliveries d ` + waiting
)

// Plan returns how SQLite would carry a query out.
func (s *Store) Plan(ctx context.Context, query string, args ...any) (string, error) {
	var plan string
	err := s.read(ctx, "explaining", func(t *tx) error {
		steps, err := collect(ctx, t, func(row scanner) (step string, err error) {
			var id, parent, unused int
			err = row.Scan(&id, &parent, &unused, &step)
			return step, err
		}, `EXPLAIN QUERY PLAN `+query, args...)
		for _, step := range steps {
			plan += step + "\n"
		}
		return err
	})
	return plan, err
}

// RescheduleNextBatch goes on with a run that has begun before.
func (s *Store) RescheduleNextBatch(ctx context.Context, key string, next func(alert.Candidate) time.Time) error {
	_, _, err := s.rescheduleBatch(ctx, key, "", next)
	return err
}

// MigrateTo brings a new file to the schema of an earlier version.
func MigrateTo(t *testing.T, path string, version int64) {
	t.Helper()
	if err := createPrivate(path); err != nil {
		t.Fatal(err)
	}
	db, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := sqliteMigrations(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}
