package scanner

import (
	"cmp"
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
// and not on record, the tightest is told and the wider ones are recorded as
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
		if rules[i].Matches(c.Item) {
			d.apply(&rules[i], c, now)
		}
	}
	d.keepTightest(c.Told)
	d.coverUntold()
	return d
}

// NextDue returns the earliest threshold of any rule that has no alert on
// record for the item, or a recipient who was not told, be it past or ahead;
// zero when there is none.
func NextDue(rules []Rule, c alert.Candidate) time.Time {
	var next time.Time
	if !watched(c.Item) {
		return next
	}
	for i := range rules {
		if !rules[i].Matches(c.Item) {
			continue
		}
		for _, t := range rules[i].thresholds(c.Item) {
			if !rules[i].done(c, t) {
				next = earliest(next, rules[i].reachedAt(c.Item, t))
			}
		}
	}
	return next
}

// Matches reports whether the rule is about an item: it names its kind and
// labels that the item bears, and somebody to tell. A rule without recipients
// records nothing, so that nothing is lost when it is given some.
func (r *Rule) Matches(it alert.Item) bool {
	if !slices.Contains(r.Kinds, it.Kind) {
		return false
	}
	for label, want := range r.Match {
		if got, ok := it.Labels[label]; !ok || got != want {
			return false
		}
	}
	return slices.ContainsFunc(r.Targets, func(t Target) bool { return len(t.Recipients) > 0 })
}

// thresholds returns the rule's thresholds for an item. The end of a revocation
// list is always one of them: a list that was told to be near its end and is
// replaced by nobody ends by refusing everyone of its CA.
func (r *Rule) thresholds(it alert.Item) []time.Duration {
	if it.Kind != alert.KindCRL || slices.Contains(r.Before, 0) {
		return r.Before
	}
	return append(slices.Clip(r.Before), 0)
}

func watched(it alert.Item) bool {
	return it.Watch == alert.Active && it.Trust == alert.Trusted && !it.NotAfter.IsZero() && !it.Outlived()
}

// apply adds the alerts of one rule, and who would be told of them.
func (d *Decision) apply(r *Rule, c alert.Candidate, now time.Time) {
	tightest, reached := time.Duration(0), false
	var fresh []time.Duration
	for _, t := range r.thresholds(c.Item) {
		at := r.reachedAt(c.Item, t)
		if now.Before(at) {
			if !r.done(c, t) {
				d.Next = earliest(d.Next, at)
			}
			continue
		}
		if !reached || t < tightest {
			tightest, reached = t, true
		}
		if !recorded(c.Recorded, r.Name, t) && !slices.Contains(fresh, t) {
			fresh = append(fresh, t)
		}
	}
	slices.SortFunc(fresh, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	for _, t := range fresh {
		d.Alerts = append(d.Alerts, newAlert(c.Item, r.Name, t, now))
	}
	if reached {
		d.tell(r, newAlert(c.Item, r.Name, tightest, now))
	}
}

// done reports whether a threshold is on record and everybody was told.
func (r *Rule) done(c alert.Candidate, threshold time.Duration) bool {
	if !recorded(c.Recorded, r.Name, threshold) {
		return false
	}
	for _, t := range r.Targets {
		for _, recipient := range t.Recipients {
			if !toldAlready(c.Told, t.Channel, recipient, threshold) {
				return false
			}
		}
	}
	return true
}

func newAlert(it alert.Item, rule string, threshold time.Duration, now time.Time) alert.Alert {
	return alert.Alert{
		ID:      alert.ID(it.ID, it.Epoch, rule, threshold, alert.EventExpiring),
		Subject: it.ID, ItemID: it.ID, Epoch: it.Epoch, Rule: rule, Threshold: threshold,
		Event: alert.EventExpiring, CreatedAt: now,
	}
}

func (d *Decision) tell(r *Rule, a alert.Alert) {
	for _, t := range r.Targets {
		for _, recipient := range t.Recipients {
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

// earliest returns the earlier of two instants, of which a may be unset.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
