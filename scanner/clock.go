package scanner

import (
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

const (
	maxJump       = 2 * alert.Day    // a longer jump forward is not believed at once
	jumpHold      = 15 * time.Minute // of monotonic time, until it is
	acceptedFresh = time.Hour        // how long an operator's word on the clock is good
)

// A guard tells whether the wall clock can be believed. It is used under the
// scanner's lock.
type guard struct {
	wall     time.Time     // the last reading that was believed
	mono     time.Duration // the monotonic reading at that moment
	held     bool          // a jump forward is being waited out
	heldFrom time.Duration // the monotonic reading when it was noticed
}

// observe believes a reading of the clocks unless the wall clock ran ahead of
// the monotonic clock by more than maxJump since the last one that was
// believed. What passed before this process began is downtime and not seen
// here. It returns how far the wall clock ran ahead, 0 when it is believed.
// Reading by reading, so that nights of a sleeping laptop do not add up.
func (g *guard) observe(wall time.Time, mono time.Duration) time.Duration {
	ahead := wall.Sub(g.wall) - (mono - g.mono)
	if ahead <= maxJump || (g.held && mono-g.heldFrom >= jumpHold) {
		g.believe(wall, mono)
		return 0
	}
	if !g.held {
		g.held, g.heldFrom = true, mono
	}
	return ahead
}

func (g *guard) believe(wall time.Time, mono time.Duration) {
	g.wall, g.mono, g.held = wall, mono, false
}

// check returns a fault.Unavailable error while scanning must be held: after a
// jump forward, or with a wall clock that is behind the last scan. An
// operator's word, accepted within the last hour of this same clock, ends both.
func (g *guard) check(wall time.Time, mono time.Duration, lastScan, accepted time.Time) error {
	if Confirms(accepted, wall) {
		g.believe(wall, mono)
		return nil
	}
	if ahead := g.observe(wall, mono); ahead > 0 {
		left := jumpHold - (mono - g.heldFrom)
		return clockHeld("the wall clock jumped %s ahead; scanning is held for %s", ahead.Round(time.Second), left.Round(time.Second))
	}
	if wall.Before(lastScan) {
		return clockHeld("the wall clock shows %s, before the last scan at %s; scanning is held until it is past it",
			wall.Format(time.RFC3339), lastScan.UTC().Format(time.RFC3339))
	}
	return nil
}

// Confirms reports whether an operator's word on the clock, given at accepted
// by that same clock, is good at now: for an hour, and never by a clock that
// has run back since.
func Confirms(accepted, now time.Time) bool {
	age := now.Sub(accepted)
	return age >= 0 && age < acceptedFresh
}

func clockHeld(format string, args ...any) error {
	return fault.New(fault.Unavailable, "clock_held", format, args...).
		WithHint("set the clock right, or, if it is right, accept it: certvigil scan --accept-clock")
}
