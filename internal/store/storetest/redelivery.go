package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
)

var redeliveryTests = map[string]func(*world){
	"delivery: a dead one can be tried again from the start": func(w *world) {
		w.queue("mail", 1)
		id := w.one("w1", "mail").Delivery.ID
		w.fails(w.RetryDelivery(w.ctx(), id, w.now, actor), fault.Conflict, "not_retriable")
		failing := alert.ChannelStatus{Failing: true, RetryAt: w.now.Add(time.Hour), Since: w.now}
		w.settle("w1", id, alert.Outcome{State: alert.StateDead, Error: "no", Channel: &failing})
		w.now = w.now.Add(time.Minute)
		w.ok(w.RetryDelivery(w.ctx(), id[:8], w.now, actor))
		d, attempts, err := w.Delivery(w.ctx(), id)
		w.ok(err)
		if d.State != alert.StatePending || d.Attempts != 0 || d.SettledAt != nil || !d.NextAttemptAt.Equal(w.now) || len(attempts) != 1 {
			w.Errorf("it is %+v, %v", d, attempts)
		}
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		w.fails(w.RetryDelivery(w.ctx(), id, w.now, actor), fault.Conflict, "not_retriable")
		w.fails(w.RetryDelivery(w.ctx(), "ffffffff", w.now, actor), fault.NotFound, "")
	},
	"delivery: all that is dead, or all of a channel, can be tried again": func(w *world) {
		for _, channel := range []string{"mail", "slack"} {
			w.queue(channel, 4)
			jobs := w.claim("w1", channel, 3)
			w.settle("w1", jobs[0].Delivery.ID, alert.Outcome{State: alert.StateDead, Error: "no"})
			w.settle("w1", jobs[1].Delivery.ID, alert.Outcome{State: alert.StateSent})
			w.settle("w1", jobs[2].Delivery.ID, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: w.now.Add(time.Hour)})
		}
		w.retries(store.DeliveryFilter{State: alert.StateSent}, 0)
		w.retries(store.DeliveryFilter{State: alert.StateDead, Channel: "mail"}, 1)
		w.retries(store.DeliveryFilter{State: alert.StateDead}, 1)
		w.retries(store.DeliveryFilter{Channel: "mail"}, 3)
		w.retries(store.DeliveryFilter{Channel: "nobody"}, 0)
		if jobs := w.claim("w1", "mail", 9); len(jobs) != 3 {
			w.Errorf("%d go by mail, want 3", len(jobs))
		}
		if jobs := w.claim("w1", "slack", 9); len(jobs) != 2 {
			w.Errorf("%d go by Slack, want 2: what retries keeps its time", len(jobs))
		}
		if n := strings.Count(fmt.Sprint(w.actions()), "delivery.retry"); n != 3 {
			w.Errorf("%d audit rows, want one for each act that changed something", n)
		}
	},
	"delivery: one that waits can be cancelled, and is not sent": func(w *world) {
		w.queue("mail", 3)
		waiting := w.one("w1", "mail").Delivery.ID
		w.fails(w.CancelDelivery(w.ctx(), waiting, actor), fault.Conflict, "not_waiting")
		w.settle("w1", waiting, alert.Outcome{State: alert.StateRetrying, NextAttemptAt: w.now, Error: "busy"})
		w.ok(w.CancelDelivery(w.ctx(), waiting[:8], actor))
		if d := w.delivery(waiting); d.State != alert.StateCancelled || d.SettledAt == nil || d.LastError != "busy" {
			w.Errorf("it is %+v", d)
		}
		w.fails(w.CancelDelivery(w.ctx(), waiting, actor), fault.Conflict, "not_waiting")
		w.fails(w.CancelDelivery(w.ctx(), "ffffffff", actor), fault.NotFound, "")
		if jobs := w.claim("w1", "mail", 9); len(jobs) != 2 {
			w.Errorf("%d go, want the 2 others", len(jobs))
		}
	},
	"delivery: all that wait for a channel can be cancelled": func(w *world) {
		w.queue("gone", 3)
		w.queue("mail", 1)
		w.settle("w1", w.one("w1", "gone").Delivery.ID, alert.Outcome{State: alert.StateDead, Error: "no"})
		n, err := w.CancelDeliveries(w.ctx(), store.DeliveryFilter{Channel: "gone"}, actor)
		w.ok(err)
		if n != 2 {
			w.Errorf("%d were cancelled, want 2", n)
		}
		if waiting, err := w.Waiting(w.ctx()); err != nil || len(waiting) != 1 || waiting["mail"].Count != 1 {
			w.Errorf("%v, %v", waiting, err)
		}
		counts, err := w.DeliveryCounts(w.ctx())
		w.ok(err)
		if counts[alert.StateCancelled] != 2 || counts[alert.StateDead] != 1 {
			w.Errorf("%v", counts)
		}
	},
	"attempt: each has its time and the counterpart's words, also one that is not counted": func(w *world) {
		w.queue("mail", 1)
		id := w.one("w1", "mail").Delivery.ID
		w.settle("w1", id, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now, Error: "answered 429"})
		w.one("w1", "mail")
		w.settle("w1", id, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now}) // given back untried
		d, attempts, err := w.Delivery(w.ctx(), id)
		w.ok(err)
		if len(attempts) != 1 || attempts[0].Outcome != alert.StatePending || attempts[0].Error != "answered 429" || !attempts[0].At.Equal(w.now) {
			w.Errorf("the attempts are %+v", attempts)
		}
		if d.Attempts != 0 || d.LastError != "answered 429" {
			w.Errorf("it is %+v", d)
		}
	},
	"attempt: the last hundred are kept": func(w *world) {
		w.queue("mail", 1)
		var id string
		for i := range 120 {
			id = w.one("w1", "mail").Delivery.ID
			w.settle("w1", id, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now, Error: fmt.Sprint("answer ", i)})
		}
		_, attempts, err := w.Delivery(w.ctx(), id)
		w.ok(err)
		if len(attempts) != 100 || attempts[0].Error != "answer 20" || attempts[99].Error != "answer 119" {
			w.Errorf("%d attempts, from %+v", len(attempts), attempts[0])
		}
	},
	"channel: it is known when it last accepted a message": func(w *world) {
		w.ok(w.Configured(w.ctx(), "never", "hash", w.now))
		w.queue("mail", 2)
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		sent := w.now
		w.now = w.now.Add(time.Hour)
		failing := alert.ChannelStatus{Failing: true, Reason: "401", Since: w.now, RetryAt: w.now, Probes: 1}
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StatePending, NextAttemptAt: w.now, Error: "401", Channel: &failing})
		statuses, err := w.ChannelStatuses(w.ctx())
		w.ok(err)
		if got := statuses["mail"]; !got.LastSent.Equal(sent) || !got.Failing {
			w.Errorf("mail is %+v", got)
		}
		if got, ok := statuses["never"]; !ok || !got.LastSent.IsZero() {
			w.Errorf("the one that was never used is %+v", got)
		}
		if one, err := w.Channel(w.ctx(), "mail"); err != nil || one != statuses["mail"] {
			w.Errorf("%+v, %v", one, err)
		}
	},
}

// retries holds that an operator's word is about so many deliveries.
func (w *world) retries(f store.DeliveryFilter, want int64) {
	w.Helper()
	n, err := w.RetryDeliveries(w.ctx(), f, w.now, actor)
	w.ok(err)
	if n != want {
		w.Errorf("%+v: %d are tried again, want %d", f, n, want)
	}
}
