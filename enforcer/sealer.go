package enforcer

import (
	"crypto/rand"
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

// keyRotation is how long one key seals tickets. After that it opens them for
// as long as they are good, and is forgotten: a recording of resumed TLS 1.2
// traffic is worth nothing without it. (The keys that crypto/tls makes by
// itself would live for a week.)
const keyRotation = time.Hour

// A sealer owns the keys of tickets. They live in memory only, so that a
// restart ends all sessions.
type sealer struct {
	mu     sync.RWMutex
	config *tls.Config // does the sealing; it never takes part in a handshake
	keys   []ticketKey // newest first
}

type ticketKey struct {
	key  [32]byte
	made time.Time
}

func newSealer(now func() time.Time) *sealer {
	return &sealer{config: &tls.Config{MinVersion: tls.VersionTLS12, Time: now}}
}

// at returns what seals and opens tickets at that time.
func (s *sealer) at(now time.Time) *tls.Config {
	s.mu.RLock()
	fresh := s.fresh(now)
	s.mu.RUnlock()
	if !fresh {
		s.rotate(now)
	}
	return s.config
}

func (s *sealer) fresh(now time.Time) bool {
	return len(s.keys) > 0 && now.Sub(s.keys[0].made) < keyRotation
}

func (s *sealer) rotate(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh(now) {
		return // another did
	}
	next := ticketKey{made: now}
	_, _ = rand.Read(next.key[:]) // never fails (crypto/rand)
	s.keys = slices.Insert(s.keys, 0, next)
	s.keys = slices.DeleteFunc(s.keys, func(k ticketKey) bool { return now.Sub(k.made) >= maxSession+keyRotation })
	raw := make([][32]byte, len(s.keys))
	for i, k := range s.keys {
		raw[i] = k.key
	}
	s.config.SetSessionTicketKeys(raw)
}
