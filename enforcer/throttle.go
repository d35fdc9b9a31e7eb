package enforcer

import (
	"sync"
	"time"
)

// throttleInterval is how long after a line of a kind the next one may follow.
const throttleInterval = 10 * time.Second

// A throttle keeps strangers from filling the log: one line of a kind in a
// while, with the number of those in between. Kinds are bounded.
type throttle struct {
	mu    sync.Mutex
	kinds map[string]*throttled
}

type throttled struct {
	last       time.Time
	suppressed int
}

// allow reports whether a line may be written now, and how many were not
// since the last.
func (t *throttle) allow(kind string, now time.Time) (ok bool, suppressed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.kinds[kind]
	if k == nil {
		if t.kinds == nil {
			t.kinds = map[string]*throttled{}
		}
		k = &throttled{}
		t.kinds[kind] = k
	}
	if age := now.Sub(k.last); age >= 0 && age < throttleInterval {
		k.suppressed++
		return false, 0
	}
	suppressed = k.suppressed
	k.last, k.suppressed = now, 0
	return true, suppressed
}
