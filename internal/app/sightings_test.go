package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A register takes sightings unless it is out of order.
type register struct {
	failing atomic.Bool
	batches [][]inventory.Sighting
}

func (r *register) RecordSightings(_ context.Context, list []inventory.Sighting) error {
	if r.failing.Load() {
		return errors.New("the disk is full")
	}
	r.batches = append(r.batches, slices.Clone(list))
	return nil
}

// seenAt is a sighting of the nth certificate at a time.
func seenAt(n int, at time.Time) enforcer.Sighting {
	return enforcer.Sighting{LeafID: [32]byte{byte(n), byte(n >> 8)}, Hostname: orders, At: at}
}

func quietly() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestSightings_Gathered: one certificate is one row however often it is seen,
// written within ten seconds.
func TestSightings_Gathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &register{}
		s := newSightings(r, func(n int) { t.Errorf("%d were lost", n) }, quietly())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.run(ctx) }()
		start := time.Now()
		for i := range 3 {
			s.note(seenAt(1, start.Add(time.Duration(i)*time.Second)))
		}
		s.note(seenAt(2, start))
		time.Sleep(sightingsEvery + time.Millisecond)
		synctest.Wait()
		if len(r.batches) != 1 || len(r.batches[0]) != 2 {
			t.Fatalf("written: %+v", r.batches)
		}
		for _, got := range r.batches[0] {
			if got.Count == 3 && (!got.FirstSeen.Equal(start) || !got.LastSeen.Equal(start.Add(2*time.Second))) {
				t.Errorf("%+v", got)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(r.batches) != 1 {
			t.Error("wrote again what was written, or nothing at all")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestSightings_StoreOutOfOrder: what the store does not take is kept, up to a
// bound, and written when it does.
func TestSightings_StoreOutOfOrder(t *testing.T) {
	t.Parallel()
	r, lost, now := &register{}, 0, time.Now()
	s := newSightings(r, func(n int) { lost += n }, quietly())
	r.failing.Store(true)
	for i := range sightingsMost + 5 {
		s.note(seenAt(i, now))
	}
	s.note(seenAt(0, now)) // it is held already
	s.flush(t.Context())
	if lost != 5 || len(r.batches) != 0 {
		t.Fatalf("lost %d, want 5; written %d", lost, len(r.batches))
	}
	r.failing.Store(false)
	s.flush(t.Context())
	written := 0
	for _, b := range r.batches {
		if len(b) > sightingsBatch {
			t.Errorf("%d in one transaction", len(b))
		}
		written += len(b)
	}
	if written != sightingsMost || lost != 5 {
		t.Errorf("written %d, lost %d", written, lost)
	}
}

// TestSightings_EndToEnd: a client that the daemon admits is known afterwards,
// by where it was seen and who vouches for it, and nothing of it is lost when
// the daemon stops at once.
func TestSightings_EndToEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	ca, client := h.admit()
	eventually(t, "admitted", func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == http.StatusOK })
	stranger := certtest.NewCA().Issue(certtest.Client())
	h.ask(stranger, "/")
	if err := h.App.sightings.close(); err != nil {
		t.Fatal(err)
	}
	items, err := h.store.Items(t.Context(), inventory.ItemFilter{Kind: alert.KindClient})
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 1 || items[0].Fingerprint != cert.Fingerprint(client.Certificate) {
		t.Fatalf("known are %+v", items)
	}
	source := items[0].Sources[0]
	if source.Kind != alert.SourceObserved || source.Reference != orders || source.Count < 1 {
		t.Errorf("seen: %+v", source)
	}
	authority, err := h.store.Item(t.Context(), cert.Fingerprint(ca.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := h.store.Facts(t.Context(), authority, h.App.o.Now())
	if err != nil || facts.Dependents != 1 || len(facts.Recent) != 1 || facts.Recent[0].Name != "device" || facts.Recent[0].Hostname != orders {
		t.Errorf("depending on the CA: %+v, %v", facts, err)
	}
	if text := h.metric(); strings.Contains(text, "certvigil_sightings_lost_total 1") {
		t.Error("a sighting was lost")
	}
}

// TestSightings_RenewedAndStillUsed: the daemon tells of a certificate that was
// renewed half a year ago and is presented all the same.
func TestSightings_RenewedAndStillUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	ca, _ := h.admit()
	now, actor := h.App.o.Now(), inventory.Actor{Kind: inventory.ActorLocal}
	old := ca.Issue(certtest.Client(), certtest.CommonName("device"), certtest.Validity(now.AddDate(-1, 0, 0), now.AddDate(0, 0, 20)))
	item, _, err := h.store.AddItem(t.Context(), inventory.NewItem{Kind: alert.KindClient, Certificate: old.Certificate, Source: alert.Source{Kind: alert.SourceUpload}, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	next, err := h.store.Replace(t.Context(), inventory.Replacement{
		OldItemID: item.ID, Certificate: old.Renew(certtest.Validity(now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))).Certificate, Actor: actor,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.do(`UPDATE items SET superseded_at = ? WHERE id = ?`, now.AddDate(0, -6, 0).UnixMilli(), item.ID)
	eventually(t, "admitted", func() bool { answer, _ := h.ask(old, "/"); return answer.StatusCode == http.StatusOK })
	if err := h.App.sightings.close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told of", func() bool {
		alerts, err := h.store.Alerts(t.Context(), 0)
		return err == nil && slices.ContainsFunc(alerts, func(a alert.Alert) bool { return a.ItemID == item.ID && a.Epoch == 2 && !a.Covered })
	})
	if item, err = h.store.Item(t.Context(), item.ID); err != nil {
		t.Fatal(err)
	}
	if facts, err := h.store.Facts(t.Context(), item, now); err != nil || facts.Replacement == nil || facts.Replacement.ID != next.ID {
		t.Errorf("what is known of it: %+v, %v", facts, err)
	}
}
