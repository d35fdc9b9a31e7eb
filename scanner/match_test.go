package scanner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

func TestRule_Matches(t *testing.T) {
	t.Parallel()
	hostnames := func(patterns ...string) func(*scanner.Rule) { return func(r *scanner.Rule) { r.Hostnames = patterns } }
	cas := func(names ...string) func(*scanner.Rule) { return func(r *scanner.Rule) { r.CAs = names } }
	of := func(changes ...func(*alert.Item)) alert.Candidate {
		return alert.Candidate{Item: item("i", changes...)}
	}
	bundle := of(func(it *alert.Item) { it.Hostnames = []string{"orders.example.com"} })
	san := of(func(it *alert.Item) { it.SANs = []string{"email:a@shop.example.com", "dns:Shop.Example.COM"} })
	seen := of(func(it *alert.Item) {
		it.Sources = []alert.Source{{Kind: alert.SourceObserved, Reference: "shop.example.com"}}
	})
	uploaded := of(func(it *alert.Item) {
		it.Sources = []alert.Source{{Kind: alert.SourceUpload, Reference: "shop.example.com"}}
	})
	issued := alert.Candidate{Item: item("i"), CAs: []string{"partner", "root"}}
	for _, tt := range []struct {
		name string
		rule func(*scanner.Rule)
		c    alert.Candidate
		why  string // part of the reason against it; "" = it matches
	}{
		{name: "a host name of its bundle", rule: hostnames("shop.example.com", "orders.*.com"), c: bundle},
		{name: "a star is one label", rule: hostnames("*.com"), c: bundle, why: "no host name"},
		{name: "a name that it bears, in any case", rule: hostnames("shop.example.com"), c: san},
		{name: "a mail address is no host name", rule: hostnames("a@*.example.com"), c: san, why: "no host name"},
		{name: "where it was seen", rule: hostnames("shop.*.com"), c: seen},
		{name: "a file's name is no host name", rule: hostnames("shop.*.com"), c: uploaded, why: "no host name"},
		{name: "none at all", rule: hostnames("*"), c: of(), why: "no host name of the item matches *"},
		{name: "its CA", rule: cas("root"), c: issued},
		{name: "any of the CAs", rule: cas("other", "partner"), c: issued},
		{name: "another CA", rule: cas("roo"), c: issued, why: "neither of the CA roo nor issued by it"},
		{name: "both must hold", rule: func(r *scanner.Rule) { hostnames("a")(r); cas("root")(r) }, c: issued, why: "no host name"},
		{name: "another kind", rule: func(r *scanner.Rule) { r.Kinds = []alert.Kind{alert.KindCA} }, c: of(), why: `not about the kind "client"`},
		{name: "a label", rule: func(r *scanner.Rule) { r.Match = map[string]string{"team": "x"} }, c: of(), why: "does not bear the label team=x"},
		{name: "nobody", rule: func(r *scanner.Rule) { r.Targets = nil }, c: of(), why: "tells nobody"},
		{name: "an escalation alone", rule: func(r *scanner.Rule) {
			r.Targets, r.Before = nil, nil
			r.Escalate = []scanner.Escalation{{Before: day, Targets: to("pager")}}
		}, c: of()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", tt.rule)
			why := scanner.Explain([]scanner.Rule{r}, tt.c, end)[0].Mismatch
			if r.Matches(tt.c) != (tt.why == "") || (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
				t.Errorf("matches = %t, because %q, want %q", r.Matches(tt.c), why, tt.why)
			}
		})
	}
}

func TestDecide_Owners(t *testing.T) {
	t.Parallel()
	owned := func(label string, sans ...string) alert.Candidate {
		return alert.Candidate{Item: item("i", func(it *alert.Item) {
			it.SANs = sans
			if label != "" {
				it.Labels = map[string]string{"owner": label}
			}
		})}
	}
	var many []string
	for i := range 9 {
		many = append(many, fmt.Sprintf("email:a%d@example.com", i))
	}
	for _, tt := range []struct {
		name string
		c    alert.Candidate
		want []string // beside the channel's own
	}{
		{"none", owned(""), nil},
		{"the label", owned("ana@example.com"), []string{"ana@example.com"}},
		{"the certificate's own address", owned("", "dns:x", "email:bo@EXAMPLE.com"), []string{"bo@example.com"}},
		{"both, each once", owned("ana@example.com", "email:bo@example.com", "email:ana@example.com"), []string{"ana@example.com", "bo@example.com"}},
		{"a stranger", owned("", "email:ceo@victim.example"), nil},
		{"a label of another domain", owned("ana@elsewhere.example"), nil},
		{"a subdomain counts for itself", owned("ana@mail.example.com"), nil},
		{"a domain that ends so", owned("ana@badexample.com"), nil},
		{"the channel's own address, in another case", owned("OnCall@example.com"), nil},
		{"a team's name", owned("payments"), nil},
		{"a display name", owned("Ana <ana@example.com>"), nil},
		{"two addresses in one", owned("", "email:a@victim.example,b@example.com"), nil},
		{"a quoted local part", owned("", `email:"a@victim.example> b"@example.com`), nil},
		{"a line break", owned("", "email:a@example.com\r\nBcc: b@example.com"), nil},
		{"too many", owned("", many...), []string{"a0@example.com", "a1@example.com", "a2@example.com", "a3@example.com", "a4@example.com"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", func(r *scanner.Rule) { r.Targets[0].OwnerDomains = []string{"example.com"} })
			var got []string
			for _, l := range scanner.Decide([]scanner.Rule{r}, tt.c, end.Add(-20*day)).Tells {
				if l.Recipient != "oncall@example.com" {
					got = append(got, l.Recipient)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	type line struct{ Before, To, State, Why string }
	rules := []scanner.Rule{
		rule("r", before(30*day, 14*day), targets(to("mail", "chat", "late")...), func(r *scanner.Rule) {
			r.Escalate = []scanner.Escalation{{Before: 7 * day, Targets: to("pager")}}
		}),
		rule("other", before(20*day), targets(to("late")...)),
	}
	c := alert.Candidate{Item: item("i"), Told: []alert.Told{
		{Channel: "mail", Recipient: "mail", Threshold: 14 * day, Rule: "r", Heard: true},
		{Channel: "chat", Recipient: "chat", Threshold: 14 * day, Rule: "r"},
	}}
	lines := func(now alert.Candidate) []line {
		var got []line
		for _, e := range scanner.Explain(rules, now, end.Add(-10*day)) {
			for _, l := range e.Tellings {
				got = append(got, line{l.Before, l.Channel, l.State, l.Why})
			}
		}
		return got
	}
	want := []line{
		{"30d", "mail", "covered", `told at 14d by the rule "r"`},
		{"30d", "chat", "covered", `told at 14d by the rule "r"`},
		{"30d", "late", "covered", `about to be told at 14d by the rule "r"`},
		{"14d", "mail", "told", ""},
		{"14d", "chat", "told", "its message has not gone yet"},
		{"14d", "late", "due", ""},
		{"7d", "pager", "planned", ""},
		{"20d", "late", "covered", `about to be told at 14d by the rule "r"`},
	}
	if diff := cmp.Diff(want, lines(c)); diff != "" {
		t.Error(diff)
	}
	rules[1].Digest, rules[1].Before = 7*day, []time.Duration{11 * day}
	waits := scanner.Explain(rules[1:], alert.Candidate{Item: item("i")}, end.Add(-10*day-12*time.Hour))[0].Tellings[0]
	if waits.State != "planned" || waits.Why != "reached at 2027-03-20T12:00:00Z, waits for the digest" || !waits.At.After(end.Add(-11*day)) {
		t.Errorf("of a digest: %+v", waits)
	}
	rules[1].Digest, rules[1].Before = 0, []time.Duration{20 * day}
	c.Item.Handling = &alert.Handling{By: "ana", At: end.Add(-11 * day)}
	silenced := "acknowledged by ana on 2027-03-20T12:00:00Z"
	want[2], want[5], want[7] = line{"30d", "late", "silenced", silenced}, line{"14d", "late", "silenced", silenced}, line{"20d", "late", "silenced", silenced}
	if diff := cmp.Diff(want, lines(c)); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(*alert.Item){
		"revoked":       func(it *alert.Item) { it.Trust = alert.Revoked },
		"superseded":    func(it *alert.Item) { it.Watch = alert.Superseded },
		"ignored":       func(it *alert.Item) { it.Watch = alert.Ignored },
		"not valid yet": func(it *alert.Item) { it.Watch = alert.Pending },
		"":              func(it *alert.Item) { it.Watch, it.UsedAt = alert.Superseded, &it.NotBefore },
	} {
		if got := scanner.Unwatched(item("i", change)); !strings.Contains(got, name) || (got == "") != (name == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
