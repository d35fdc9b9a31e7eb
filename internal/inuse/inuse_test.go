package inuse_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/certvigil/certvigil/internal/inuse"
)

func TestSet(t *testing.T) {
	t.Parallel()
	var s inuse.Set[int]
	if !s.Add(1) || !s.Add(2) || !s.Add(2) {
		t.Fatal("an open set lets none in")
	}
	got := s.Append([]int{0})
	slices.Sort(got)
	if !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("%v are in use", got)
	}
	s.Shut()
	if s.Add(3) {
		t.Error("a shut set lets one in")
	}
	s.Remove(1)
	s.Remove(3)
	if got := s.Append(nil); !slices.Equal(got, []int{2}) {
		t.Errorf("%v are left", got)
	}
}

func TestSet_Wait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s inuse.Set[int]
		if err := s.Wait(t.Context()); err != nil {
			t.Errorf("waiting for nothing: %v", err)
		}
		s.Add(1)
		s.Add(2)
		ended := make(chan error, 3)
		for range 2 {
			go func() { ended <- s.Wait(t.Context()) }()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- s.Wait(ctx) }()
		s.Remove(1)
		synctest.Wait()
		if len(ended) > 0 {
			t.Error("one is still in use, and a wait has ended")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a wait that was given up: %v", err)
		}
		s.Remove(2)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}
