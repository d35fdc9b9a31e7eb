package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

var scanTests = map[string]func(*world){
	"scan: hands over what is due, once": func(w *world) {
		late, soon := w.addClient("late", 20), w.addClient("soon", 10)
		due := w.scan(w.tell("mail"))
		if len(due) != 2 || due[0].Item.ID != soon.ID || due[1].Item.ID != late.ID || len(due[0].Item.Sources) != 1 {
			w.Errorf("due is %+v", due)
		}
		if due := w.scan(w.tell("mail")); len(due) != 0 {
			w.Errorf("due again is %+v", due)
		}
		if list := w.deliveries(); len(list) != 1 || len(list[0].AlertIDs) != 2 || list[0].State != alert.StatePending {
			w.Errorf("the deliveries are %+v", list)
		}
		alerts, err := w.Alerts(w.ctx(), 0)
		w.ok(err)
		want := expiring(alert.Item{ID: soon.ID, Epoch: 1}, Start)
		if len(alerts) != 2 || !(cmp.Equal(want, alerts[0]) || cmp.Equal(want, alerts[1])) {
			w.Errorf("the alerts are %+v, want %+v among them", alerts, want)
		}
		if last, err := w.LastScan(w.ctx()); err != nil || !last.Equal(w.now) {
			w.Errorf("the last scan was at %v, %v", last, err)
		}
	},
	"scan: comes back when the plan says, to the instant": func(w *world) {
		item := w.addClient("client", 40)
		next := w.now.Add(10 * alert.Day)
		w.scan(func([]alert.Candidate) alert.Plan { return alert.Plan{Next: map[string]time.Time{item.ID: next}} })
		for _, row := range []struct {
			at  time.Duration
			due bool
		}{{-time.Second, false}, {0, true}, {time.Second, true}} {
			due, err := w.HasDue(w.ctx(), next.Add(row.at))
			w.ok(err)
			preview, err := w.Preview(w.ctx(), next.Add(row.at), 0)
			w.ok(err)
			if due != row.due || (len(preview) == 1) != row.due {
				w.Errorf("at %v: due %t, preview %d, want %t", row.at, due, len(preview), row.due)
			}
		}
		w.now = next
		if due := w.scan(w.tell("mail")); len(due) != 1 {
			w.Errorf("due is %+v", due)
		}
	},
	"scan: hands over what is on record for the epoch": func(w *world) {
		item := w.addClient("client", 40)
		again := func(c []alert.Candidate) alert.Plan {
			plan := w.tell("mail")(c)
			plan.Next[item.ID] = w.now
			return plan
		}
		w.scan(again)
		want := alert.Candidate{
			Item:     w.item(item.ID),
			Recorded: []alert.Mark{{Rule: "default", Threshold: 30 * alert.Day}},
			Told:     []alert.Told{{Channel: "mail", Recipient: "mail", Threshold: 30 * alert.Day}},
		}
		due := w.scan(again)
		if diff := cmp.Diff([]alert.Candidate{want}, due); diff != "" {
			w.Error(diff)
		}
		if list := w.deliveries(); len(list) != 1 {
			w.Errorf("the same plan again made %d deliveries", len(list))
		}
	},
	"scan: keeps the tightest threshold told": func(w *world) {
		item := w.addClient("client", 40)
		for _, days := range []time.Duration{30, 14, 20} {
			w.scan(func([]alert.Candidate) alert.Plan {
				return alert.Plan{
					Told: []alert.ToldMark{{ItemID: item.ID, Epoch: 1, Channel: "mail", Recipient: "a", Threshold: days * alert.Day}},
					Next: map[string]time.Time{item.ID: w.now},
				}
			})
		}
		due := w.scan(func([]alert.Candidate) alert.Plan { return alert.Plan{Next: map[string]time.Time{item.ID: {}}} })
		if diff := cmp.Diff([]alert.Told{{Channel: "mail", Recipient: "a", Threshold: 14 * alert.Day}}, due[0].Told); diff != "" {
			w.Error(diff)
		}
	},
	"scan: an error leaves nothing written": func(w *world) {
		item := w.addClient("client", 20)
		err := w.Scan(w.ctx(), w.now, func(c []alert.Candidate) alert.Plan {
			plan := w.tell("mail")(c)
			plan.Next = nil // a plan that forgets an item would silence it
			return plan
		})
		if err == nil {
			w.Error("a plan without an item was accepted")
		}
		err = w.Scan(w.ctx(), w.now, func(c []alert.Candidate) alert.Plan {
			plan := w.tell("mail")(c)
			plan.Deliveries[0].AlertIDs = []string{"unknown"}
			return plan
		})
		if err == nil {
			w.Error("a delivery of an unknown alert was accepted")
		}
		alerts, err := w.Alerts(w.ctx(), 0)
		w.ok(err)
		if len(alerts) != 0 || len(w.deliveries()) != 0 {
			w.Error("something was written")
		}
		if last, err := w.LastScan(w.ctx()); err != nil || !last.IsZero() {
			w.Errorf("the last scan was at %v, %v", last, err)
		}
		if got := w.item(item.ID); got.NextDueAt == nil {
			w.Error("the item is no longer due")
		}
	},
	"scan: a decision that panics leaves nothing written, and the store usable": func(w *world) {
		w.addClient("client", 20)
		func() {
			defer func() {
				if recover() == nil {
					w.Error("the panic was swallowed")
				}
			}()
			_ = w.Scan(w.ctx(), w.now, func([]alert.Candidate) alert.Plan { panic("defect") })
		}()
		if due := w.scan(w.tell("mail")); len(due) != 1 {
			w.Errorf("due is %+v", due)
		}
	},
	"scan: a context that ends writes nothing": func(w *world) {
		w.addClient("client", 20)
		ctx, cancel := context.WithCancel(w.ctx())
		err := w.Scan(ctx, w.now, func(c []alert.Candidate) alert.Plan {
			cancel()
			return w.tell("mail")(c)
		})
		if !errors.Is(err, context.Canceled) {
			w.Errorf("got %v", err)
		}
		if n := len(w.deliveries()); n != 0 {
			w.Errorf("%d deliveries", n)
		}
	},
	"scan: what is pending becomes active when it is valid, in its first epoch": func(w *world) {
		from := w.now.Add(time.Hour)
		c := certtest.SelfSigned(certtest.Validity(from, from.Add(10*alert.Day)))
		_, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		for _, row := range []struct {
			at   time.Time
			want int
		}{{from.Add(-time.Second), 0}, {from, 1}} {
			due, err := w.HasDue(w.ctx(), row.at)
			w.ok(err)
			preview, err := w.Preview(w.ctx(), row.at, 0)
			w.ok(err)
			w.now = row.at
			got := w.scan(w.tell("mail"))
			if len(got) != row.want || len(preview) != row.want || due != (row.want > 0) {
				w.Errorf("at %v: %d due, %d previewed, %t", row.at, len(got), len(preview), due)
			}
			if row.want == 1 {
				preview[0].Item.NextDueAt, got[0].Item.NextDueAt = nil, nil
				if diff := cmp.Diff(preview, got); diff != "" || got[0].Item.Epoch != 1 {
					w.Errorf("(-preview +scan):\n%s", diff)
				}
			}
		}
	},
	"preview: leaves out what will be superseded by then, and changes nothing": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		item := w.replace(old.ID, w.renewed(root, w.now.Add(alert.Day)))
		for _, row := range []struct {
			at   time.Duration
			want string
		}{{0, old.ID}, {alert.Day, item.ID}} {
			preview, err := w.Preview(w.ctx(), w.now.Add(row.at), 0)
			w.ok(err)
			if len(preview) != 1 || preview[0].Item.ID != row.want {
				w.Errorf("in %v: %+v", row.at, preview)
			}
		}
		if item = w.item(item.ID); item.Watch != alert.Pending {
			w.Errorf("the item is %+v", item)
		}
		if last, err := w.LastScan(w.ctx()); err != nil || !last.IsZero() {
			w.Errorf("the last scan was at %v, %v", last, err)
		}
	},
	"reschedule: sets every active item, once for a key": func(w *world) {
		active, ignored := w.addClient("active", 40), w.addClient("ignored", 40)
		w.scan(w.tell("mail"))
		w.ok(w.SetWatch(w.ctx(), ignored.ID, alert.Ignored, actor))
		next := w.now.Add(5 * alert.Day)
		calls := 0
		schedule := func(key string, at time.Time) {
			w.ok(w.Reschedule(w.ctx(), key, func(c alert.Candidate) time.Time {
				calls++
				if len(c.Recorded) != 1 || len(c.Told) != 1 {
					w.Errorf("the candidate is %+v", c)
				}
				return at
			}))
		}
		schedule("one", next)
		schedule("one", time.Time{})
		if got := w.item(active.ID); calls != 1 || got.NextDueAt == nil || !got.NextDueAt.Equal(next) {
			w.Errorf("after %d calls it is %+v", calls, got)
		}
		schedule("two", time.Time{})
		if got := w.item(active.ID); calls != 2 || got.NextDueAt != nil {
			w.Errorf("after %d calls it is %+v", calls, got)
		}
		if got := w.item(ignored.ID); got.NextDueAt != nil {
			w.Error("an ignored item was scheduled")
		}
	},
	"reschedule: a run that was cut off is done again, also for the key before": func(w *world) {
		item := w.addClient("client", 40)
		next := w.now.Add(alert.Day)
		w.ok(w.Reschedule(w.ctx(), "one", func(alert.Candidate) time.Time { return next }))
		ctx, cancel := context.WithCancel(w.ctx())
		if err := w.Reschedule(ctx, "two", func(alert.Candidate) time.Time { cancel(); return time.Time{} }); err == nil {
			w.Error("it was not cut off")
		}
		calls := 0
		w.ok(w.Reschedule(w.ctx(), "one", func(alert.Candidate) time.Time { calls++; return next }))
		if calls != 1 {
			w.Errorf("%d calls", calls)
		}
		if got := w.item(item.ID); got.NextDueAt == nil || !got.NextDueAt.Equal(next) {
			w.Errorf("the item is %+v", got)
		}
	},
	"reschedule: a scan by other rules makes the schedule nobody's": func(w *world) {
		item := w.addClient("client", 20)
		due := func(alert.Candidate) time.Time { return w.now }
		w.ok(w.Reschedule(w.ctx(), "daemon", due))
		w.ok(w.Reschedule(w.ctx(), "command", due))
		// The daemon asked before the command did, and scans after it.
		w.scan(func([]alert.Candidate) alert.Plan {
			return alert.Plan{Next: map[string]time.Time{item.ID: {}}, Rules: "daemon"}
		})
		w.ok(w.Reschedule(w.ctx(), "command", due))
		if due := w.scan(w.tell("mail")); len(due) != 1 {
			w.Errorf("due is %+v: what the other rules took for nothing is lost", due)
		}
	},
	"reschedule: a scan by the same rules leaves the schedule": func(w *world) {
		item := w.addClient("client", 20)
		calls := 0
		schedule := func() {
			w.ok(w.Reschedule(w.ctx(), "key", func(alert.Candidate) time.Time { calls++; return w.now }))
		}
		schedule()
		w.scan(func([]alert.Candidate) alert.Plan {
			return alert.Plan{Next: map[string]time.Time{item.ID: {}}, Rules: "key"}
		})
		schedule()
		if calls != 1 {
			w.Errorf("it was scheduled %d times", calls)
		}
	},
	"clock: remembers the last scan and the last confirmation": func(w *world) {
		for name, read := range map[string]func(context.Context) (time.Time, error){"scan": w.LastScan, "clock": w.AcceptedClock} {
			if at, err := read(w.ctx()); err != nil || !at.IsZero() {
				w.Errorf("%s: %v, %v", name, at, err)
			}
		}
		w.ok(w.AcceptClock(w.ctx(), w.now, actor))
		if at, err := w.AcceptedClock(w.ctx()); err != nil || !at.Equal(w.now) {
			w.Errorf("%v, %v", at, err)
		}
	},
	"clock: once it is confirmed, nothing waits for the time of another": func(w *world) {
		w.queue("mail", 2)
		ahead := w.now.AddDate(4, 0, 0)
		job := w.one("w1", "mail")
		w.settle("w1", job.Delivery.ID, alert.Outcome{
			State: alert.StateRetrying, NextAttemptAt: ahead, Error: "down",
			Channel: &alert.ChannelStatus{Failing: true, Reason: "401", Since: w.now, RetryAt: ahead, Probes: 1},
		})
		w.ok(w.AcceptClock(w.ctx(), w.now, actor))
		if next, err := w.NextAttempt(w.ctx(), "mail"); err != nil || next.After(w.now) {
			w.Errorf("the next attempt is at %s, %v", next, err)
		}
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent, Channel: &alert.ChannelStatus{}})
		w.one("w1", "mail")
	},
}
