package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/scanner"
)

// mailRule tells one channel of everything, 30 and 14 days ahead.
var mailRule = []scanner.Rule{{
	Name: "default", Kinds: []alert.Kind{alert.KindCA, alert.KindClient, alert.KindServer, alert.KindCRL},
	Before:  []time.Duration{30 * alert.Day, 14 * alert.Day},
	Targets: []scanner.Target{{Channel: "mail", Recipients: []string{"mail"}}},
}}

// byRules scans as the product does.
func (w *world) byRules(rules []scanner.Rule) {
	w.Helper()
	w.scan(func(c []alert.Candidate) alert.Plan {
		plan, _ := scanner.NewPlan(rules, c, w.now)
		return plan
	})
}

// sent claims and sends what waits for a channel, and returns what it told, as
// "event name".
func (w *world) sent(channel string) [][]string {
	w.Helper()
	var messages [][]string
	for _, job := range w.claim("w", channel, 100) {
		var told []string
		for _, e := range job.Entries {
			told = append(told, string(e.Alert.Event)+" "+e.Item.CommonName)
		}
		slices.Sort(told)
		messages = append(messages, told)
		w.settle("w", job.Delivery.ID, alert.Outcome{State: alert.StateSent})
	}
	return messages
}

func (w *world) tells(want ...[]string) {
	w.Helper()
	w.byRules(mailRule)
	if diff := cmp.Diff(want, w.sent("mail")); diff != "" {
		w.Errorf("at %s the messages are wrong (-want +got):\n%s", w.now.Sub(Start), diff)
	}
}

func (w *world) later(d time.Duration) { w.now = w.now.Add(d) }

// renew renews a client certificate, from an instant on.
func (w *world) renew(c *certtest.Certificate, old alert.Item, from time.Time) alert.Item {
	w.Helper()
	item, err := w.Replace(w.ctx(), inventory.Replacement{
		OldItemID: old.ID, Certificate: w.renewed(c, from).Certificate, Source: upload("new.pem"), Actor: actor,
	})
	w.ok(err)
	return item
}

// alerted adds a client certificate whose end was told.
func (w *world) alerted(name string) (*certtest.Certificate, alert.Item) {
	w.Helper()
	c := certtest.SelfSigned(certtest.CommonName(name), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
	item, _, err := w.AddItem(w.ctx(), newItem(c))
	w.ok(err)
	w.tells([]string{"expiring " + name})
	return c, item
}

var overTests = map[string]func(*world){
	"over: a renewal, a revocation, a removal and a mute are told to who heard, in one message": func(w *world) {
		c, renewed := w.alerted("renewed")
		_, revoked := w.alerted("revoked")
		_, removed := w.alerted("removed")
		_, ignored := w.alerted("ignored")
		next := w.renew(c, renewed, w.now.Add(-time.Hour))
		w.ok(w.SetTrust(w.ctx(), revoked.ID, alert.Revoked, actor))
		w.later(30 * time.Second)
		w.ok(w.SetTrust(w.ctx(), removed.ID, alert.Removed, actor))
		w.ok(w.SetWatch(w.ctx(), ignored.ID, alert.Ignored, actor))
		w.tells()
		due, err := w.NextEnding(w.ctx())
		w.ok(err)
		w.now = due
		if due, err := w.HasDue(w.ctx(), w.now); err != nil || !due {
			w.Errorf("nothing is due: %v", err)
		}
		w.byRules(mailRule)
		job := w.one("w", "mail")
		for _, e := range job.Entries {
			if want := e.Item.ID == renewed.ID; want != (e.Successor != nil && e.Successor.ID == next.ID) {
				w.Errorf("the successor of %s is %+v", e.Item.CommonName, e.Successor)
			}
		}
		w.settle("w", job.Delivery.ID, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now})
		w.tells([]string{"ignored ignored", "removed removed", "renewed renewed", "revoked revoked"})
		w.later(24 * time.Hour)
		w.tells()
		if next, err := w.NextEnding(w.ctx()); err != nil || !next.IsZero() {
			w.Errorf("the next end is at %v, %v", next, err)
		}
	},
	"over: what was taken back is closed by what opened it": func(w *world) {
		item := w.addClient("client", 20)
		w.byRules(mailRule)
		opened := w.one("w", "mail")
		w.settle("w", opened.Delivery.ID, alert.Outcome{State: alert.StateSent})
		for range 2 { // nobody is told
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
			w.tells()
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.later(time.Minute)
		w.byRules(mailRule)
		closed := w.one("w", "mail")
		w.settle("w", closed.Delivery.ID, alert.Outcome{State: alert.StateSent})
		if was, is := opened.Entries[0].Alert.Key(), closed.Entries[0].Alert.Key(); was != is || !closed.Entries[0].Alert.Resolves() {
			w.Errorf("%+v opened %s, and %+v closes %s", opened.Entries[0].Alert, was, closed.Entries[0].Alert, is)
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor)) // told in between
		w.byRules(mailRule)
		if is := w.one("w", "mail").Entries[0].Alert.Key(); is == opened.Entries[0].Alert.Key() {
			w.Error("what comes back opens what was closed")
		}
	},
	"over: what has just ended does not go along": func(w *world) {
		_, first := w.alerted("first")
		_, second := w.alerted("second")
		w.ok(w.SetTrust(w.ctx(), first.ID, alert.Revoked, actor))
		w.later(50 * time.Second)
		w.ok(w.SetTrust(w.ctx(), second.ID, alert.Revoked, actor))
		w.later(10 * time.Second)
		w.tells([]string{"revoked first"})
		w.ok(w.SetTrust(w.ctx(), second.ID, alert.Trusted, actor))
		w.later(time.Hour)
		w.tells()
	},
	"over: an end that was not sent in time is dropped, and what it would have closed goes on": func(w *world) {
		item := w.addClient("client", 20)
		w.byRules(mailRule)
		opened := w.one("w", "mail")
		w.settle("w", opened.Delivery.ID, alert.Outcome{State: alert.StateSent})
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.later(time.Minute)
		w.byRules(mailRule) // the channel does not take it
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
		w.byRules(mailRule)
		again := w.one("w", "mail")
		if was, is := opened.Entries[0].Alert, again.Entries[0].Alert; is.Event != alert.EventExpiring || is.Key() != was.Key() || is.ID == was.ID {
			w.Errorf("%+v, then %+v", was, is)
		}
	},
	"over: is taken back though it was ignored meanwhile": func(w *world) {
		_, item := w.alerted("client")
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Ignored, actor))
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
		w.later(time.Minute)
		w.tells()
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.later(time.Minute)
		w.byRules(mailRule)
		if is, was := w.one("w", "mail").Entries[0].Alert, alert.ID(item.ID, 1, "", 0, ""); is.Event != alert.EventRevoked || is.Key() != was {
			w.Errorf("what was opened as %s is closed by %+v", was, is)
		}
	},
	"over: nobody who did not hear is told": func(w *world) {
		c := certtest.SelfSigned(certtest.CommonName("never sent"), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		w.byRules(mailRule)
		w.renew(c, item, w.now.Add(-time.Hour))
		far := w.addClient("far", 200)
		w.ok(w.SetTrust(w.ctx(), far.ID, alert.Revoked, actor))
		w.later(time.Hour)
		w.tells()
	},
	"over: a message under way decides who heard": func(w *world) {
		for name, row := range map[string]struct {
			outcome alert.DeliveryState
			told    [][]string
		}{
			"sent":    {alert.StateSent, [][]string{{"revoked sent"}}},
			"refused": {alert.StateDead, nil},
		} {
			item := w.addClient(name, 20)
			w.byRules(mailRule)
			jobs, err := w.Claim(w.ctx(), "w", "mail", w.now, w.now.Add(2*time.Hour), 1)
			w.ok(err)
			job := jobs[0]
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			w.later(time.Hour)
			w.tells() // it is not known yet
			if due, err := w.HasDue(w.ctx(), w.now); err != nil || due {
				w.Errorf("%s: due %t, %v, while the message is under way", name, due, err)
			}
			w.ok(w.Settle(w.ctx(), "w", job.Delivery.ID, alert.Outcome{State: row.outcome, At: w.now}))
			w.tells(row.told...)
		}
	},
	"over: what may have arrived counts as heard": func(w *world) {
		for _, state := range []alert.DeliveryState{alert.StateRetrying, alert.StatePending, alert.StateDead} {
			item := w.addClient(string(state), 20)
			w.byRules(mailRule)
			w.settle("w", w.one("w", "mail").Delivery.ID, alert.Outcome{State: state, NextAttemptAt: w.now.Add(time.Hour), Uncertain: true})
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			w.later(time.Hour)
			w.tells([]string{"revoked " + string(state)})
		}
	},
	"over: a crash while it was sent counts as heard": func(w *world) {
		item := w.addClient("client", 20)
		w.byRules(mailRule)
		w.one("w", "mail")
		w.ok(w.Recover(w.ctx()))
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.later(time.Hour)
		w.tells([]string{"revoked client"})
	},
	"over: a lease that ran out counts as heard": func(w *world) {
		item := w.addClient("client", 20)
		w.byRules(mailRule)
		w.one("gone", "mail")
		w.later(time.Hour)
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.claim("w", "mail", 1) // takes over, and cancels
		w.later(time.Hour)
		w.tells([]string{"revoked client"})
	},
	"over: a pending renewal says nothing until it takes over": func(w *world) {
		c, item := w.alerted("client")
		w.renew(c, item, w.now.Add(10*alert.Day))
		w.later(9 * alert.Day)
		w.tells([]string{"expiring client"}) // 14 days ahead
		w.later(alert.Day)
		w.tells()
		w.later(time.Minute)
		w.tells([]string{"renewed client"})
	},
	"over: back and forth is told once, not each time": func(w *world) {
		_, item := w.alerted("client")
		var messages [][]string
		for range 50 {
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			w.later(10 * time.Second)
			w.byRules(mailRule)
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
			w.later(10 * time.Second)
			w.byRules(mailRule)
			messages = append(messages, w.sent("mail")...)
		}
		if len(messages) != 0 {
			w.Errorf("quick changes were told: %v", messages)
		}
		for range 50 { // slow ones
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			w.later(5 * time.Minute)
			w.byRules(mailRule)
			messages = append(messages, w.sent("mail")...)
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
			w.later(5 * time.Minute)
			w.byRules(mailRule)
			messages = append(messages, w.sent("mail")...)
		}
		if diff := cmp.Diff([][]string{{"revoked client"}, {"expiring client"}}, messages); diff != "" {
			w.Error(diff)
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.later(59 * time.Minute)
		w.tells()
		w.later(time.Minute)
		w.tells([]string{"revoked client"})
	},
	"over: what comes back alerts again, and its end that was not told is not": func(w *world) {
		_, item := w.alerted("client")
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Removed, actor))
		w.later(time.Hour)
		w.byRules(mailRule) // the message waits
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
		w.tells([]string{"expiring client"})
	},
	"over: a fresh revocation list is a renewal to who heard of the old one": func(w *world) {
		ca := w.ca("Root", 400)
		w.addBundle("root", nil, ca)
		first := w.addCRL(w.list(ca, 1, w.now, 1))
		w.later(alert.Day)
		w.byRules(mailRule)
		if got := w.sent("mail"); len(got) != 1 || len(got[0]) != 1 {
			w.Fatalf("the messages are %v", got)
		}
		w.addCRL(w.list(ca, 2, w.now, 9))
		w.later(time.Minute)
		w.byRules(mailRule)
		job := w.one("w", "mail")
		if e := job.Entries[0]; len(job.Entries) != 1 || e.Alert.Event != alert.EventRenewed || e.Item.ID != first.Item.ID || e.Alert.Epoch != 1 {
			w.Errorf("the message is %+v", job)
		}
	},
}
