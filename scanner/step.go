package scanner

import (
	"cmp"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// urgentWithin is the time left from which nothing waits for a digest.
const urgentWithin = 7 * alert.Day

// digestsFrom is the instant from which the intervals of digests are counted: a
// Monday, in the morning.
var digestsFrom = time.Date(2024, time.January, 1, 8, 0, 0, 0, time.UTC)

// A step is a threshold of a rule with whom it tells.
type step struct {
	threshold time.Duration
	targets   []Target
}

// steps returns the rule's thresholds for an item, the widest first, each once.
// The end of a revocation list is always one of them: a list that was told to
// be near its end and is replaced by nobody ends by refusing everyone of its CA.
func (r *Rule) steps(it alert.Item) []step {
	steps := make([]step, 0, len(r.Before)+len(r.Escalate)+1)
	for _, t := range r.Before {
		steps = append(steps, step{t, r.Targets})
	}
	for _, e := range r.Escalate {
		steps = append(steps, step{e.Before, e.Targets})
	}
	ends := slices.ContainsFunc(steps, func(s step) bool { return s.threshold == 0 })
	if it.Kind == alert.KindCRL && !ends {
		steps = append(steps, step{0, r.Targets})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(b.threshold, a.threshold) })
	return slices.CompactFunc(steps, func(a, b step) bool { return a.threshold == b.threshold })
}

// dueAt returns the instant at which a threshold is told: when it is reached
// or, under a rule with a digest, with the next digest, unless the item is
// urgent by then. An item that was stored when it was within the threshold
// waits for the digest after that.
func (r *Rule) dueAt(it alert.Item, threshold time.Duration) time.Time {
	at, urgent := r.reachedAt(it, threshold), it.NotAfter.Add(-urgentWithin)
	from := at
	if it.CreatedAt.After(at) {
		from = it.CreatedAt
	}
	if r.Digest <= 0 || !from.Before(urgent) {
		return at
	}
	return earliest(nextDigest(from, r.Digest), urgent)
}

// nextDigest returns the first digest that is not before an instant.
func nextDigest(at time.Time, every time.Duration) time.Time {
	since := at.Sub(digestsFrom) % every
	if since < 0 {
		since += every
	}
	if since == 0 {
		return at
	}
	return at.Add(every - since)
}

// remindUntil is how long after its end an item is reminded of.
const remindUntil = 30 * alert.Day

// A series is when the reminders of a threshold come. The zero series has none.
type series struct {
	base  time.Time     // when the threshold was due
	top   time.Duration // the threshold
	first time.Time
	every time.Duration // 0 = the first is the only one
	until time.Time     // none is after it but the first
}

// series returns the reminders behind the tightest threshold that was reached:
// as often as the rule repeats, and when a snooze ends. They end when the item
// is acknowledged, 30 days after its end, and where one would be no tighter
// than the next threshold.
func (r *Rule) series(it alert.Item, steps []step, last int) series {
	s := series{base: r.dueAt(it, steps[last].threshold), top: steps[last].threshold, until: it.NotAfter.Add(remindUntil)}
	if r.Repeat > 0 && s.top <= r.RepeatFrom {
		s.every, s.first = r.Repeat, s.base.Add(r.Repeat)
	}
	if handled(it, s.base) {
		if it.Handling.Until == nil {
			return series{}
		}
		s.first = *it.Handling.Until
	}
	if last+1 < len(steps) {
		end := s.base.Add(s.top - steps[last+1].threshold - 1)
		if s.first.After(end) {
			return series{}
		}
		s.until = earliest(s.until, end)
	}
	if !s.first.After(s.base) {
		return series{}
	}
	return s
}

// latest returns the last reminder that is not after an instant, zero if none.
func (s series) latest(now time.Time) time.Time {
	switch {
	case s.first.IsZero() || now.Before(s.first):
		return time.Time{}
	case s.every == 0:
		return s.first
	}
	if now.After(s.until) {
		now = s.until
	}
	return s.first.Add(max(now.Sub(s.first), 0) / s.every * s.every)
}

// after returns the first reminder after an instant, zero if none.
func (s series) after(now time.Time) time.Time {
	switch {
	case s.first.IsZero() || now.Before(s.first):
		return s.first
	case s.every == 0:
		return time.Time{}
	}
	at := s.first.Add((now.Sub(s.first)/s.every + 1) * s.every)
	if at.After(s.until) {
		return time.Time{}
	}
	return at
}

// has reports whether a reminder comes at an instant.
func (s series) has(at time.Time) bool {
	return !s.first.IsZero() && s.latest(at).Equal(at)
}

// threshold returns what a reminder counts as: as much tighter as it is later.
func (s series) threshold(at time.Time) time.Duration { return s.top - at.Sub(s.base) }

// last returns the last reminder on record that is not after now, zero if none.
// What other rules of the same name recorded may look like one ahead.
func (s series) last(c alert.Candidate, rule string, now time.Time) time.Time {
	var last time.Time
	for _, m := range c.Recorded {
		at := s.base.Add(s.top - m.Threshold)
		if m.Rule == rule && s.has(at) && at.After(last) && !at.After(now) {
			last = at
		}
	}
	return last
}
