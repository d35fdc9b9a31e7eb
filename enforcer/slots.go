package enforcer

import (
	"context"
	"net/netip"
	"sync"
)

// Slots bound how many handshakes are worked on at once, since each costs a
// signature. One address gets a quarter of them at most, so that clients which
// take a slot and fall silent hold up their own network and nobody else's.
type slots struct {
	all   chan struct{}
	share int

	mu  sync.Mutex
	own map[netip.Prefix]*quota
}

// A quota is one address's part of the slots, kept while somebody has use of it.
type quota struct {
	taken chan struct{}
	users int
}

func newSlots(n int) *slots {
	return &slots{all: make(chan struct{}, n), share: max(1, n/4), own: map[netip.Prefix]*quota{}}
}

// network is what shares a quota: an address, or what one IPv6 customer has
// at the least.
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix for the zero Addr: one for all of them
	return prefix
}

// take waits for a slot until ctx is done. A trusted proxy speaks for many
// clients: it has no quota. The result gives the slot back; nil means none.
func (s *slots) take(ctx func() (context.Context, context.CancelFunc), addr netip.Addr, trusted bool) (release func()) {
	if trusted {
		if !enter(ctx, s.all) {
			return nil
		}
		return func() { <-s.all }
	}
	key := network(addr)
	q := s.join(key)
	if !enter(ctx, q.taken) {
		s.leave(key, q)
		return nil
	}
	if !enter(ctx, s.all) {
		<-q.taken
		s.leave(key, q)
		return nil
	}
	return func() {
		<-s.all
		<-q.taken
		s.leave(key, q)
	}
}

// enter takes a place in the channel. The context is made only to wait.
func enter(ctx func() (context.Context, context.CancelFunc), places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	wait, cancel := ctx()
	defer cancel()
	select {
	case places <- struct{}{}:
		return true
	case <-wait.Done():
		return false
	}
}

func (s *slots) join(key netip.Prefix) *quota {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.own[key]
	if q == nil {
		q = &quota{taken: make(chan struct{}, s.share)}
		s.own[key] = q
	}
	q.users++
	return q
}

func (s *slots) leave(key netip.Prefix, q *quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(s.own, key)
	}
}
