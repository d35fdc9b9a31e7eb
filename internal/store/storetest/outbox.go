package storetest

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

var claimTests = map[string]func(*world){
	"claim: leases the oldest first, with what they tell": func(w *world) {
		items := w.queue("mail", 3)
		w.queue("slack", 1)
		jobs := w.claim("w1", "mail", 2)
		if len(jobs) != 2 {
			w.Fatalf("%d jobs", len(jobs))
		}
		for i, job := range jobs {
			if len(job.Entries) != 1 || job.Entries[0].Item == nil || job.Entries[0].Item.ID != items[i].ID ||
				job.Entries[0].Alert.ItemID != items[i].ID || job.Delivery.State != alert.StateSending || job.Delivery.Channel != "mail" {
				w.Errorf("job %d is %+v", i, job)
			}
		}
		if rest := w.claim("w2", "mail", 5); len(rest) != 1 || rest[0].Entries[0].Item.ID != items[2].ID {
			w.Errorf("the rest is %+v", rest)
		}
		for _, n := range []int{0, -1} {
			if none := w.claim("w1", "slack", n); len(none) != 0 {
				w.Errorf("asked for %d it leased %d", n, len(none))
			}
		}
	},
	"claim: the most urgent entry first": func(w *world) {
		w.addClient("late", 20)
		soon := w.addClient("soon", 3)
		w.scan(w.tell("mail"))
		if job := w.one("w1", "mail"); len(job.Entries) != 2 || job.Entries[0].Item.ID != soon.ID {
			w.Errorf("the entries are %+v", job.Entries)
		}
	},
	"claim: one that is leased is nobody else's before the lease ends": func(w *world) {
		w.queue("mail", 1)
		job := w.one("w1", "mail")
		w.now = w.now.Add(time.Minute - time.Second)
		if jobs := w.claim("w2", "mail", 1); len(jobs) != 0 {
			w.Error("it was leased twice")
		}
		w.now = w.now.Add(time.Second)
		again := w.one("w2", "mail")
		if again.Delivery.ID != job.Delivery.ID {
			w.Error("it has another id")
		}
		w.fails(w.Settle(w.ctx(), "w1", job.Delivery.ID, alert.Outcome{State: alert.StateSent, At: w.now}), fault.Conflict, "lease_lost")
		w.settle("w2", job.Delivery.ID, alert.Outcome{State: alert.StateSent})
	},
	"claim: many at a time never lease one twice": func(w *world) {
		const n = 20
		w.queue("mail", n)
		var (
			mu    sync.Mutex
			seen  = map[string]int{}
			group sync.WaitGroup
		)
		for _, owner := range []string{"a", "b", "c", "d"} {
			group.Go(func() {
				for {
					jobs, err := w.Claim(w.ctx(), owner, "mail", w.now, w.now.Add(time.Minute), 3)
					if err != nil {
						w.Error(err)
					}
					if len(jobs) == 0 {
						return
					}
					mu.Lock()
					for _, job := range jobs {
						seen[job.Delivery.ID]++
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		for id, times := range seen {
			if times > 1 {
				w.Errorf("%s was leased %d times", id, times)
			}
		}
		if len(seen) != n {
			w.Errorf("%d of %d were leased", len(seen), n)
		}
	},
	"claim: what holds no longer is dropped, and what is left with nothing is cancelled": func(w *world) {
		for name, spoil := range map[string]func(id string){
			"ignored": func(id string) { w.ok(w.SetWatch(w.ctx(), id, alert.Ignored, actor)) },
			"revoked": func(id string) { w.ok(w.SetTrust(w.ctx(), id, alert.Revoked, actor)) },
			"new epoch": func(id string) {
				w.ok(w.SetWatch(w.ctx(), id, alert.Ignored, actor))
				w.ok(w.SetWatch(w.ctx(), id, alert.Active, actor))
			},
		} {
			item := w.addClient(name, 20)
			w.scan(w.tell(name))
			// The item changes while its message is being sent, and that fails.
			job := w.one("w1", name)
			spoil(item.ID)
			if d := w.delivery(job.Delivery.ID); d.State != alert.StateSending {
				w.Errorf("%s: under way it became %s", name, d.State)
			}
			w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: w.now, Error: "busy"})
			if jobs := w.claim("w1", name, 5); len(jobs) != 0 {
				w.Errorf("%s: it was leased again", name)
			}
			if d := w.delivery(job.Delivery.ID); d.State != alert.StateCancelled || d.SettledAt == nil {
				w.Errorf("%s: it is %+v", name, d)
			}
			w.scan(func(c []alert.Candidate) alert.Plan {
				next := map[string]time.Time{}
				for _, candidate := range c {
					next[candidate.Item.ID] = time.Time{}
				}
				return alert.Plan{Next: next}
			})
		}
	},
	"claim: goes on behind what it cancels": func(w *world) {
		items := w.queue("mail", 3)
		stale := w.claim("w1", "mail", 2)
		for i, job := range stale {
			w.ok(w.SetWatch(w.ctx(), items[i].ID, alert.Ignored, actor))
			w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now})
		}
		if jobs := w.claim("w1", "mail", 1); len(jobs) != 1 || jobs[0].Entries[0].Item.ID != items[2].ID {
			w.Errorf("the jobs are %+v", jobs)
		}
	},
	"claim: a failing channel gets nothing before its time, then one": func(w *world) {
		w.queue("mail", 3)
		job := w.one("w1", "mail")
		retry := w.now.Add(time.Hour)
		status := alert.ChannelStatus{Failing: true, Reason: "401", Since: w.now, RetryAt: retry, Probes: 1}
		w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: retry, Error: "401", Channel: &status})
		got, err := w.Channel(w.ctx(), "mail")
		w.ok(err)
		if diff := cmp.Diff(status, got); diff != "" {
			w.Error(diff)
		}
		w.now = retry.Add(-time.Second)
		if jobs := w.claim("w1", "mail", 5); len(jobs) != 0 {
			w.Errorf("%d were leased while it fails", len(jobs))
		}
		if next, err := w.NextAttempt(w.ctx(), "mail"); err != nil || !next.Equal(retry) {
			w.Errorf("the next attempt is at %v, %v", next, err)
		}
		w.now = retry
		w.one("w1", "mail")
		if jobs := w.claim("w2", "mail", 5); len(jobs) != 0 {
			w.Errorf("%d were leased beside the probe", len(jobs))
		}
		if next, err := w.NextAttempt(w.ctx(), "mail"); err != nil || !next.Equal(retry.Add(time.Minute)) {
			w.Errorf("while it is probed the next attempt is at %v, %v", next, err)
		}
	},
	"claim: after a restart what was being sent is pending, with the same id": func(w *world) {
		w.queue("mail", 2)
		jobs := w.claim("w1", "mail", 2)
		w.settle("w1", jobs[0].Delivery.ID, alert.Outcome{State: alert.StateSent})
		w.ok(w.Recover(w.ctx()))
		again := w.claim("w2", "mail", 5)
		if len(again) != 1 || again[0].Delivery.ID != jobs[1].Delivery.ID {
			w.Errorf("leased again: %+v", again)
		}
	},
	"next attempt: zero without anything, then what comes first": func(w *world) {
		next := func(want time.Time) {
			w.Helper()
			got, err := w.NextAttempt(w.ctx(), "mail")
			w.ok(err)
			if !got.Equal(want) {
				w.Errorf("the next attempt is at %v, want %v", got, want)
			}
		}
		next(time.Time{})
		w.queue("mail", 2)
		next(Start)
		jobs := w.claim("w1", "mail", 2)
		next(w.now.Add(time.Minute)) // when the lease ends
		w.settle("w1", jobs[0].Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: w.now.Add(time.Second), Error: "busy"})
		next(w.now.Add(time.Second))
		w.settle("w1", jobs[1].Delivery.ID, alert.Outcome{State: alert.StateDead, Error: "no"})
		w.now = w.now.Add(time.Second)
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		next(time.Time{})
	},
}

var settleTests = map[string]func(*world){
	"settle: each outcome": func(w *world) {
		later := w.now.Add(time.Hour)
		for _, row := range []struct {
			out      alert.Outcome
			attempts int
			settled  bool
		}{
			{alert.Outcome{State: alert.StateSent}, 1, true},
			{alert.Outcome{State: alert.StateDead, Error: "550 no such user"}, 1, true},
			{alert.Outcome{State: alert.StateRetrying, NextAttemptAt: later, Error: "421 busy"}, 1, false},
			{alert.Outcome{State: alert.StatePending, NextAttemptAt: later}, 0, false},
		} {
			channel := string(row.out.State)
			w.queue(channel, 1)
			id := w.one("w1", channel).Delivery.ID
			w.settle("w1", id, row.out)
			d, attempts, err := w.Delivery(w.ctx(), id)
			w.ok(err)
			if d.State != row.out.State || d.Attempts != row.attempts || d.LastError != row.out.Error || (d.SettledAt != nil) != row.settled {
				w.Errorf("%s: it is %+v", channel, d)
			}
			if !row.settled && !d.NextAttemptAt.Equal(later) {
				w.Errorf("%s: the next attempt is at %v", channel, d.NextAttemptAt)
			}
			want := []alert.Attempt{}
			if row.attempts > 0 {
				want = append(want, alert.Attempt{At: w.now, Outcome: row.out.State, Error: row.out.Error})
			}
			if diff := cmp.Diff(want, attempts); diff != "" {
				w.Errorf("%s: %s", channel, diff)
			}
			w.fails(w.Settle(w.ctx(), "w1", id, row.out), fault.Conflict, "lease_lost")
		}
	},
	"settle: without the lease nothing is written": func(w *world) {
		w.queue("mail", 1)
		id := w.one("w1", "mail").Delivery.ID
		out := alert.Outcome{State: alert.StateSent, At: w.now, Channel: &alert.ChannelStatus{Failing: true, RetryAt: w.now}, Notice: w.notice("mail")}
		w.fails(w.Settle(w.ctx(), "w2", id, out), fault.Conflict, "lease_lost")
		w.fails(w.Settle(w.ctx(), "w1", "unknown", out), fault.Conflict, "")
		out.State = alert.StateCancelled
		w.fails(w.Settle(w.ctx(), "w1", id, out), fault.Invalid, "")
		if status, err := w.Channel(w.ctx(), "mail"); err != nil || status.Failing {
			w.Errorf("%+v, %v", status, err)
		}
		if n := len(w.deliveries()); n != 1 {
			w.Errorf("%d deliveries", n)
		}
		if _, attempts, err := w.Delivery(w.ctx(), id); err != nil || len(attempts) != 0 {
			w.Errorf("%v, %v", attempts, err)
		}
	},
	"settle: a notice goes out with it, once": func(w *world) {
		w.queue("mail", 2)
		notice := w.notice("slack")
		for _, job := range w.claim("w1", "mail", 2) {
			w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateDead, Error: "no", Notice: notice})
		}
		jobs := w.claim("w1", "slack", 5)
		if len(jobs) != 1 || len(jobs[0].Entries) != 1 || jobs[0].Entries[0].Item != nil {
			w.Fatalf("the jobs are %+v", jobs)
		}
		if diff := cmp.Diff(notice.Alert, jobs[0].Entries[0].Alert); diff != "" {
			w.Error(diff)
		}
	},
	"settle: when a channel works again what waited goes at once": func(w *world) {
		w.queue("mail", 3)
		retry := w.now.Add(time.Hour)
		jobs := w.claim("w1", "mail", 3)
		failing := alert.ChannelStatus{Failing: true, Reason: "401", Since: w.now, RetryAt: retry, Probes: 1}
		for _, job := range jobs {
			w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: retry.Add(time.Hour), Error: "401", Channel: &failing})
		}
		w.now = retry.Add(time.Hour)
		probe := w.one("w1", "mail")
		later := w.now.Add(time.Hour)
		w.settle("w1", probe.Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: later, Error: "busy", Channel: &failing})
		for _, d := range w.deliveries() {
			w.now = Start.Add(10 * time.Minute) // the clock does not matter to what waits
			if d.ID == probe.Delivery.ID && !d.NextAttemptAt.Equal(later) {
				w.Errorf("the probe goes again at %v", d.NextAttemptAt)
			}
		}
		w.now = later
		probe = w.one("w1", "mail")
		w.settle("w1", probe.Delivery.ID, alert.Outcome{State: alert.StateSent, Channel: &alert.ChannelStatus{}})
		if jobs := w.claim("w1", "mail", 5); len(jobs) != 2 {
			w.Errorf("%d go at once, want 2", len(jobs))
		}
	},
	"settle: the delivery that mends a channel keeps its own time": func(w *world) {
		w.queue("mail", 2)
		jobs := w.claim("w1", "mail", 2)
		failing := alert.ChannelStatus{Failing: true, Since: w.now, RetryAt: w.now, Probes: 1}
		later := w.now.Add(time.Hour)
		w.settle("w1", jobs[0].Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: later, Channel: &failing})
		w.settle("w1", jobs[1].Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: later, Channel: &alert.ChannelStatus{}})
		if got := w.delivery(jobs[0].Delivery.ID).NextAttemptAt; !got.Equal(w.now) {
			w.Errorf("what waited goes at %v", got)
		}
		if got := w.delivery(jobs[1].Delivery.ID).NextAttemptAt; !got.Equal(later) {
			w.Errorf("the settled one goes at %v", got)
		}
	},
	"configured: another configuration lets what waits go at once": func(w *world) {
		w.queue("mail", 2)
		w.ok(w.Configured(w.ctx(), "mail", "one", w.now))
		job := w.one("w1", "mail")
		later := w.now.Add(time.Hour)
		failing := alert.ChannelStatus{Failing: true, Reason: "401", Since: w.now, RetryAt: later, Probes: 1}
		w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: later, Channel: &failing})
		w.ok(w.Configured(w.ctx(), "mail", "one", w.now))
		if jobs := w.claim("w1", "mail", 5); len(jobs) != 0 {
			w.Errorf("the same configuration let %d go", len(jobs))
		}
		w.ok(w.Configured(w.ctx(), "mail", "two", w.now))
		if status, err := w.Channel(w.ctx(), "mail"); err != nil || !status.Failing || !status.RetryAt.Equal(w.now) || status.Reason != "401" {
			w.Errorf("%+v, %v", status, err)
		}
		if got := w.delivery(job.Delivery.ID).NextAttemptAt; !got.Equal(w.now) {
			w.Errorf("it goes at %v", got)
		}
		w.one("w1", "mail")
	},
	"channel: one that was never heard of works": func(w *world) {
		if status, err := w.Channel(w.ctx(), "mail"); err != nil || status != (alert.ChannelStatus{}) {
			w.Errorf("%+v, %v", status, err)
		}
	},
}

// notice is an announcement on one channel.
func (w *world) notice(channel string) *alert.Notice {
	const subject = "channel:mail@2026-03-01T12:00:00Z"
	a := alert.Alert{
		ID: alert.ID(subject, 0, "default", 0, alert.EventFailed), Subject: subject, Rule: "default",
		Event: alert.EventFailed, Detail: "mail is refused: 401", CreatedAt: w.now,
	}
	return &alert.Notice{Alert: a, Deliveries: []alert.Delivery{alert.NewDelivery(channel, channel, "default", []string{a.ID}, w.now)}}
}
