package scanner_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// A walk scans one item at each of some instants before its end, writing what
// each scan decides, and returns what each told.
type walk struct {
	inv   *memory
	rules []scanner.Rule
}

func newWalk(it alert.Item, rules ...scanner.Rule) *walk { return &walk{newMemory(it), rules} }

func (w *walk) at(left time.Duration) []string {
	now := end.Add(-left)
	plan, tellings := scanner.NewPlan(w.rules, []alert.Candidate{w.inv.items["i"].Candidate}, now)
	w.inv.write(plan)
	var told []string
	for _, l := range tellings {
		told = append(told, alert.FormatThreshold(l.Alert.Threshold)+" "+l.Channel)
	}
	return told
}

func (w *walk) next() time.Duration {
	if due := w.inv.items["i"].due; due != nil {
		return end.Sub(*due)
	}
	return -1
}

// says sets what somebody said at an instant before the end; until 0 is an
// acknowledgement.
func (w *walk) says(left, until time.Duration) {
	h := &alert.Handling{By: "ana", At: end.Add(-left)}
	if until != 0 {
		at := end.Add(-until)
		h.Until = &at
	}
	w.inv.items["i"].Item.Handling = h
}

func to(channels ...string) []scanner.Target {
	var list []scanner.Target
	for _, c := range channels {
		list = append(list, scanner.Target{Channel: c, Recipients: []string{c}})
	}
	return list
}

func (w *walk) tells(t *testing.T, left time.Duration, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.at(left)); diff != "" {
		t.Errorf("with %v left (-want +got):\n%s", left, diff)
	}
}

// escalating tells mail at 30 and 14 days, mail and chat at 7, the pager at 1 and 0.
func escalating(r *scanner.Rule) {
	r.Targets = to("mail")
	r.Escalate = []scanner.Escalation{
		{Before: 7 * day, Targets: to("mail", "chat")}, {Before: day, Targets: to("pager")}, {Before: 0, Targets: to("pager")},
	}
}

func TestDecide_Escalation(t *testing.T) {
	t.Parallel()
	t.Run("each threshold tells its own channels", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", escalating))
		w.tells(t, 30*day+1)
		w.tells(t, 30*day, "30d mail")
		w.tells(t, 14*day, "14d mail")
		w.tells(t, 7*day+1)
		w.tells(t, 7*day, "7d mail", "7d chat")
		w.tells(t, day, "1d pager")
		w.tells(t, 0, "0d pager")
		w.tells(t, -day)
		if got := w.next(); got != -1 {
			t.Errorf("it is looked at again with %v left", got)
		}
	})
	t.Run("seen late, each channel hears of its own tightest", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", escalating))
		w.tells(t, 12*time.Hour, "7d mail", "7d chat", "1d pager")
		if got := w.next(); got != 0 {
			t.Errorf("it is looked at again with %v left, want at its end", got)
		}
	})
	t.Run("a revocation list's end is told by the step at 0d alone", func(t *testing.T) {
		t.Parallel()
		crl := item("i", func(it *alert.Item) { it.Kind = alert.KindCRL })
		w := newWalk(crl, rule("r", before(30*day), targets(to("mail")...), func(r *scanner.Rule) {
			r.Escalate = []scanner.Escalation{{Before: 0, Targets: to("pager")}}
		}))
		w.tells(t, 30*day, "30d mail")
		w.tells(t, 0, "0d pager")
	})
}

func TestDecide_Repeat(t *testing.T) {
	t.Parallel()
	daily := func(from time.Duration) func(*scanner.Rule) {
		return func(r *scanner.Rule) { r.Repeat, r.RepeatFrom, r.Targets = day, from, to("mail") }
	}
	t.Run("daily from a threshold on", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(30*day, 7*day, day), daily(7*day)))
		w.tells(t, 30*day, "30d mail")
		w.tells(t, 29*day) // 30d does not repeat
		w.tells(t, 7*day, "7d mail")
		if got := w.next(); got != 6*day {
			t.Errorf("the next look is with %v left, want 6 days", got)
		}
		w.tells(t, 6*day+1)
		w.tells(t, 6*day, "6d mail")
		w.tells(t, 6*day-1)
		w.tells(t, 3*day, "3d mail") // of what was missed, the last alone
		w.tells(t, day, "1d mail")   // a threshold, and no reminder beside it
		w.tells(t, 0, "0d mail")
		w.tells(t, -3*day, "-3d mail")
		w.tells(t, -31*day, "-30d mail") // the last one
		w.tells(t, -100*day)
		if got := w.next(); got != -1 {
			t.Errorf("it is looked at again with %v left", got)
		}
	})
	t.Run("an acknowledgement ends it until the next threshold", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(7*day, 3*day), daily(7*day)))
		w.tells(t, 7*day, "7d mail")
		w.says(6*day+time.Hour, 0)
		w.tells(t, 6*day)
		w.tells(t, 4*day)
		if got := w.next(); got != 3*day {
			t.Errorf("the next look is with %v left, want the next threshold", got)
		}
		w.tells(t, 3*day, "3d mail")
		w.tells(t, 2*day, "2d mail") // which nobody acknowledged
		w.says(2*day-1, 0)
		w.tells(t, day)
		w.tells(t, -day)
	})
	t.Run("an acknowledgement at the very instant counts", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(7*day), daily(7*day)))
		w.says(7*day, 0)
		w.tells(t, 7*day)
		w = newWalk(item("i"), rule("r", before(7*day), daily(7*day)))
		w.says(7*day+1, 0)
		w.tells(t, 7*day, "7d mail")
	})
	t.Run("who is gained after an acknowledgement is not told of what it was about", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(7*day, day), targets(to("mail")...)))
		w.tells(t, 7*day, "7d mail")
		w.says(6*day, 0)
		w.rules = []scanner.Rule{rule("r", before(7*day, day), targets(to("mail", "chat")...))}
		w.tells(t, 5*day)
		w.tells(t, day, "1d mail", "1d chat")
	})
	t.Run("two rules to one channel tell it once", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("a", before(7*day), daily(7*day)), rule("b", before(7*day), daily(7*day)))
		w.tells(t, 7*day, "7d mail")
		w.tells(t, 6*day, "6d mail")
	})
	t.Run("a short life repeats after its scaled thresholds", func(t *testing.T) {
		t.Parallel()
		short := item("i", func(it *alert.Item) { it.NotBefore = end.Add(-12 * day) })
		w := newWalk(short, rule("r", before(30*day, 14*day), daily(30*day), func(r *scanner.Rule) { r.Scale = true }))
		w.tells(t, 3*day, "30d mail")
		w.tells(t, 2*day, "29d mail")
		w.tells(t, 7*day/5, "14d mail")
		w.tells(t, 2*day/5, "13d mail")
	})
}

func TestDecide_Snooze(t *testing.T) {
	t.Parallel()
	t.Run("its end tells again, once", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(30*day, 7*day), targets(to("mail")...)))
		w.tells(t, 30*day, "30d mail")
		w.says(29*day, 20*day)
		w.tells(t, 25*day)
		if got := w.next(); got != 20*day {
			t.Errorf("the next look is with %v left, want when the snooze ends", got)
		}
		w.tells(t, 20*day+1)
		w.tells(t, 20*day, "20d mail")
		w.tells(t, 19*day)
		w.tells(t, 7*day, "7d mail")
	})
	t.Run("it holds reminders back, which go on after it", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(10*day), targets(to("mail")...), func(r *scanner.Rule) { r.Repeat, r.RepeatFrom = day, 10*day }))
		w.tells(t, 10*day, "10d mail")
		w.says(10*day-1, 7*day)
		w.tells(t, 9*day)
		w.tells(t, 8*day)
		w.tells(t, 7*day, "7d mail")
		w.tells(t, 6*day, "6d mail")
	})
	t.Run("the next threshold is told though it is snoozed", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(30*day, 14*day), targets(to("mail")...)))
		w.tells(t, 30*day, "30d mail")
		w.says(29*day, 5*day) // longer than anybody may ask for
		w.tells(t, 14*day, "14d mail")
		w.tells(t, 5*day)
	})
}

func TestSnoozeEnd(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("r", before(30*day, 14*day, day)), rule("other", before(20*day), func(r *scanner.Rule) { r.Kinds = []alert.Kind{alert.KindCA} })}
	c := alert.Candidate{Item: item("i")}
	const h = time.Hour
	for _, tt := range []struct {
		name        string
		left, asked time.Duration // before the end
		want        time.Duration
	}{
		{"as long as asked for", 29 * day, 20 * day, 20 * day},
		{"until the next threshold at most", 29 * day, 10 * day, 14 * day},
		{"another rule's threshold does not count", 29 * day, 19 * day, 19 * day},
		{"until 48 hours before the end at most", 13 * day, 12 * h, 48 * h},
		{"one nanosecond before that", 48*h + 1, 12 * h, 48 * h},
		{"from there on 24 hours at most", 48 * h, -day, day},
		{"in the last hours", 20 * h, -day, -4 * h},
		{"after the end", -5 * day, -10 * day, -6 * day},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := scanner.SnoozeEnd(rules, c, end.Add(-tt.left), end.Add(-tt.asked))
			if want := end.Add(-tt.want); !got.Equal(want) {
				t.Errorf("it ends with %v left, want %v", end.Sub(got), tt.want)
			}
		})
	}
}

// Days of digests begin at 08:00 UTC; the items of these tests end at 12:00.
func TestDecide_Digest(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	daily := func(r *scanner.Rule) { r.Digest, r.Targets = day, to("mail") }
	t.Run("what is not urgent waits for the next digest", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(30*day, 7*day), daily))
		w.tells(t, 30*day)
		if got := w.next(); got != 29*day+4*h {
			t.Errorf("the next look is with %v left, want 08:00 of the next day", got)
		}
		w.tells(t, 29*day+4*h+1)
		w.tells(t, 29*day+4*h, "30d mail")
		w.tells(t, 7*day, "7d mail") // at once
	})
	t.Run("it never waits past 7 days", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(7*day+h), daily))
		w.tells(t, 7*day+1)
		w.tells(t, 7*day, "169h0m0s mail")
	})
	t.Run("what is stored late waits for the digest after that", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i", func(it *alert.Item) { it.CreatedAt = end.Add(-20 * day) }), rule("r", before(30*day), daily))
		w.tells(t, 20*day)
		w.tells(t, 19*day+4*h, "30d mail")
		w = newWalk(item("i", func(it *alert.Item) { it.CreatedAt = end.Add(-6 * day) }), rule("r", before(30*day), daily))
		w.tells(t, 6*day, "30d mail") // it is urgent
	})
	t.Run("exactly at a digest", func(t *testing.T) {
		t.Parallel()
		w := newWalk(item("i"), rule("r", before(20*day+4*h), daily))
		w.tells(t, 20*day+4*h, "484h0m0s mail")
	})
}

// All that comes due within a day is one message.
func TestNewPlan_DigestGathers(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("r", func(r *scanner.Rule) { r.Digest = day })}
	due := candidates(1000) // which end within 1000 minutes, all before 12:00 of one day and after 19:20 of the one before
	for i := range due {
		due[i].Item.NotAfter = end.Add(-4 * time.Hour).Add(-time.Duration(i) * time.Minute)
	}
	next := scanner.NextDue(rules, due[0], end.Add(-40*day))
	for _, c := range due {
		if got := scanner.NextDue(rules, c, end.Add(-40*day)); !got.Equal(next) {
			t.Fatalf("%s is due at %s, the first one at %s", c.Item.ID, got, next)
		}
	}
	if plan, _ := scanner.NewPlan(rules, due, next); len(plan.Deliveries) != 1 || len(plan.Deliveries[0].AlertIDs) != 1000 {
		t.Errorf("%d deliveries", len(plan.Deliveries))
	}
}

// A threshold that the rules gained during a snooze must not hide that others
// are still to hear of a wider one when it ends.
func TestDecide_SnoozeEndsForWiderThresholds(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("r", before(30*day), targets(to("wide")...), func(r *scanner.Rule) {
		r.Escalate = []scanner.Escalation{{Before: 24 * day, Targets: to("tight")}}
	})}
	until := end.Add(-22 * day)
	c := alert.Candidate{
		Item:     item("i", func(it *alert.Item) { it.Handling = &alert.Handling{By: "ana", At: end.Add(-25 * day), Until: &until} }),
		Recorded: []alert.Mark{{Rule: "r", Threshold: 30 * day}, {Rule: "r", Threshold: 24 * day}},
		Told:     []alert.Told{{Channel: "tight", Recipient: "tight", Threshold: 24 * day}},
	}
	now := end.Add(-23 * day)
	if d := scanner.Decide(rules, c, now); len(d.Tells) != 0 || !d.Next.Equal(until) {
		t.Errorf("%v is told during the snooze, and looked at next at %s", d.Tells, d.Next)
	}
	if next := scanner.NextDue(rules, c, now); !next.Equal(until) {
		t.Errorf("it is due at %s", next)
	}
	if d := scanner.Decide(rules, c, until); len(d.Tells) != 1 || d.Tells[0].Channel != "wide" {
		t.Errorf("%v is told when the snooze ends", d.Tells)
	}
}
