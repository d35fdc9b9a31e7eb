package store_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

func TestTwoStores_SeeEachOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	daemon, command := openAt(t, store.Options{DSN: path}), openAt(t, store.Options{DSN: path})
	before, err := daemon.DataVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	generation, err := daemon.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	item := addClient(t, command, "client")
	if err := command.SetTrust(t.Context(), item.ID, alert.Revoked, actor); err != nil {
		t.Fatal(err)
	}
	if after, err := daemon.DataVersion(t.Context()); err != nil || after == before {
		t.Errorf("the other's commit went unnoticed: %d, %v", after, err)
	}
	if after, err := daemon.Generation(t.Context()); err != nil || after <= generation {
		t.Errorf("generation %d after %d, %v", after, generation, err)
	}
	if snapshot, err := daemon.Trust(t.Context()); err != nil || len(snapshot.Revoked) != 1 {
		t.Errorf("%+v, %v", snapshot, err)
	}
}

func TestTwoStores_NeverLeaseTheSameDelivery(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	const n = 30
	stores := []*store.Store{openAt(t, store.Options{DSN: path}), openAt(t, store.Options{DSN: path})}
	queue(t, stores[0], "mail", n)
	var (
		mu    sync.Mutex
		seen  = map[string]int{}
		group sync.WaitGroup
	)
	for i, s := range stores {
		group.Go(func() {
			for {
				jobs, err := s.Claim(t.Context(), string(rune('a'+i)), "mail", start, start.Add(time.Minute), 2)
				if err != nil {
					t.Error(err)
				}
				if len(jobs) == 0 {
					return
				}
				mu.Lock()
				for _, job := range jobs {
					seen[job.Delivery.ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s was leased %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d were leased", len(seen), n)
	}
}

func TestTwoStores_ScanOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	stores := []*store.Store{openAt(t, store.Options{DSN: path}), openAt(t, store.Options{DSN: path})}
	for range 10 {
		addClient(t, stores[0], "client")
	}
	var group sync.WaitGroup
	for _, s := range stores {
		group.Go(func() {
			if err := s.Scan(t.Context(), start, func(c []alert.Candidate) alert.Plan { return one("mail", c) }); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if list, err := stores[0].Deliveries(t.Context(), store.DeliveryFilter{}); err != nil || len(list) != 1 || len(list[0].AlertIDs) != 10 {
		t.Errorf("%+v, %v", list, err)
	}
}

// One that was overtaken between two of its batches must not mix its times
// into the schedule of the other.
func TestTwoStores_RescheduleByOneKeyAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	daemon, command := openAt(t, store.Options{DSN: path}), openAt(t, store.Options{DSN: path})
	item := addClient(t, daemon, "client")
	at := func(days time.Duration) func(alert.Candidate) time.Time {
		return func(alert.Candidate) time.Time { return start.Add(days * alert.Day) }
	}
	if err := command.Reschedule(t.Context(), "command", at(1)); err != nil {
		t.Fatal(err)
	}
	if err := daemon.RescheduleNextBatch(t.Context(), "daemon", at(2)); err == nil {
		t.Error("the batch of a run that was overtaken was written")
	}
	got, err := daemon.Item(t.Context(), item.ID)
	if err != nil || !got.NextDueAt.Equal(start.Add(alert.Day)) {
		t.Errorf("it is due at %v, %v", got.NextDueAt, err)
	}
	if err := daemon.Reschedule(t.Context(), "daemon", at(2)); err != nil {
		t.Errorf("trying again: %v", err)
	}
}
