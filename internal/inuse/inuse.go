// Package inuse keeps track of what is in use, so that it can be looked at from
// outside and waited for.
package inuse

import (
	"context"
	"slices"
	"sync"
)

// A Set holds what is in use. The zero value is empty and ready. All methods may
// be called concurrently.
type Set[T comparable] struct {
	mu    sync.Mutex
	all   map[T]struct{}
	shut  bool
	empty chan struct{} // closed when the last one goes; nil while nobody waits
}

// Add takes one in; false once the set is shut.
func (s *Set[T]) Add(one T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	if s.all == nil {
		s.all = map[T]struct{}{}
	}
	s.all[one] = struct{}{}
	return true
}

// Remove lets one go.
func (s *Set[T]) Remove(one T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
	if len(s.all) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Append appends all that are in use to buf, in no order.
func (s *Set[T]) Append(buf []T) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	buf = slices.Grow(buf, len(s.all))
	for one := range s.all {
		buf = append(buf, one)
	}
	return buf
}

// Shut lets none in any more.
func (s *Set[T]) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// Wait returns when nothing is in use, or with the error of ctx.
func (s *Set[T]) Wait(ctx context.Context) error {
	s.mu.Lock()
	if len(s.all) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
