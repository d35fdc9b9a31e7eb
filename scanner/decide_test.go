package scanner_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// A verdict is the gist of a decision.
type verdict struct {
	Told    []string // "rule threshold → channel/recipient"
	Covered []string // "rule threshold"
	Next    time.Time
}

func gist(d scanner.Decision) verdict {
	v := verdict{Next: d.Next}
	for _, t := range d.Tells {
		v.Told = append(v.Told, t.Alert.Rule+" "+alert.FormatThreshold(t.Alert.Threshold)+" → "+t.Channel+"/"+t.Recipient)
	}
	for _, a := range d.Alerts {
		if a.Covered {
			v.Covered = append(v.Covered, a.Rule+" "+alert.FormatThreshold(a.Threshold))
		}
	}
	return v
}

const toOncall = " → mail/oncall@example.com"

func TestDecide_Thresholds(t *testing.T) {
	t.Parallel()
	told30, told14 := alert.Mark{Rule: "default", Threshold: 30 * day}, alert.Mark{Rule: "default", Threshold: 14 * day}
	ahead := func(d time.Duration) time.Time { return end.Add(-d) }
	tests := []struct {
		name     string
		now      time.Time
		recorded []alert.Mark
		want     verdict
	}{
		{"long before", end.Add(-200 * day), nil, verdict{Next: ahead(30 * day)}},
		{"a second before the first", ahead(30*day + time.Second), nil, verdict{Next: ahead(30 * day)}},
		{"exactly on the first", ahead(30 * day), nil, verdict{Told: []string{"default 30d" + toOncall}, Next: ahead(14 * day)}},
		{"a second after the first", ahead(30*day - time.Second), nil, verdict{Told: []string{"default 30d" + toOncall}, Next: ahead(14 * day)}},
		{"the first on record", ahead(29 * day), []alert.Mark{told30}, verdict{Next: ahead(14 * day)}},
		{"a second before the second", ahead(14*day + time.Second), []alert.Mark{told30}, verdict{Next: ahead(14 * day)}},
		{"exactly on the second", ahead(14 * day), []alert.Mark{told30}, verdict{Told: []string{"default 14d" + toOncall}}},
		{"a second after the second", ahead(14*day - time.Second), []alert.Mark{told30}, verdict{Told: []string{"default 14d" + toOncall}}},
		{"both passed at first sight", ahead(10 * day), nil, verdict{Told: []string{"default 14d" + toOncall}, Covered: []string{"default 30d"}}},
		{"both on record", ahead(10 * day), []alert.Mark{told30, told14}, verdict{}},
		{"a wider one missing after the tighter was told", ahead(10 * day), []alert.Mark{told14}, verdict{Covered: []string{"default 30d"}}},
		{"at the very end", end, []alert.Mark{told30}, verdict{Told: []string{"default 14d" + toOncall}}},
		{"expired a year ago, never told", end.Add(365 * day), nil, verdict{Told: []string{"default 14d" + toOncall}, Covered: []string{"default 30d"}}},
		{"expired, told", end.Add(3 * day), []alert.Mark{told30, told14}, verdict{}},
		{"in another zone's words", ahead(30 * day).In(time.FixedZone("", 14*3600)), nil, verdict{Told: []string{"default 30d" + toOncall}, Next: ahead(14 * day)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alert.Candidate{Item: item("i"), Recorded: tt.recorded}
			for _, mark := range tt.recorded { // with which the recipient was told
				c.Told = []alert.Told{{Channel: "mail", Recipient: "oncall@example.com", Threshold: mark.Threshold}}
			}
			got := gist(scanner.Decide([]scanner.Rule{rule("default")}, c, tt.now))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An instant is compared with an instant: the days on which clocks change, and
// the 29th of February, are neither longer nor shorter.
func TestDecide_CalendarDays(t *testing.T) {
	t.Parallel()
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]time.Time{
		"across the spring change": time.Date(2027, 3, 20, 1, 30, 0, 0, newYork),
		"across the autumn change": time.Date(2026, 11, 10, 1, 30, 0, 0, newYork),
		"across the leap day":      time.Date(2028, 3, 10, 0, 0, 0, 0, time.UTC),
		"on the leap day":          time.Date(2028, 2, 29, 23, 59, 59, 0, time.UTC),
		"the end of time":          time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := alert.Candidate{Item: item("i", func(it *alert.Item) { it.NotBefore, it.NotAfter = end.Add(-365*day), end })}
			at := time.Unix(end.Unix()-30*24*3600, 0).UTC()
			rules := []scanner.Rule{rule("default")}
			if d := scanner.Decide(rules, c, at.Add(-time.Second)); len(d.Alerts) != 0 || !d.Next.Equal(at) {
				t.Errorf("a second before: %d alerts, next look %s, want none and %s", len(d.Alerts), d.Next, at)
			}
			if d := scanner.Decide(rules, c, at); len(d.Tells) != 1 {
				t.Errorf("exactly on: %d told, want 1", len(d.Tells))
			}
		})
	}
}

func TestDecide_AtExpiry(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("end", before(0))}
	c := alert.Candidate{Item: item("i")}
	for name, tt := range map[string]struct {
		now  time.Time
		want verdict
	}{
		"a second before": {end.Add(-time.Second), verdict{Next: end}},
		"exactly on":      {end, verdict{Told: []string{"end 0d" + toOncall}}},
		"a second after":  {end.Add(time.Second), verdict{Told: []string{"end 0d" + toOncall}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, gist(scanner.Decide(rules, c, tt.now))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Under the default thresholds a revocation list is told of before its end, by
// scaled thresholds, and once more at its nextUpdate.
func TestDecide_RevocationListAtItsEnd(t *testing.T) {
	t.Parallel()
	list := item("i", func(it *alert.Item) { it.Kind, it.NotBefore = alert.KindCRL, it.NotAfter.Add(-7*day) })
	rules := []scanner.Rule{rule("default")}
	c := alert.Candidate{Item: list}
	for _, mark := range []time.Duration{30 * day, 14 * day} {
		c.Recorded = append(c.Recorded, alert.Mark{Rule: "default", Threshold: mark})
		c.Told = []alert.Told{{Channel: "mail", Recipient: "oncall@example.com", Threshold: mark}}
	}
	for name, tt := range map[string]struct {
		now  time.Time
		want verdict
	}{
		"a second before": {end.Add(-time.Second), verdict{Next: end}},
		"exactly on":      {end, verdict{Told: []string{"default 0d" + toOncall}}},
		"long after":      {end.Add(day), verdict{Told: []string{"default 0d" + toOncall}}},
	} {
		if diff := cmp.Diff(tt.want, gist(scanner.Decide(rules, c, tt.now))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if next := scanner.NextDue(rules, c, end); !next.Equal(end) {
		t.Errorf("it is due again at %s, want its end", next)
	}
	c.Item.Kind = alert.KindClient
	if d := scanner.Decide(rules, c, end); len(d.Tells) != 0 {
		t.Error("a certificate is told of at its end though no rule says so")
	}
}

func TestDecide_Scaled(t *testing.T) {
	t.Parallel()
	lifetime := func(d time.Duration) func(*alert.Item) {
		return func(it *alert.Item) { it.NotBefore = it.NotAfter.Add(-d) }
	}
	observed := func(it *alert.Item) {
		it.Sources = []alert.Source{{Kind: alert.SourceObserved, LastSeen: end.Add(-6 * time.Hour)}}
	}
	alsoObserved := func(it *alert.Item) { it.Sources = append(it.Sources, alert.Source{Kind: alert.SourceObserved}) }
	crl := func(it *alert.Item) { it.Kind = alert.KindCRL }
	scale := func(r *scanner.Rule) { r.Scale = true }
	plain := func(*scanner.Rule) {}
	tests := []struct {
		name string
		item alert.Item
		rule func(*scanner.Rule)
		want time.Duration // how long before the end 30d is reached
	}{
		{"not asked for", item("i", lifetime(90*day)), plain, 30 * day},
		{"90 days", item("i", lifetime(90*day)), scale, 90 * day / 4},
		{"120 days counts in full", item("i", lifetime(120*day)), scale, 30 * day},
		{"a second less than 120 days", item("i", lifetime(120*day-time.Second)), scale, 30*day - 250*time.Millisecond},
		{"150 days count in full", item("i", lifetime(150*day)), scale, 30 * day},
		{"a year counts in full", item("i"), scale, 30 * day},
		{"24 hours", item("i", lifetime(24*time.Hour)), scale, 6 * time.Hour},
		{"only observed", item("i", lifetime(24*time.Hour), observed), plain, 6 * time.Hour},
		{"observed and uploaded", item("i", lifetime(24*time.Hour), alsoObserved), plain, 30 * day},
		{"a revocation list", item("i", lifetime(7*day), crl), plain, 42 * time.Hour},
		{"no lifetime", item("i", lifetime(0)), scale, 0},
		{"ends before it begins", item("i", lifetime(-day)), scale, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, c, at := []scanner.Rule{rule("r", tt.rule, before(30*day))}, alert.Candidate{Item: tt.item}, end.Add(-tt.want)
			if d := scanner.Decide(rules, c, at.Add(-time.Second)); len(d.Tells) != 0 || !d.Next.Equal(at) {
				t.Errorf("a second before: told %d, next look %s, want none and %s", len(d.Tells), d.Next, at)
			}
			d := scanner.Decide(rules, c, at)
			if len(d.Tells) != 1 {
				t.Fatalf("exactly on: told %d, want 1", len(d.Tells))
			}
			if got := d.Tells[0].Alert; got.Threshold != 30*day || got.ID != alert.ID("i", 1, "r", 30*day, alert.EventExpiring) {
				t.Errorf("the alert is known by threshold %s, want the configured one", got.Threshold)
			}
		})
	}
}

func TestDecide_ScaledWithoutOverflow(t *testing.T) {
	t.Parallel()
	c := alert.Candidate{Item: item("i", func(it *alert.Item) { it.NotBefore = end.Add(-100 * day) })}
	longest := time.Duration(math.MaxInt64)
	r := rule("r", before(longest), func(r *scanner.Rule) { r.Scale = true })
	want := end.Add(-(longest/120*100 + longest%120*100/120))
	if got := scanner.NextDue([]scanner.Rule{r}, c, end); got.Sub(want).Abs() > time.Microsecond {
		t.Errorf("reached at %s, want %s", got, want)
	}
}

func TestDecide_WhatIsWatched(t *testing.T) {
	t.Parallel()
	team := func(name string) func(*alert.Item) {
		return func(it *alert.Item) { it.Labels = map[string]string{"team": name} }
	}
	match := func(r *scanner.Rule) { r.Match = map[string]string{"team": "payments"} }
	none := func(*scanner.Rule) {}
	tests := []struct {
		name string
		item alert.Item
		rule func(*scanner.Rule)
		want bool
	}{
		{"active and trusted", item("i"), none, true},
		{"not yet valid", item("i", func(it *alert.Item) { it.Watch = alert.Pending }), none, false},
		{"superseded", item("i", func(it *alert.Item) { it.Watch = alert.Superseded }), none, false},
		{"superseded, and in use", item("i", func(it *alert.Item) { it.Watch, it.UsedAt = alert.Superseded, &it.NotBefore }), none, true},
		{"ignored", item("i", func(it *alert.Item) { it.Watch = alert.Ignored }), none, false},
		{"revoked", item("i", func(it *alert.Item) { it.Trust = alert.Revoked }), none, false},
		{"removed", item("i", func(it *alert.Item) { it.Trust = alert.Removed }), none, false},
		{"only seen, and not since its last quarter began", item("i", func(it *alert.Item) {
			it.Sources = []alert.Source{{Kind: alert.SourceObserved, LastSeen: it.NotAfter.Add(-it.Lifetime()/4 - time.Second)}}
		}), none, false},
		{"only seen, and lately", item("i", func(it *alert.Item) {
			it.Sources = []alert.Source{{Kind: alert.SourceObserved, LastSeen: it.NotAfter.Add(-it.Lifetime() / 4)}}
		}), none, true},
		{"without an end", item("i", func(it *alert.Item) { it.NotAfter = time.Time{} }), none, false},
		{"another kind", item("i"), func(r *scanner.Rule) { r.Kinds = []alert.Kind{alert.KindCA} }, false},
		{"its label", item("i", team("payments")), match, true},
		{"another label", item("i", team("search")), match, false},
		{"no label", item("i"), match, false},
		{"an empty label asked for, none borne", item("i"), func(r *scanner.Rule) { r.Match = map[string]string{"team": ""} }, false},
		{"nobody to tell", item("i"), targets(), false},
		{"a channel without recipients", item("i"), targets(scanner.Target{Channel: "mail"}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, c := []scanner.Rule{rule("r", tt.rule)}, alert.Candidate{Item: tt.item}
			d := scanner.Decide(rules, c, end)
			if got := len(d.Tells) > 0; got != tt.want {
				t.Errorf("told = %t, want %t", got, tt.want)
			}
			if got := !scanner.NextDue(rules, c, end).IsZero(); got != tt.want {
				t.Errorf("ever due = %t, want %t", got, tt.want)
			}
			if !tt.want && len(d.Alerts) > 0 {
				t.Errorf("recorded %d alerts, want none", len(d.Alerts))
			}
		})
	}
}

func TestDecide_ToldOnce(t *testing.T) {
	t.Parallel()
	toldAt := func(d time.Duration) []alert.Told {
		return []alert.Told{{Channel: "mail", Recipient: "oncall@example.com", Threshold: d}}
	}
	slack := targets(scanner.Target{Channel: "slack", Recipients: []string{"slack"}})
	twice := targets(
		scanner.Target{Channel: "mail", Recipients: []string{"oncall@example.com", "boss@example.com"}},
		scanner.Target{Channel: "mail", Recipients: []string{"oncall@example.com"}},
	)
	at := func(left time.Duration) time.Time { return end.Add(-left) }
	tests := []struct {
		name  string
		rules []scanner.Rule
		told  []alert.Told
		now   time.Time
		want  verdict
	}{
		{
			"the rule was renamed",
			[]scanner.Rule{rule("renamed")},
			toldAt(30 * day), at(20 * day),
			verdict{Covered: []string{"renamed 30d"}, Next: at(14 * day)},
		},
		{
			"the threshold moved from 30d to 31d",
			[]scanner.Rule{rule("default", before(31*day, 14*day))},
			toldAt(30 * day), at(20 * day),
			verdict{Covered: []string{"default 31d"}, Next: at(14 * day)},
		},
		{
			"a tighter threshold is news",
			[]scanner.Rule{rule("default", before(21*day))},
			toldAt(30 * day), at(20 * day),
			verdict{Told: []string{"default 21d" + toOncall}},
		},
		{
			"another channel is told",
			[]scanner.Rule{rule("default", slack)},
			toldAt(14 * day), at(20 * day),
			verdict{Told: []string{"default 30d → slack/slack"}, Next: at(14 * day)},
		},
		{
			"the same address by another channel is another recipient",
			[]scanner.Rule{rule("default", targets(scanner.Target{Channel: "mail2", Recipients: []string{"oncall@example.com"}}))},
			toldAt(14 * day), at(20 * day),
			verdict{Told: []string{"default 30d → mail2/oncall@example.com"}, Next: at(14 * day)},
		},
		{
			"two rules at once: the tightest is told",
			[]scanner.Rule{rule("wide", before(60*day)), rule("tight", before(21*day))},
			nil, at(20 * day),
			verdict{Told: []string{"tight 21d" + toOncall}, Covered: []string{"wide 60d"}},
		},
		{
			"two rules at once, in the other order",
			[]scanner.Rule{rule("tight", before(21*day)), rule("wide", before(60*day))},
			nil, at(20 * day),
			verdict{Told: []string{"tight 21d" + toOncall}, Covered: []string{"wide 60d"}},
		},
		{
			"two rules with the same threshold: the first is told",
			[]scanner.Rule{rule("b", before(30*day)), rule("a", before(30*day))},
			nil, at(20 * day),
			verdict{Told: []string{"b 30d" + toOncall}, Covered: []string{"a 30d"}},
		},
		{
			"the looser rule still tells those who hear of it by no other",
			[]scanner.Rule{rule("wide", before(60*day), twice), rule("tight", before(21*day))},
			nil, at(20 * day),
			verdict{Told: []string{"tight 21d" + toOncall, "wide 60d → mail/boss@example.com"}},
		},
		{
			"listed twice in one rule",
			[]scanner.Rule{rule("r", before(30*day, 30*day), twice)},
			nil, at(20 * day),
			verdict{Told: []string{"r 30d" + toOncall, "r 30d → mail/boss@example.com"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alert.Candidate{Item: item("i"), Told: tt.told}
			if diff := cmp.Diff(tt.want, gist(scanner.Decide(tt.rules, c, tt.now))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Who is told decides, not what is on record: an address that was mended and a
// channel that was added hear at once of what was said before, once.
func TestDecide_RecipientGained(t *testing.T) {
	t.Parallel()
	gained := rule("default", targets(
		scanner.Target{Channel: "mail", Recipients: []string{"oncall@example.com"}},
		scanner.Target{Channel: "slack", Recipients: []string{"slack"}},
	))
	oncall := alert.Told{Channel: "mail", Recipient: "oncall@example.com"}
	for name, tt := range map[string]struct {
		left, told time.Duration
		recorded   []time.Duration
		want       verdict
	}{
		"within the first threshold": {
			20 * day, 30 * day,
			[]time.Duration{30 * day},
			verdict{Told: []string{"default 30d → slack/slack"}, Next: end.Add(-14 * day)},
		},
		"within the last one": {
			10 * day, 14 * day, []time.Duration{30 * day, 14 * day}, verdict{Told: []string{"default 14d → slack/slack"}},
		},
		"before any": {40 * day, 0, nil, verdict{Next: end.Add(-30 * day)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, now := alert.Candidate{Item: item("i")}, end.Add(-tt.left)
			for _, threshold := range tt.recorded {
				c.Recorded = append(c.Recorded, alert.Mark{Rule: "default", Threshold: threshold})
				c.Told = []alert.Told{oncall}
				c.Told[0].Threshold = tt.told
			}
			rules := []scanner.Rule{gained}
			if due := scanner.NextDue(rules, c, end); due.After(now) != (len(tt.recorded) == 0) {
				t.Errorf("the item is looked at again at %s", due)
			}
			if diff := cmp.Diff(tt.want, gist(scanner.Decide(rules, c, now))); diff != "" {
				t.Error(diff)
			}
			if len(tt.recorded) == 0 {
				return
			}
			c.Told = append(c.Told, alert.Told{Channel: "slack", Recipient: "slack", Threshold: tt.told})
			if again := gist(scanner.Decide(rules, c, now)); len(again.Told) != 0 {
				t.Errorf("told again: %v", again.Told)
			}
		})
	}
}

func TestDecide_NewEpoch(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("default")}
	first := scanner.Decide(rules, alert.Candidate{Item: item("i")}, end.Add(-20*day))
	again := scanner.Decide(rules, alert.Candidate{Item: item("i", func(it *alert.Item) { it.Epoch = 2 })}, end.Add(-20*day))
	if len(again.Tells) != 1 || again.Alerts[0].Epoch != 2 {
		t.Fatalf("told %d at the second return, want 1 with epoch 2", len(again.Tells))
	}
	if first.Alerts[0].ID == again.Alerts[0].ID {
		t.Error("the alert of the second epoch has the id of the first")
	}
}

func TestNextDue_IncludesWhatIsPast(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("default"), rule("early", before(90*day))}
	c := alert.Candidate{
		Item: item("i"), Recorded: []alert.Mark{{Rule: "default", Threshold: 30 * day}},
		Told: []alert.Told{{Channel: "mail", Recipient: "oncall@example.com", Threshold: 14 * day}},
	}
	if got, want := scanner.NextDue(rules, c, end), end.Add(-90*day); !got.Equal(want) {
		t.Errorf("next due %s, want %s", got, want)
	}
	c.Recorded = append(c.Recorded, alert.Mark{Rule: "early", Threshold: 90 * day}, alert.Mark{Rule: "default", Threshold: 14 * day})
	if got := scanner.NextDue(rules, c, end); !got.IsZero() {
		t.Errorf("next due %s with everything on record, want never", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	rules := []scanner.Rule{rule("default"), rule("early", before(90*day)), rule("ca", func(r *scanner.Rule) { r.Kinds = []alert.Kind{alert.KindCA} })}
	c := alert.Candidate{Item: item("i")}
	for name, now := range map[string]time.Time{"nothing_due": end.Add(-200 * day), "due": end.Add(-10 * day)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				scanner.Decide(rules, c, now)
			}
		})
	}
}
