package app

import (
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/scanner"
)

// A floorClock never runs below the last confirmed instant, so that setting
// the wall clock back does not bring an expired certificate back to life.
type floorClock struct {
	wall  func() time.Time
	floor atomic.Pointer[time.Time]
}

// confirm raises the floor. An instant below it is passed over.
func (c *floorClock) confirm(t time.Time) {
	for {
		old := c.floor.Load()
		if old != nil && !t.After(*old) || c.floor.CompareAndSwap(old, &t) {
			return
		}
	}
}

// reset lowers or raises the floor: an operator has confirmed the clock.
func (c *floorClock) reset(t time.Time) { c.floor.Store(&t) }

// now returns the wall clock, or the floor when that is later.
func (c *floorClock) now() time.Time {
	now := c.wall()
	if floor := c.floor.Load(); floor != nil && now.Before(*floor) {
		return *floor
	}
	return now
}

// confirmed returns the last confirmed instant at the start of a process: that
// of the last scan, unless it lies ahead and an operator has since confirmed
// the clock as it is.
func confirmed(lastScan, accepted, now time.Time) time.Time {
	if lastScan.After(now) && scanner.Confirms(accepted, now) {
		return now
	}
	return lastScan
}
