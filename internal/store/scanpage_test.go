package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

// paged returns a store of which two items are scanned at once, with clients that
// are due, each once.
func paged(t *testing.T, names ...string) (s *store.Store, due map[string]int) {
	t.Helper()
	s, due = open(t), map[string]int{}
	s.SetScanPage(2)
	for _, name := range names {
		due[addClient(t, s, name).ID] = 1
	}
	return s, due
}

// TestScan_pages: more items than fit into memory are scanned page by page, and
// each of them once.
func TestScan_pages(t *testing.T) {
	t.Parallel()
	s, want := paged(t, "a", "b", "c", "d", "e")
	got, pages := map[string]int{}, 0
	if err := s.Scan(t.Context(), start, func(c []alert.Candidate) alert.Plan {
		pages++
		for i := range c {
			got[c[i].Item.ID]++
		}
		return one("mail", c)
	}); err != nil {
		t.Fatal(err)
	}
	if pages != 3 || len(got) != len(want) {
		t.Errorf("%d items in %d pages", len(got), pages)
	}
	for id, n := range got {
		if n != want[id] {
			t.Errorf("item %s was scanned %d times", id, n)
		}
	}
	jobs, err := s.Claim(t.Context(), "w", "mail", start, start.Add(time.Minute), 10)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, job := range jobs {
		told += len(job.Entries)
	}
	if told != 5 {
		t.Errorf("%d items are told of in %d messages", told, len(jobs))
	}
}

// TestScan_pageFails: what a page before has written stays, and the scan does not
// pass for one that succeeded.
func TestScan_pageFails(t *testing.T) {
	t.Parallel()
	s, _ := paged(t, "a", "b", "c")
	pages := 0
	err := s.Scan(t.Context(), start, func(c []alert.Candidate) alert.Plan {
		if pages++; pages == 2 {
			return alert.Plan{} // does not say when the items are due again
		}
		return one("mail", c)
	})
	if err == nil {
		t.Fatal("the scan succeeded")
	}
	if last, err := s.LastScan(t.Context()); err != nil || !last.IsZero() {
		t.Errorf("last scan %v, %v", last, err)
	}
	var left []int
	if err := s.Scan(t.Context(), start, func(c []alert.Candidate) alert.Plan {
		left = append(left, len(c))
		return one("mail", c)
	}); err != nil || !slices.Equal(left, []int{1}) {
		t.Errorf("pages of %v items are left: %v", left, err)
	}
	if last, err := s.LastScan(t.Context()); err != nil || !last.Equal(start) {
		t.Errorf("last scan %v, %v", last, err)
	}
}

// TestScan_noProgress: items that stay due are not scanned again and again.
func TestScan_noProgress(t *testing.T) {
	t.Parallel()
	s, _ := paged(t, "a", "b", "c")
	pages := 0
	if err := s.Scan(t.Context(), start, func(c []alert.Candidate) alert.Plan {
		pages++
		plan := alert.Plan{Next: map[string]time.Time{}}
		for i := range c {
			plan.Next[c[i].Item.ID] = start
		}
		return plan
	}); err != nil || pages != 1 {
		t.Errorf("%d pages: %v", pages, err)
	}
}
