package scanner_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// FuzzDecide_NothingIsMissed scans one item whenever it is scheduled, as the
// store does, through changes of the rules, acknowledgements, snoozes and
// downtime, and holds against a model that is told plainly: at no instant is
// there a recipient who should have heard and did not, and none hears twice in
// one scan.
func FuzzDecide_NothingIsMissed(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := end.Add(-100 * day)
		inv := newMemory(item("i", func(it *alert.Item) {
			it.CreatedAt = now.Add(time.Duration(r.IntN(int(95 * day))))
		}))
		c, heard := inv.items["i"], map[string]time.Duration{}
		now = c.Item.CreatedAt
		var rules []scanner.Rule
		var next time.Time
		for range 60 {
			due := !next.IsZero() && !next.After(now)
			if rules == nil || r.IntN(8) == 0 {
				rules, due = randomRules(r), true
			}
			if r.IntN(8) == 0 {
				c.Item.Handling, due = randomSaying(r, rules, c.Candidate, now), true
			}
			if due {
				plan, tellings := scanner.NewPlan(rules, []alert.Candidate{c.Candidate}, now)
				holdOnce(t, heard, tellings)
				holdOneEach(t, tellings)
				inv.write(plan)
				next = plan.Next["i"]
			}
			for to, want := range owed(rules, c.Item, now) {
				if got, ok := heard[to]; !ok || got > want {
					t.Fatalf("at %s before the end %s should have heard of %s, and heard of %s (%t); it is looked at next %s before",
						end.Sub(now), to, want, got, ok, end.Sub(next))
				}
			}
			now = now.Add(time.Duration(r.IntN(int(3 * day))))
		}
	})
}

// randomSaying snoozes as the product does: no longer than it lets.
func randomSaying(r *rand.Rand, rules []scanner.Rule, c alert.Candidate, now time.Time) *alert.Handling {
	h := randomHandling(r, now)
	if h != nil && h.Until != nil {
		until := scanner.SnoozeEnd(rules, c, now, *h.Until)
		h.Until = &until
	}
	return h
}

func holdOneEach(t *testing.T, tellings []scanner.Telling) {
	t.Helper()
	seen := map[string]bool{}
	for _, l := range tellings {
		if seen[l.Channel+"/"+l.Recipient] {
			t.Fatalf("%s/%s is told twice in one scan", l.Channel, l.Recipient)
		}
		seen[l.Channel+"/"+l.Recipient] = true
	}
}

// owed is the threshold of which each recipient must have heard by now.
func owed(rules []scanner.Rule, it alert.Item, now time.Time) map[string]time.Duration {
	owed := map[string]time.Duration{}
	for _, r := range rules {
		steps := map[time.Duration][]scanner.Target{}
		for _, e := range slices.Backward(r.Escalate) { // the first that names a threshold counts
			steps[e.Before] = e.Targets
		}
		for _, b := range r.Before {
			steps[b] = r.Targets
		}
		for threshold, targets := range steps {
			for _, told := range owedOf(r, steps, threshold, it, now) {
				for _, target := range targets {
					for _, recipient := range target.Recipients {
						to := target.Channel + "/" + recipient
						if before, ok := owed[to]; !ok || told < before {
							owed[to] = told
						}
					}
				}
			}
		}
	}
	return owed
}

// owedOf are what one threshold asks for: itself, and its reminders as long as
// no tighter threshold is reached.
func owedOf(r scanner.Rule, steps map[time.Duration][]scanner.Target, threshold time.Duration, it alert.Item, now time.Time) []time.Duration {
	base, h := modelDue(r, it, threshold), it.Handling
	if base.After(now) {
		return nil
	}
	handled := h != nil && !base.After(h.At)
	if handled && (h.Until == nil || now.Before(*h.Until)) {
		return nil
	}
	told, tighter := []time.Duration{threshold}, time.Duration(-1<<62)
	for other := range steps {
		if other < threshold {
			tighter = max(tighter, other)
		}
	}
	if tighter > -1<<62 && !modelDue(r, it, tighter).After(now) {
		return told
	}
	every := r.Repeat
	if threshold > r.RepeatFrom {
		every = 0
	}
	at := base.Add(every)
	if handled {
		at = *h.Until
	}
	for at.After(base) && !at.After(now) && threshold-at.Sub(base) > tighter && !at.After(end.Add(30*day)) {
		told = append(told, threshold-at.Sub(base))
		if every == 0 {
			break
		}
		at = at.Add(every)
	}
	return told
}

// modelDue counts the digests one by one.
func modelDue(r scanner.Rule, it alert.Item, threshold time.Duration) time.Time {
	if r.Scale && it.Lifetime() < 120*day {
		threshold = time.Duration(float64(threshold) * float64(it.Lifetime()) / float64(120*day))
	}
	at, urgent := it.NotAfter.Add(-threshold), it.NotAfter.Add(-7*day)
	from := at
	if it.CreatedAt.After(from) {
		from = it.CreatedAt
	}
	if r.Digest == 0 || !from.Before(urgent) {
		return at
	}
	digest := time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC)
	for digest.Before(from) {
		digest = digest.Add(r.Digest)
	}
	if digest.After(urgent) {
		return urgent
	}
	return digest
}
