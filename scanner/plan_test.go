package scanner_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// candidates returns n items that end one minute apart, the last one first.
func candidates(n int) []alert.Candidate {
	var all []alert.Candidate
	for i := range n {
		all = append(all, alert.Candidate{Item: item(fmt.Sprintf("item-%03d", i), func(it *alert.Item) {
			it.NotAfter = end.Add(-time.Duration(i) * time.Minute)
		})})
	}
	return all
}

func TestNewPlan_Digest(t *testing.T) {
	t.Parallel()
	now := end.Add(-20 * day)
	mail := scanner.Target{Channel: "mail", Recipients: []string{"a@example.com", "b@example.com"}}
	rules := []scanner.Rule{rule("default", targets(mail)), rule("early", before(60*day), targets(mail, scanner.Target{Channel: "slack", Recipients: []string{"slack"}}))}
	all := candidates(3)
	plan, tellings := scanner.NewPlan(rules, all, now)

	type sent struct {
		To     string
		Alerts int
	}
	var got []sent
	for _, d := range plan.Deliveries {
		got = append(got, sent{d.Rule + "/" + d.Channel + "/" + d.Recipient, len(d.AlertIDs)})
		if d.State != alert.StatePending || !d.NextAttemptAt.Equal(now) || !slices.IsSorted(d.AlertIDs) {
			t.Errorf("delivery %+v is not pending and due now with sorted alerts", d)
		}
	}
	want := []sent{{"default/mail/a@example.com", 3}, {"default/mail/b@example.com", 3}, {"early/slack/slack", 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(plan.Alerts) != 6 || len(plan.Told) != 9 || len(tellings) != 9 {
		t.Errorf("%d alerts, %d told, %d tellings; want 6, 9, 9", len(plan.Alerts), len(plan.Told), len(tellings))
	}
	if tellings[0].Item.ID != "item-002" {
		t.Errorf("the first telling is about %s, want the most urgent item-002", tellings[0].Item.ID)
	}
	for _, c := range all {
		if got, want := plan.Next[c.Item.ID], c.Item.NotAfter.Add(-14*day); !got.Equal(want) {
			t.Errorf("%s is looked at next %s, want %s", c.Item.ID, got, want)
		}
	}
}

func TestNewPlan_Singles(t *testing.T) {
	t.Parallel()
	hook := scanner.Target{Channel: "hook", Recipients: []string{"hook"}, Single: true}
	now := end.Add(-20 * day)
	for _, tt := range []struct {
		items int
		want  []int // alerts in each delivery
	}{
		{0, nil},
		{1, []int{1}},
		{20, slices.Repeat([]int{1}, 20)},
		{21, slices.Repeat([]int{1}, 21)},
		{50, append(slices.Repeat([]int{1}, 20), 30)},
	} {
		t.Run(fmt.Sprintf("%d items", tt.items), func(t *testing.T) {
			t.Parallel()
			plan, _ := scanner.NewPlan([]scanner.Rule{rule("default", targets(hook))}, candidates(tt.items), now)
			var got []int
			for _, d := range plan.Deliveries {
				got = append(got, len(d.AlertIDs))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			if tt.items == 0 {
				return
			}
			urgent := alert.ID(fmt.Sprintf("item-%03d", tt.items-1), 1, "default", 30*day, alert.EventExpiring)
			if got := plan.Deliveries[0].AlertIDs[0]; got != urgent {
				t.Errorf("the first delivery carries %s, want the most urgent item's %s", got, urgent)
			}
		})
	}
}

func TestNewPlan_SinglesOfTwoRulesShareTheLimit(t *testing.T) {
	t.Parallel()
	hook := scanner.Target{Channel: "hook", Recipients: []string{"hook"}, Single: true}
	all := candidates(60)
	for i := range all[:30] {
		all[i].Item.Kind = alert.KindCA
	}
	only := func(k alert.Kind) func(*scanner.Rule) { return func(r *scanner.Rule) { r.Kinds = []alert.Kind{k} } }
	rules := []scanner.Rule{rule("ca", targets(hook), only(alert.KindCA)), rule("client", targets(hook), only(alert.KindClient))}
	plan, _ := scanner.NewPlan(rules, all, end.Add(-20*day))
	if got := len(plan.Deliveries); got != 22 {
		t.Errorf("%d deliveries, want 20 of one item and a summary for each rule", got)
	}
}

func TestNewPlan_SameInputSamePlan(t *testing.T) {
	t.Parallel()
	rules := []scanner.Rule{rule("b", before(30*day)), rule("a", before(30*day, 60*day))}
	all := candidates(40)
	now := end.Add(-20 * day)
	want, _ := scanner.NewPlan(rules, all, now)
	slices.Reverse(all)
	got, _ := scanner.NewPlan(rules, all, now)
	if diff := cmp.Diff(want.Deliveries, got.Deliveries); diff != "" {
		t.Error("the order of candidates changed the deliveries:\n" + diff)
	}
}

func BenchmarkNewPlan(b *testing.B) {
	rules := []scanner.Rule{rule("default")}
	all, now := candidates(10_000), end.Add(-20*day)
	b.ReportAllocs()
	for b.Loop() {
		scanner.NewPlan(rules, all, now)
	}
}
