package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/inventory"
)

const (
	sightingsEvery = 10 * time.Second
	sightingsEarly = 1000  // gathered, from which they are written before their time
	sightingsMost  = 10000 // held while the store does not take them
	sightingsBatch = 500   // in one transaction
	sightingsGrace = 2 * time.Second
)

// A sightingStore keeps sightings. It may be called concurrently.
type sightingStore interface {
	// RecordSightings is whole or not at all.
	RecordSightings(ctx context.Context, list []inventory.Sighting) error
}

// A sightingKey is one certificate at one host name.
type sightingKey struct {
	leaf     [32]byte
	hostname string
}

// sightings gathers what the listener sees of client certificates and writes it
// to the store some at a time, off the way of requests. What cannot be held is
// lost and counted: a certificate in use is seen again.
type sightings struct {
	store sightingStore
	lost  func(n int)
	log   *slog.Logger
	early chan struct{} // of capacity 1

	mu     sync.Mutex
	seen   map[sightingKey]*inventory.Sighting
	failed bool // the last attempt to write
}

func newSightings(store sightingStore, lost func(int), log *slog.Logger) *sightings {
	return &sightings{store: store, lost: lost, log: log, early: make(chan struct{}, 1), seen: map[sightingKey]*inventory.Sighting{}}
}

// note takes one in. It does not block on the store, and hashes nothing for a
// certificate that it holds already: it is called on the way of a request.
func (s *sightings) note(seen enforcer.Sighting) {
	key := sightingKey{seen.LeafID, seen.Hostname}
	next := &inventory.Sighting{Certificate: seen.Leaf, Hostname: seen.Hostname, FirstSeen: seen.At, LastSeen: seen.At, Count: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[key] == nil {
		for _, authority := range seen.Authority {
			next.Authorities = append(next.Authorities, cert.Fingerprint(authority))
		}
	}
	s.merge(key, next)
	if len(s.seen) >= sightingsEarly && !s.failed {
		select {
		case s.early <- struct{}{}:
		default:
		}
	}
}

// merge adds one to what was gathered. The caller holds mu.
func (s *sightings) merge(key sightingKey, next *inventory.Sighting) {
	had := s.seen[key]
	switch {
	case had == nil && len(s.seen) >= sightingsMost:
		s.lost(next.Count)
	case had == nil:
		s.seen[key] = next
	default:
		had.Count += next.Count
		if next.FirstSeen.Before(had.FirstSeen) {
			had.FirstSeen = next.FirstSeen
		}
		if next.LastSeen.After(had.LastSeen) {
			had.LastSeen = next.LastSeen
		}
	}
}

// run writes what was gathered until ctx ends.
func (s *sightings) run(ctx context.Context) error {
	tick := time.NewTicker(sightingsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.early:
		}
		s.flush(ctx)
	}
}

// close writes what the last requests left.
func (s *sightings) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), sightingsGrace)
	defer cancel()
	s.flush(ctx)
	return nil
}

// flush writes what was gathered. What the store does not take is gathered
// again, for the next time.
func (s *sightings) flush(ctx context.Context) {
	s.mu.Lock()
	seen := s.seen
	s.seen = map[sightingKey]*inventory.Sighting{}
	s.mu.Unlock()

	var err error
	for keys := range slices.Chunk(slices.Collect(maps.Keys(seen)), sightingsBatch) {
		batch := make([]inventory.Sighting, len(keys))
		for i, key := range keys {
			batch[i] = *seen[key]
		}
		if err = s.store.RecordSightings(ctx, batch); err != nil {
			break
		}
		for _, key := range keys {
			delete(seen, key)
		}
	}
	s.settle(seen, err)
}

// settle gathers again what was not written.
func (s *sightings) settle(rest map[sightingKey]*inventory.Sighting, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, sighting := range rest {
		s.merge(key, sighting)
	}
	if err != nil && !s.failed && !errors.Is(err, context.Canceled) {
		s.log.Warn("recording where client certificates are seen; trying again", "error", err)
	}
	s.failed = err != nil
}
