package scanner

import (
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// The states of a planned telling.
const (
	StateTold     = "told"     // or handed to the outbox
	StateDue      = "due"      // with the next scan
	StatePlanned  = "planned"  // later
	StateSilenced = "silenced" // acknowledged or snoozed
	StateCovered  = "covered"  // a tighter threshold is, or was, told in its place
)

// An Explanation is what one rule does about one item.
type Explanation struct {
	Rule     string             `json:"rule"`
	Mismatch string             `json:"mismatch,omitempty"` // why the rule is not about the item; then the rest is empty
	Tellings []ExplainedTelling `json:"tellings,omitempty"`
	Reminder *time.Time         `json:"next_reminder,omitempty"`
	Reminds  string             `json:"reminders,omitempty"` // why there is none, or how often
}

// An ExplainedTelling is one recipient at one threshold.
type ExplainedTelling struct {
	Threshold time.Duration `json:"-"`
	Before    string        `json:"before"` // the threshold as configured
	At        time.Time     `json:"at"`
	Channel   string        `json:"channel"`
	Recipient string        `json:"recipient"`
	State     string        `json:"state"`
	Why       string        `json:"why,omitempty"`
}

// Unwatched says why nothing is told of an item whatever the rules say, "" when
// that is not so.
func Unwatched(it alert.Item) string {
	switch {
	case it.Trust != alert.Trusted:
		return fmt.Sprintf("the item is %s", it.Trust)
	case it.Watch == alert.Superseded && !it.Watched():
		return "the item is superseded: another one took its place"
	case it.Watch == alert.Ignored:
		return "the item is ignored: certvigil cert ignore --undo takes that back"
	case it.Watch == alert.Pending:
		return "the item is not valid yet: it is watched from " + it.NotBefore.UTC().Format(time.RFC3339)
	case !watched(it):
		return "the item is not watched"
	}
	return ""
}

// Explain returns what each rule does about an item, at now. It is pure, and
// goes by the same functions as Decide.
func Explain(rules []Rule, c alert.Candidate, now time.Time) []Explanation {
	list := make([]Explanation, 0, len(rules))
	for i := range rules {
		list = append(list, rules[i].explain(c, Decide(rules, c, now), now))
	}
	return list
}

func (r *Rule) explain(c alert.Candidate, d Decision, now time.Time) Explanation {
	e := Explanation{Rule: r.Name, Mismatch: r.mismatch(c)}
	if e.Mismatch != "" || !watched(c.Item) {
		return e
	}
	steps, last := r.steps(c.Item), -1
	for i, s := range steps {
		at := r.dueAt(c.Item, s.threshold)
		if !at.After(now) {
			last = i
		}
		for _, t := range s.targets {
			for _, recipient := range t.recipients(c.Item) {
				x := ExplainedTelling{Threshold: s.threshold, Before: alert.FormatThreshold(s.threshold), At: at, Channel: t.Channel, Recipient: recipient}
				x.State, x.Why = standing(c, d, x, r.gatheredWhy(c.Item, s.threshold), now)
				e.Tellings = append(e.Tellings, x)
			}
		}
	}
	e.Reminds = r.remindsWhy(c.Item, steps, last)
	if last >= 0 {
		if at := r.series(c.Item, steps, last).after(now); !at.IsZero() {
			e.Reminder = &at
		}
	}
	return e
}

// standing says how a telling stands, and why it is not as one would expect.
func standing(c alert.Candidate, d Decision, x ExplainedTelling, gathered string, now time.Time) (state, why string) {
	i := slices.IndexFunc(c.Told, func(o alert.Told) bool { return o.Channel == x.Channel && o.Recipient == x.Recipient })
	switch {
	case i >= 0 && c.Told[i].Threshold == x.Threshold:
		return StateTold, heardWhy(c.Told[i])
	case i >= 0 && c.Told[i].Threshold < x.Threshold:
		return StateCovered, "told at " + alert.FormatThreshold(c.Told[i].Threshold) + byRule(c.Told[i].Rule)
	case now.Before(x.At):
		return StatePlanned, gathered
	case silenced(c.Item, x.At, now):
		return StateSilenced, c.Item.Handling.Words()
	}
	for _, t := range d.Tells {
		if t.Channel == x.Channel && t.Recipient == x.Recipient {
			if t.Alert.Threshold == x.Threshold {
				return StateDue, ""
			}
			return StateCovered, "about to be told at " + alert.FormatThreshold(t.Alert.Threshold) + byRule(t.Alert.Rule)
		}
	}
	return StateCovered, ""
}

// gatheredWhy says that a threshold is told later than it is reached.
func (r *Rule) gatheredWhy(it alert.Item, threshold time.Duration) string {
	at := r.reachedAt(it, threshold)
	if !r.dueAt(it, threshold).After(at) {
		return ""
	}
	return "reached at " + at.UTC().Format(time.RFC3339) + ", waits for the digest"
}

func heardWhy(t alert.Told) string {
	if !t.Heard {
		return "its message has not gone yet"
	}
	return ""
}

func byRule(rule string) string {
	if rule == "" {
		return ""
	}
	return fmt.Sprintf(" by the rule %q", rule)
}

func (r *Rule) remindsWhy(it alert.Item, steps []step, last int) string {
	switch {
	case last >= 0 && handled(it, r.dueAt(it, steps[last].threshold)):
		return it.Handling.Words()
	case r.Repeat == 0:
		return "the rule does not repeat"
	}
	return fmt.Sprintf("every %s from %s before the end, until somebody acknowledges", alert.FormatThreshold(r.Repeat), alert.FormatThreshold(r.RepeatFrom))
}

// SnoozeEnd returns when a snooze that is asked for until an instant ends: at
// the next threshold of any rule, or 48 hours before the item's end, whichever
// is first; after that it is at most 24 hours from now.
func SnoozeEnd(rules []Rule, c alert.Candidate, now, asked time.Time) time.Time {
	const closing, most = 48 * time.Hour, 24 * time.Hour
	end := asked
	if last := c.Item.NotAfter.Add(-closing); now.Before(last) {
		end = earliest(end, last)
	} else {
		end = earliest(end, now.Add(most))
	}
	for i := range rules {
		if !rules[i].Matches(c) {
			continue
		}
		for _, s := range rules[i].steps(c.Item) {
			if at := rules[i].dueAt(c.Item, s.threshold); at.After(now) {
				end = earliest(end, at)
			}
		}
	}
	return end
}
