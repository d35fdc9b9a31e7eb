package app

import (
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestFloorClock(t *testing.T) {
	t.Parallel()
	wall := noon
	c := &floorClock{wall: func() time.Time { return wall }}
	expect := func(what string, want time.Time) {
		t.Helper()
		if got := c.now(); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	expect("without a floor", noon)
	c.confirm(noon)
	wall = noon.Add(-time.Second)
	expect("a second below the floor", noon)
	wall = noon
	expect("exactly on the floor", noon)
	wall = noon.Add(time.Second)
	expect("a second above the floor", noon.Add(time.Second))
	c.confirm(noon.Add(-time.Hour))
	wall = noon.Add(-2 * time.Hour)
	expect("an older confirmation does not lower the floor", noon)
	c.confirm(noon.Add(time.Hour))
	expect("a later one raises it", noon.Add(time.Hour))
	c.reset(wall)
	expect("an operator's word lowers it", noon.Add(-2*time.Hour))
	wall = noon.Add(-3 * time.Hour)
	expect("and is the floor from then on", noon.Add(-2*time.Hour))
}

func TestFloorClock_Concurrent(t *testing.T) {
	t.Parallel()
	c := &floorClock{wall: func() time.Time { return noon }}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { c.confirm(noon.Add(time.Duration(i) * time.Second)) })
	}
	wg.Wait()
	if want := noon.Add(99 * time.Second); !c.now().Equal(want) {
		t.Errorf("the floor is %s, want the latest confirmation, %s", c.now(), want)
	}
}

func TestConfirmed(t *testing.T) {
	t.Parallel()
	never := time.Time{}
	for _, tt := range []struct {
		name               string
		lastScan, accepted time.Time
		want               time.Time
	}{
		{"a new store", never, never, never},
		{"the usual start", noon.Add(-time.Hour), never, noon.Add(-time.Hour)},
		{"the last scan is now", noon, never, noon},
		{"the last scan lies ahead", noon.Add(time.Hour), never, noon.Add(time.Hour)},
		{"it lies ahead, and the clock was confirmed just now", noon.Add(time.Hour), noon, noon},
		{"… a second short of an hour ago", noon.Add(time.Hour), noon.Add(-time.Hour + time.Second), noon},
		{"… an hour ago, which is too old", noon.Add(time.Hour), noon.Add(-time.Hour), noon.Add(time.Hour)},
		{"… by a clock that itself ran ahead", noon.Add(time.Hour), noon.Add(time.Second), noon.Add(time.Hour)},
		{"confirmed, and nothing lies ahead", noon.Add(-time.Minute), noon, noon.Add(-time.Minute)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := confirmed(tt.lastScan, tt.accepted, noon); !got.Equal(tt.want) {
				t.Errorf("confirmed until %s, want %s", got, tt.want)
			}
		})
	}
}
