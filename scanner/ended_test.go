package scanner_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

func ended(event alert.Event, told ...alert.Told) alert.Candidate {
	return alert.Candidate{
		Item:  item("i", func(it *alert.Item) { it.Epoch, it.Watch = 2, alert.Superseded }),
		Ended: &alert.Ending{Epoch: 1, Event: event}, Told: told,
	}
}

func heard(channel, recipient string) alert.Told {
	return alert.Told{Channel: channel, Recipient: recipient, Threshold: 30 * day, Rule: "default", Heard: true}
}

func TestDecide_Ended(t *testing.T) {
	t.Parallel()
	notSent := heard("mail", "oncall@example.com")
	notSent.Heard = false
	other := heard("hook", "hook")
	other.Rule = "renamed since"
	rules := []scanner.Rule{rule("default", targets(
		scanner.Target{Channel: "mail", Recipients: []string{"oncall@example.com", "new@example.com"}},
		scanner.Target{Channel: "hook", Recipients: []string{"hook"}, Single: true},
	))}
	for _, tt := range []struct {
		name string
		told []alert.Told
		want []string
	}{
		{"nobody was told", nil, nil},
		{"one heard", []alert.Told{heard("mail", "oncall@example.com")}, []string{"default renewed → mail/oncall@example.com"}},
		{"one was to be told, and nothing has gone", []alert.Told{notSent}, nil},
		{"an address that was taken out", []alert.Told{heard("mail", "left@example.com")}, nil},
		{"a channel that no rule names any more", []alert.Told{heard("slack", "slack")}, nil},
		{"by another rule", []alert.Told{heard("mail", "oncall@example.com"), other}, []string{
			"default renewed → mail/oncall@example.com", "renamed since renewed → hook/hook",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := scanner.Decide(rules, ended(alert.EventRenewed, tt.told...), end)
			var got []string
			for _, l := range d.Tells {
				if l.Alert.Epoch != 1 || l.Alert.Covered || l.Alert.ID != alert.ID("i", 1, l.Alert.Rule, 0, alert.EventRenewed) || l.Single != (l.Channel == "hook") {
					t.Errorf("the alert is %+v", l)
				}
				got = append(got, fmt.Sprintf("%s %s → %s/%s", l.Alert.Rule, l.Alert.Event, l.Channel, l.Recipient))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if !d.Next.IsZero() {
				t.Errorf("it is looked at again at %s", d.Next)
			}
		})
	}
}

// Ten thousand renewals are one message, apart from what expires meanwhile.
func TestNewPlan_EndedApart(t *testing.T) {
	t.Parallel()
	all := candidates(2)
	for i := range 10_000 {
		c := ended(alert.EventRenewed, heard("mail", "oncall@example.com"))
		c.Item.ID = fmt.Sprintf("ended-%d", i)
		all = append(all, c)
	}
	plan, _ := scanner.NewPlan([]scanner.Rule{rule("default")}, all, end.Add(-20*day))
	var sizes []int
	for _, d := range plan.Deliveries {
		sizes = append(sizes, len(d.AlertIDs))
	}
	if diff := cmp.Diff([]int{2, 10_000}, sizes); diff != "" {
		t.Error(diff)
	}
	if len(plan.Told) != 2 || len(plan.Next) != 2 {
		t.Errorf("%d told, %d to be looked at again, want those that expire alone", len(plan.Told), len(plan.Next))
	}
}

// TestNewPlan_EndedOneEach: a channel of one item a message is told of what is
// over by twenty of them and summaries of a hundred, so that each can be closed.
func TestNewPlan_EndedOneEach(t *testing.T) {
	t.Parallel()
	var all []alert.Candidate
	for i := range 320 {
		c := ended(alert.EventRenewed, heard("pager", "pager"))
		c.Item.ID = fmt.Sprintf("ended-%d", i)
		all = append(all, c)
	}
	one := rule("default", targets(scanner.Target{Channel: "pager", Recipients: []string{"pager"}, Single: true}))
	plan, _ := scanner.NewPlan([]scanner.Rule{one}, all, end.Add(-20*day))
	sizes, told := map[int]int{}, map[string]bool{}
	for _, d := range plan.Deliveries {
		sizes[len(d.AlertIDs)]++
		for _, id := range d.AlertIDs {
			told[id] = true
		}
	}
	if diff := cmp.Diff(map[int]int{1: 20, 100: 3}, sizes); diff != "" || len(told) != 320 {
		t.Errorf("%d told, %s", len(told), diff)
	}
}
