package app

import (
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
)

const (
	minLook   = time.Minute    // between two looks at a source
	maxRetry  = time.Hour      // between two looks at one that fails
	maxLook   = 24 * time.Hour // between two looks at one that is well
	spreadDay = 6 * time.Hour  // of the latter, by chance
)

// nextLook returns when to look at the source of a list again that was found
// current at now. It lies by chance between the half and seven tenths of the
// list's validity, so that many lists and many replicas do not come at once, and
// the thresholds of alerts, which scale to a quarter of a list's validity, are not
// reached by one in perfect order, be it slow to come. Later, as long as there is
// no newer list, a quarter of what is left passes between looks. chance is in
// [0, 1).
func nextLook(l inventory.CRL, now time.Time, chance float64) time.Time {
	validity := l.NextUpdate.Sub(l.ThisUpdate)
	at := l.ThisUpdate.Add(validity/2 + portion(validity/5, chance))
	if !at.After(now) {
		left := l.NextUpdate.Sub(now)
		at = now.Add(portion(left/4, 0.5+chance/2))
		if left < 0 { // the CA is late: less and less often
			at = now.Add(retryAfter(-left, chance))
		}
	}
	if latest := now.Add(maxLook - portion(spreadDay, chance)); at.After(latest) {
		at = latest
	}
	if earliest := now.Add(minLook); at.Before(earliest) {
		at = earliest
	}
	return at
}

// retryAfter returns how long to wait after a look that failed, when looks have
// failed for some time: as long again, from a minute to an hour, with a little
// chance.
func retryAfter(failing time.Duration, chance float64) time.Duration {
	wait := min(max(failing, minLook), maxRetry)
	return min(wait+portion(wait/4, chance), maxRetry)
}

func portion(d time.Duration, share float64) time.Duration { return time.Duration(float64(d) * share) }
