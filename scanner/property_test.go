package scanner_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// FuzzDecide scans one item again and again while time passes and the rules
// change at random, and holds that nobody hears of it twice at a looser or
// equal threshold, that all that is reached is on record after each scan, and
// that the next look is never too late.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		inv := newMemory(item("i", func(it *alert.Item) {
			it.NotBefore = end.Add(-time.Duration(1+r.IntN(200)) * day)
		}))
		now := end.Add(-100 * day)
		var rules []scanner.Rule
		heard := map[string]time.Duration{}
		for range 40 {
			if r.IntN(3) == 0 || rules == nil {
				rules = randomRules(r)
			}
			now = now.Add(time.Duration(r.IntN(int(5 * day))))
			if r.IntN(6) == 0 {
				inv.items["i"].Item.Handling = randomHandling(r, now)
			}
			plan, tellings := scanner.NewPlan(rules, []alert.Candidate{inv.items["i"].Candidate}, now)
			holdOnce(t, heard, tellings)
			holdDelivered(t, plan, tellings)
			inv.write(plan)
			holdRecorded(t, rules, inv.items["i"].Candidate, plan.Next["i"], now)
		}
	})
}

func randomRules(r *rand.Rand) []scanner.Rule {
	var rules []scanner.Rule
	for i := range 1 + r.IntN(4) {
		rules = append(rules, rule(fmt.Sprintf("rule-%d", (i*7+r.IntN(7))), func(ru *scanner.Rule) {
			ru.Scale = r.IntN(2) == 0
			ru.Before = nil
			for range 1 + r.IntN(4) {
				ru.Before = append(ru.Before, time.Duration(r.IntN(60))*day)
			}
			ru.Targets = randomTargets(r)
			for range r.IntN(3) {
				ru.Escalate = append(ru.Escalate, scanner.Escalation{Before: time.Duration(60+r.IntN(20)) * day, Targets: randomTargets(r)})
			}
			ru.Repeat = []time.Duration{0, time.Hour, day, 3 * day}[r.IntN(4)]
			ru.RepeatFrom = time.Duration(r.IntN(80)) * day
			ru.Digest = []time.Duration{0, day, 7 * day}[r.IntN(3)]
		}))
	}
	return rules
}

// randomHandling is nobody's word, an acknowledgement or a snooze.
func randomHandling(r *rand.Rand, now time.Time) *alert.Handling {
	h := &alert.Handling{By: "alice", At: now}
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		until := now.Add(time.Duration(1 + r.IntN(int(6*day))))
		h.Until = &until
	}
	return h
}

func randomTargets(r *rand.Rand) []scanner.Target {
	var targets []scanner.Target
	for range r.IntN(3) {
		channel := string(rune('a' + r.IntN(3)))
		targets = append(targets, scanner.Target{Channel: channel, Recipients: []string{"x", "y"}[:1+r.IntN(2)], Single: channel == "c"})
	}
	return targets
}

func holdOnce(t *testing.T, heard map[string]time.Duration, tellings []scanner.Telling) {
	t.Helper()
	for _, l := range tellings {
		to := l.Channel + "/" + l.Recipient
		if before, ok := heard[to]; ok && before <= l.Alert.Threshold {
			t.Fatalf("%s was told at %s, and again at %s", to, before, l.Alert.Threshold)
		}
		heard[to] = l.Alert.Threshold
	}
}

// holdDelivered holds that an alert is covered or delivered, never both, and
// that each telling is in exactly one delivery.
func holdDelivered(t *testing.T, plan alert.Plan, tellings []scanner.Telling) {
	t.Helper()
	carried := map[string]int{}
	total := 0
	for _, d := range plan.Deliveries {
		for _, id := range d.AlertIDs {
			carried[id]++
			total++
		}
	}
	for _, a := range plan.Alerts {
		if a.Covered != (carried[a.ID] == 0) {
			t.Fatalf("alert %s/%s has covered = %t and %d deliveries", a.Rule, a.Threshold, a.Covered, carried[a.ID])
		}
	}
	if total != len(tellings) || total != len(plan.Told) {
		t.Fatalf("%d carried, %d tellings, %d told marks", total, len(tellings), len(plan.Told))
	}
}

func holdRecorded(t *testing.T, rules []scanner.Rule, c alert.Candidate, next, now time.Time) {
	t.Helper()
	due := scanner.NextDue(rules, c, now)
	if !due.IsZero() && !due.After(now) {
		t.Fatalf("a threshold reached at %s is not on record at %s", due, now)
	}
	if !due.Equal(next) {
		t.Fatalf("the plan looks again at %s, the next threshold is at %s", next, due)
	}
	marks := slices.Clone(c.Recorded)
	if again, _ := scanner.NewPlan(rules, []alert.Candidate{c}, now); len(again.Alerts)+len(again.Deliveries) != 0 {
		t.Fatalf("a second scan at the same instant adds %d alerts and %d deliveries to %v", len(again.Alerts), len(again.Deliveries), marks)
	}
}
