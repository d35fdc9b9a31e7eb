package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

var handlingTests = map[string]func(*world){
	"handling: is shown with the item, has it looked at, and leaves an audit row": func(w *world) {
		_, item := w.alerted("client")
		until := w.now.Add(time.Hour)
		for _, h := range []*alert.Handling{{By: "ana", At: w.now}, {By: "bo", At: w.now, Until: &until}, nil} {
			w.ok(w.Handle(w.ctx(), item.ID, h, actor))
			if diff := cmp.Diff(h, w.item(item.ID).Handling); diff != "" {
				w.Error(diff)
			}
			c, err := w.Candidate(w.ctx(), item.ID)
			w.ok(err)
			if diff := cmp.Diff(h, c.Item.Handling); diff != "" || len(c.Told) != 1 || len(c.Recorded) != 1 {
				w.Errorf("the candidate is %+v\n%s", c, diff)
			}
			if due, err := w.HasDue(w.ctx(), w.now); err != nil || !due {
				w.Errorf("the item is not due: %v", err)
			}
			w.tells()
		}
		actions := w.actions()
		if got := actions[len(actions)-3:]; !slices.Equal(got, []string{"item.acknowledge", "item.snooze", "item.unacknowledge"}) {
			w.Errorf("the audit trail is %v", got)
		}
	},
	"handling: shows in the messages that come after it": func(w *world) {
		_, item := w.alerted("client")
		w.ok(w.Handle(w.ctx(), item.ID, &alert.Handling{By: "ana", At: w.now}, actor))
		w.later(7 * alert.Day)
		w.byRules(mailRule) // 14 days ahead
		if h := w.one("w", "mail").Entries[0].Item.Handling; h == nil || h.By != "ana" {
			w.Errorf("the message says %+v", h)
		}
	},
	"handling: ends with the epoch": func(w *world) {
		_, item := w.alerted("client")
		w.ok(w.Handle(w.ctx(), item.ID, &alert.Handling{By: "ana", At: w.now}, actor))
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Ignored, actor))
		w.fails(w.Handle(w.ctx(), item.ID, &alert.Handling{By: "ana", At: w.now}, actor), fault.Conflict, "not_watched")
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
		if h := w.item(item.ID).Handling; h != nil {
			w.Errorf("the new epoch has %+v", h)
		}
		w.tells([]string{"expiring client"})
		w.later(time.Minute)
		w.tells([]string{"ignored client"}) // the former epoch
	},
	"handling: of nothing that is known": func(w *world) {
		w.fails(w.Handle(w.ctx(), "nobody", nil, actor), fault.NotFound, "")
	},
	"handling: reminders are told until it is acknowledged": func(w *world) {
		rules := slices.Clone(mailRule)
		rules[0].Repeat, rules[0].RepeatFrom = alert.Day, 30*alert.Day
		item := w.addClient("client", 40)
		told := 0
		for range 16 {
			w.byRules(rules)
			told += len(w.sent("mail"))
			w.later(alert.Day)
		}
		if told != 6 { // with 30 to 25 days left
			w.Errorf("%d messages, want 6", told)
		}
		w.ok(w.Handle(w.ctx(), item.ID, &alert.Handling{By: "ana", At: w.now}, actor))
		for range 10 {
			w.byRules(rules)
			if got := w.sent("mail"); len(got) != 0 {
				w.Errorf("it was told with %v left: %v", item.NotAfter.Sub(w.now), got)
			}
			w.later(alert.Day)
		}
		w.byRules(rules)
		if got := w.sent("mail"); len(got) != 1 {
			w.Errorf("with %v left the messages are %v", item.NotAfter.Sub(w.now), got)
		}
	},
	"handling: a candidate knows the bundles of its issuer": func(w *world) {
		root, other := w.ca("Root", 400), w.ca("Other", 400)
		w.addBundle("root", []string{"orders.example.com"}, root)
		w.addBundle("other", nil, other)
		client, _, err := w.AddItem(w.ctx(), newItem(root.Issue(certtest.CommonName("client"))))
		w.ok(err)
		for ref, want := range map[string][]string{client.ID: {"root"}, w.item(cert.Fingerprint(root.Certificate)).ID: {"root"}, w.addClient("alone", 20).ID: nil} {
			c, err := w.Candidate(w.ctx(), ref)
			w.ok(err)
			if diff := cmp.Diff(want, c.CAs); diff != "" {
				w.Error(diff)
			}
		}
	},
	"handling: a bundle that changes has rules gone by anew": func(w *world) {
		place := func() int64 {
			n, err := w.Placement(w.ctx())
			w.ok(err)
			return n
		}
		before := place()
		raised := func(what string, want bool, act func()) {
			act()
			now := place()
			if (now > before) != want {
				w.Errorf("%s: from %d to %d", what, before, now)
			}
			before = now
		}
		var b inventory.Bundle
		raised("a new bundle", true, func() { b = w.addBundle("root", nil, w.ca("Root", 400)) })
		raised("a client", false, func() { w.addClient("client", 20) })
		raised("its host names", true, func() {
			_, err := w.UpdateBundle(w.ctx(), inventory.BundleUpdate{ID: b.ID, Name: "root", Hostnames: []string{"a.example.com"}, Actor: actor})
			w.ok(err)
		})
		raised("its removal", true, func() { w.ok(w.RemoveBundle(w.ctx(), b.ID, actor)) })
	},
}
