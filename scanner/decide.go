package scanner

import (
	"math/bits"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// scaleBase is the lifetime from which a scaled threshold counts in full.
const scaleBase = 120 * alert.Day

// A Decision is what is due for one item.
type Decision struct {
	Alerts []alert.Alert // to record, in the order of the rules; wider thresholds first
	Tells  []Tell        // who is to be told; at most one for each recipient
	// Next is when the item must be looked at again; zero means never.
	Next time.Time
}

// A Tell is one recipient to be told of one alert.
type Tell struct {
	Alert     alert.Alert
	Channel   string
	Recipient string
	Single    bool // the channel's format carries one item a message
}

// Decide returns what is due for an item at now. A threshold is reached when
// not_after − now ≤ threshold. Of the thresholds of a rule that are reached
// and tell a recipient, the tightest is told and the wider ones are recorded as
// covered.
//
// A recipient of a channel who was told of the item and epoch at an equal or
// tighter threshold is not told again, whichever rule asks. When several rules
// ask at once, the tightest threshold is told, on a tie that of the rule
// listed first. An alert that is left without a recipient is recorded as
// covered too, so that it does not come up again. A recipient whom the rules
// gained meanwhile is told of the tightest threshold reached, though it is on
// record: an address that was mended must not wait for the next one, since
// there may be none.
//
// Behind the tightest threshold reached come its reminders, each of which
// counts as a threshold that is as much tighter as it is later. Whoever
// acknowledged or snoozed the item has silenced the thresholds that were due by
// then and their reminders, the latter for a time; no threshold that comes
// after is silenced.
//
// Of an item whose watch has ended, everybody is told once who heard of its
// expiry and whom a rule still tells of anything.
func Decide(rules []Rule, c alert.Candidate, now time.Time) Decision {
	if c.Ended != nil {
		return decideEnded(rules, c, now)
	}
	if !watched(c.Item) {
		return Decision{}
	}
	var d Decision
	for i := range rules {
		if rules[i].Matches(c) {
			d.apply(&rules[i], c, now)
		}
	}
	d.keepTightest(c.Told)
	d.coverUntold()
	return d
}

// NextDue returns the earliest threshold or reminder of any rule that has no
// alert on record for the item, or a recipient who was not told, be it past or
// ahead; zero when there is none.
func NextDue(rules []Rule, c alert.Candidate, now time.Time) time.Time {
	var next time.Time
	if !watched(c.Item) {
		return next
	}
	for i := range rules {
		if rules[i].Matches(c) {
			next = earliest(next, rules[i].next(c, now))
		}
	}
	return next
}

// next returns the earliest instant at which the rule has something to do.
func (r *Rule) next(c alert.Candidate, now time.Time) time.Time {
	var next time.Time
	steps := r.steps(c.Item)
	last := -1
	for i, s := range steps {
		at := r.dueAt(c.Item, s.threshold)
		if !r.done(c, s, now) {
			next = earliest(next, at)
		}
		if !at.After(now) {
			last = i
			next = earliest(next, wakes(c.Item, at, now))
		}
	}
	if last >= 0 {
		series := r.series(c.Item, steps, last)
		next = earliest(next, series.after(series.last(c, r.Name, now)))
	}
	return next
}

func watched(it alert.Item) bool {
	return it.Watched() && it.Trust == alert.Trusted && !it.NotAfter.IsZero() && !it.Outlived()
}

// apply adds the alerts of one rule, and who would be told of them.
func (d *Decision) apply(r *Rule, c alert.Candidate, now time.Time) {
	steps, last := r.steps(c.Item), -1
	for i, s := range steps {
		at := r.dueAt(c.Item, s.threshold)
		if now.Before(at) {
			if !r.done(c, s, now) {
				d.Next = earliest(d.Next, at)
			}
			continue
		}
		last = i
		d.Next = earliest(d.Next, wakes(c.Item, at, now))
		d.record(c, newAlert(c.Item, r.Name, s.threshold, now))
		if !silenced(c.Item, at, now) {
			d.tell(c.Item, s.targets, newAlert(c.Item, r.Name, s.threshold, now))
		}
	}
	if last >= 0 {
		d.remind(r, c, steps, last, now)
	}
}

// remind adds the reminder that is due, if any is.
func (d *Decision) remind(r *Rule, c alert.Candidate, steps []step, last int, now time.Time) {
	series := r.series(c.Item, steps, last)
	if at := series.latest(now); !at.IsZero() {
		a := newAlert(c.Item, r.Name, series.threshold(at), now)
		d.record(c, a)
		d.tell(c.Item, steps[last].targets, a)
	}
	d.Next = earliest(d.Next, series.after(now))
}

// record adds an alert that is not on record.
func (d *Decision) record(c alert.Candidate, a alert.Alert) {
	if !recorded(c.Recorded, a.Rule, a.Threshold) {
		d.Alerts = append(d.Alerts, a)
	}
}

// done reports whether a threshold is on record, and everybody was told or it
// is silenced.
func (r *Rule) done(c alert.Candidate, s step, now time.Time) bool {
	if !recorded(c.Recorded, r.Name, s.threshold) {
		return false
	}
	if silenced(c.Item, r.dueAt(c.Item, s.threshold), now) {
		return true
	}
	for _, t := range s.targets {
		for _, recipient := range t.recipients(c.Item) {
			if !toldAlready(c.Told, t.Channel, recipient, s.threshold) {
				return false
			}
		}
	}
	return true
}

// handled reports whether somebody acknowledged or snoozed the item after what
// was due at an instant.
func handled(it alert.Item, at time.Time) bool {
	return it.Handling != nil && !at.After(it.Handling.At)
}

// silenced reports whether what was due at an instant is not to be told now.
func silenced(it alert.Item, at, now time.Time) bool {
	return handled(it, at) && (it.Handling.Until == nil || now.Before(*it.Handling.Until))
}

// wakes returns when a snooze no longer silences what was due at an instant, zero
// when none does now. The rules may have changed meanwhile, so it counts for every
// threshold, not for the one alone that it reminds of.
func wakes(it alert.Item, at, now time.Time) time.Time {
	if !silenced(it, at, now) || it.Handling.Until == nil {
		return time.Time{}
	}
	return *it.Handling.Until
}

func newAlert(it alert.Item, rule string, threshold time.Duration, now time.Time) alert.Alert {
	return alert.Alert{
		ID:      alert.ID(it.ID, it.Epoch, rule, threshold, alert.EventExpiring),
		Subject: it.ID, ItemID: it.ID, Epoch: it.Epoch, Rule: rule, Threshold: threshold,
		Event: alert.EventExpiring, CreatedAt: now,
	}
}

func (d *Decision) tell(it alert.Item, targets []Target, a alert.Alert) {
	for _, t := range targets {
		for _, recipient := range t.recipients(it) {
			d.Tells = append(d.Tells, Tell{Alert: a, Channel: t.Channel, Recipient: recipient, Single: t.Single})
		}
	}
}

// keepTightest leaves each recipient the tightest of what rules want it to be
// told, unless it was told as much before.
func (d *Decision) keepTightest(told []alert.Told) {
	kept := d.Tells[:0]
	for _, t := range d.Tells {
		if toldAlready(told, t.Channel, t.Recipient, t.Alert.Threshold) {
			continue
		}
		i := slices.IndexFunc(kept, func(k Tell) bool { return k.Channel == t.Channel && k.Recipient == t.Recipient })
		switch {
		case i < 0:
			kept = append(kept, t)
		case t.Alert.Threshold < kept[i].Alert.Threshold:
			kept[i] = t
		}
	}
	d.Tells = kept
}

func (d *Decision) coverUntold() {
	for i, a := range d.Alerts {
		d.Alerts[i].Covered = !slices.ContainsFunc(d.Tells, func(t Tell) bool { return t.Alert.ID == a.ID })
	}
}

func toldAlready(told []alert.Told, channel, recipient string, threshold time.Duration) bool {
	return slices.ContainsFunc(told, func(o alert.Told) bool {
		return o.Channel == channel && o.Recipient == recipient && o.Threshold <= threshold
	})
}

func recorded(marks []alert.Mark, rule string, threshold time.Duration) bool {
	return slices.Contains(marks, alert.Mark{Rule: rule, Threshold: threshold})
}

// reachedAt returns the instant from which the item is within a threshold.
func (r *Rule) reachedAt(it alert.Item, threshold time.Duration) time.Time {
	if r.Scale || it.Kind == alert.KindCRL || it.OnlyObserved() {
		threshold = scaled(threshold, it.Lifetime())
	}
	return it.NotAfter.Add(-threshold)
}

// scaled returns min(t, lifetime × t / 120d), rounded down, without overflow.
func scaled(threshold, lifetime time.Duration) time.Duration {
	if lifetime >= scaleBase {
		return threshold
	}
	hi, lo := bits.Mul64(uint64(max(lifetime, 0)), uint64(max(threshold, 0)))
	quotient, _ := bits.Div64(hi, lo, uint64(scaleBase))
	return time.Duration(quotient) //nolint:gosec // G115: lifetime < scaleBase, so it is below threshold
}

// earliest returns the earlier of two instants, either of which may be unset.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
