package app

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hold keeps everybody else from writing to the store until it is let go.
func (h *house) hold() (letGo func()) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(h.dir, "certvigil.db")+"?_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	tx, err := db.Begin()
	if err != nil {
		h.t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}

// New rules may take long to schedule. What is revoked meanwhile counts within
// a second all the same, so nothing that the watcher needs is held.
func TestReload_LeavesTheWatcherFree(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	letGo := h.hold()
	h.write("config.toml", h.guarding(open, "31d"))
	done := make(chan error, 1)
	go func() { done <- h.Reload(t.Context()) }()
	eventually(t, "the applications in force and the watcher free", func() bool {
		if !h.mu.TryLock() {
			return false
		}
		defer h.mu.Unlock()
		return h.cfg.Alerts[0].Before[0].Duration == 31*24*time.Hour
	})
	select {
	case err := <-done:
		t.Fatalf("the rules were scheduled in a store that is held: %v", err)
	default:
	}
	letGo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := h.status(); got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
}

// Where even the taking back fails, the watcher does it.
func TestReload_TakesBackLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	eventually(t, "the watcher's first look", func() bool { return strings.Contains(h.log.String(), "applied what is trusted") })
	old := h.cfg
	h.write("config.toml", h.guarding(open, "31d"))
	next, err := config.Load(h.o.ConfigPath, h.o.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	h.reloading.Lock() // as a reload does, so that the files are not looked at meanwhile
	defer h.reloading.Unlock()
	if err := h.enforce(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := h.status(); got != http.StatusOK {
		t.Fatalf("status %d by the new configuration, want 200", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // so that the store cannot be read for the old one
	cause := errors.New("a part refused")
	if err := h.takeBack(ended, old, cause); !errors.Is(err, cause) {
		t.Fatalf("takeBack: %v, want its cause", err)
	}
	eventually(t, "the old application in force", func() bool { return h.status() == http.StatusForbidden })
}

// The word given on a clock that ran ahead is taken back by one given later,
// though the clock then shows an earlier time.
func TestWatch_AcceptsAnEarlierClock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	now := time.Now()
	ahead := now.AddDate(4, 0, 0)
	for _, word := range []time.Time{ahead, now} {
		h.clock.confirm(ahead)
		if err := h.store.AcceptClock(t.Context(), word, inventory.Actor{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "time going on from the word "+word.String(), func() bool { return h.clock.now().Before(ahead) })
	}
}

// Messages for a channel that was renamed or removed do not wait in silence.
func TestReload_NamesChannelsThatAreGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	db, err := sql.Open("sqlite3", filepath.Join(h.dir, "certvigil.db")+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`INSERT INTO deliveries (id, channel, recipient, rule, state, attempts, next_attempt_at, last_error, created_at)
		VALUES ('1', 'old-hook', 'old-hook', 'default', 'pending', 0, 0, '', 0)`); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "channel=old-hook deliveries=1"; !strings.Contains(h.log.String(), want) || strings.Contains(h.log.String(), "channel=hook deliveries") {
		t.Errorf("the log does not say %s alone:\n%s", want, h.log)
	}
}

// A channel that a rule gains is told by the scan after the reload of what the
// rule's other channel was told before.
func TestReload_TellsTheChannelGained(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	soon := certtest.SelfSigned(certtest.Client(), certtest.Validity(time.Now().Add(-time.Hour), time.Now().Add(20*alert.Day)))
	if _, _, err := h.store.AddItem(t.Context(), inventory.NewItem{Kind: alert.KindClient, Certificate: soon.Certificate}); err != nil {
		t.Fatal(err)
	}
	told := func(channel string) func() bool {
		return func() bool {
			list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Channel: channel})
			return err == nil && len(list) == 1
		}
	}
	eventually(t, "the first channel told", told("hook"))
	gained := strings.Replace(h.guarding(closed, "30d"), `channels = ["hook"]`, `channels = ["hook", "mended"]`, 1)
	h.write("config.toml", gained+"[[channel]]\nname = \"mended\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/x\"\n")
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second channel told", told("mended"))
	if !told("hook")() {
		t.Error("the first channel was told again")
	}
}
