// Package watch looks from outside, again and again, at what may be taking too
// long. It costs those that are watched no timer and no deadline.
package watch

import "time"

// minInterval keeps short limits from taking the processor.
const minInterval = 20 * time.Millisecond

// Interval returns how often to look at what a limit is kept by: so often that it
// is hardly passed, and not more seldom than longest.
func Interval(limit, longest time.Duration) time.Duration {
	return min(max(limit/8, minInterval), longest)
}

// Loop calls look at each interval until done is closed.
func Loop(done <-chan struct{}, interval time.Duration, look func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C: // its time lags when the processor is busy: see Now
			look()
		case <-done:
			return
		}
	}
}

// Now reads the monotonic clock, which no change of the wall clock moves: the
// result is only good for the difference to another one. The beginning of what is
// watched is read when it is seen, not taken from the beginning of the round:
// otherwise the watch would count time that had passed before.
func Now() time.Time { return time.Now() }
