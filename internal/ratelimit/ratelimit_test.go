package ratelimit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/ratelimit"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := ratelimit.New(ratelimit.Options{Burst: 2, Every: time.Minute, Most: 10, Now: func() time.Time { return now }})
	for n, want := range []time.Duration{0, 0, time.Minute, time.Minute} {
		if got := l.Take("a"); got != want {
			t.Errorf("number %d waits %s, want %s", n+1, got, want)
		}
	}
	if got := l.Take("b"); got != 0 {
		t.Errorf("another one waits %s", got)
	}
	now = now.Add(59*time.Second + 900*time.Millisecond)
	if got := l.Take("a"); got != time.Second {
		t.Errorf("just before the end it waits %s, want a second", got)
	}
	now = now.Add(100 * time.Millisecond)
	if got := l.Take("a"); got != 0 {
		t.Errorf("after a minute it waits %s", got)
	}
}

// TestLimiter_Bounded: a flood of keys is forgotten sooner than kept.
func TestLimiter_Bounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := ratelimit.New(ratelimit.Options{Burst: 1, Every: time.Minute, Most: 10, Now: func() time.Time { return now }})
	l.Take("first")
	for n := range 9 {
		l.Take(strconv.Itoa(n))
	}
	if l.Take("first") == 0 {
		t.Error("it is forgotten while there is room")
	}
	l.Take("the eleventh")
	if l.Take("first") != 0 {
		t.Error("it is kept beyond the bound")
	}
}
