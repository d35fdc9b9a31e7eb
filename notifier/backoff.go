package notifier

import "time"

// schedule is how long to wait after each failed attempt, as Standard Webhooks
// recommends it: ten attempts over 75 hours, 35 minutes and 5 seconds.
var schedule = [...]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// MaxAttempts is how often a message is tried before its delivery is dead.
const MaxAttempts = len(schedule) + 1

// Backoff returns how long to wait after the given attempt, counted from 1,
// failed; ok is false when it was the last. The jitter, in [0, 1), spreads the
// wait over ±10 %.
func Backoff(attempt int, jitter float64) (wait time.Duration, ok bool) {
	if attempt > len(schedule) {
		return 0, false
	}
	return spread(schedule[max(attempt, 1)-1], jitter), true
}

// ProbeBackoff returns how long a failing channel is left alone after that
// many probes failed: from 30 s, doubling, to an hour, ±10 %.
func ProbeBackoff(probes int, jitter float64) time.Duration {
	return spread(min(30*time.Second<<min(max(probes-1, 0), 10), time.Hour), jitter)
}

// Bounds of what a counterpart's limit may ask for, and what counts when it
// does not say.
const (
	minLimit     = time.Second
	maxLimit     = 24 * time.Hour
	defaultLimit = time.Minute
)

// limitWait returns how long a limit postpones. It is never shorter than what
// the counterpart asked for, up to 24 hours.
func limitWait(after time.Duration, jitter float64) time.Duration {
	if after <= 0 {
		after = defaultLimit
	}
	after = min(max(after, minLimit), maxLimit)
	return min(after+time.Duration(float64(after)*jitter/10), maxLimit)
}

func spread(d time.Duration, jitter float64) time.Duration {
	return d + time.Duration(float64(d)*(jitter-0.5)/5)
}
