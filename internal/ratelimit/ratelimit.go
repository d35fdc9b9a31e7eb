// Package ratelimit counts what somebody does too often, in bounded memory.
package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Options say how often is too often. All are required.
type Options struct {
	Burst int           // at once
	Every time.Duration // once more, after the burst
	Most  int           // keys that are remembered
	Now   func() time.Time
}

// A Limiter counts per key. It may be used concurrently.
type Limiter struct {
	o Options

	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

// New returns a limiter that has counted nothing.
func New(o Options) *Limiter { return &Limiter{o: o, keys: map[string]*rate.Limiter{}} }

// Take counts once. It returns how long the key has to wait, at least a
// second, and 0 while it is within its limit.
func (l *Limiter) Take(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.o.Now()
	c := l.keys[key]
	if c == nil {
		l.makeRoom(now)
		c = rate.NewLimiter(rate.Every(l.o.Every), l.o.Burst)
		l.keys[key] = c
	}
	if c.AllowN(now, 1) {
		return 0
	}
	missing := 1 - c.TokensAt(now)
	return max(time.Duration(missing*float64(l.o.Every)), time.Second)
}

// makeRoom forgets who has rested long enough, and everybody when that is not
// enough: memory is bounded, whatever keys come.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.keys) < l.o.Most {
		return
	}
	for key, c := range l.keys {
		if c.TokensAt(now) >= float64(l.o.Burst) {
			delete(l.keys, key)
		}
	}
	if len(l.keys) >= l.o.Most {
		clear(l.keys)
	}
}
