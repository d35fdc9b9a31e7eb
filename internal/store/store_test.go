package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/internal/store/storetest"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// The interfaces that the store implements live with those who use it.
var (
	_ inventory.Store   = (*store.Store)(nil)
	_ scanner.Inventory = (*store.Store)(nil)
	_ notifier.Outbox   = (*store.Store)(nil)
)

// open opens a store of its own for a test.
func open(t testing.TB) *store.Store {
	t.Helper()
	return openAt(t, store.Options{DSN: filepath.Join(t.TempDir(), "certvigil.db")})
}

// openAt opens a store that is closed with the test.
func openAt(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Storer {
		return openAt(t, store.Options{DSN: filepath.Join(t.TempDir(), "certvigil.db"), Now: now})
	})
}
