package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// alertingTests are about the policies and destinations that the API makes.
var alertingTests = map[string]func(*world){
	"alerting: a policy is stored whole, changed, and deleted, each with its audit row": func(w *world) {
		p := alerting.Policy{
			ID: uuid.NewString(), Name: "ends soon", Description: "words", Enabled: true, CreatedAt: w.now, UpdatedAt: w.now,
			Mechanisms: alerting.Mechanisms{Email: []string{"b@example.com", "a@example.com"}, Webhooks: []string{"2", "1"}, PagerDuty: []string{"3"}},
			Filters:    alerting.Filters{Kinds: []alert.Kind{alert.KindCA}, Before: []time.Duration{60 * alert.Day, 0}, Labels: map[string]string{"team": "payments"}},
		}
		w.raises(true, func() { w.putPolicy(p) })
		if diff := cmp.Diff([]alerting.Policy{p}, w.alerting().Policies); diff != "" {
			w.Error(diff)
		}
		w.raises(false, func() { w.putPolicy(p) }) // the same again
		p.Enabled, p.Filters, p.Mechanisms, p.UpdatedAt = false, alerting.Filters{}, alerting.Mechanisms{Email: []string{"c@example.com"}}, w.now.Add(time.Hour)
		w.raises(true, func() { w.putPolicy(p) })
		if diff := cmp.Diff([]alerting.Policy{p}, w.alerting().Policies); diff != "" {
			w.Error(diff)
		}
		w.raises(true, func() { w.ok(w.DeletePolicy(w.ctx(), p.ID, func(alerting.Policy) error { return nil }, actor)) })
		w.fails(w.DeletePolicy(w.ctx(), p.ID, nil, actor), fault.NotFound, "no_policy")
		if got := w.actions(); !slices.Equal(got, []string{"alerting.policy.create", "alerting.policy.update", "alerting.policy.delete"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"alerting: what the decision or the check refuses changes nothing": func(w *world) {
		p := w.policy("first")
		d := w.destination("hook")
		w.raises(false, func() {
			_, err := w.PutPolicy(w.ctx(), func(now alerting.Stored) (alerting.Policy, error) {
				if _, known := now.Policy(p.ID); !known || len(now.Destinations) != 1 {
					w.Errorf("it is shown %+v", now)
				}
				return alerting.Policy{}, errCheck
			}, actor)
			w.fails(err, fault.Conflict, "check")
			_, err = w.PutDestination(w.ctx(), func(alerting.Stored) (alerting.Destination, error) { return d, errCheck }, actor)
			w.fails(err, fault.Conflict, "check")
			w.fails(w.DeletePolicy(w.ctx(), p.ID, func(alerting.Policy) error { return errCheck }, actor), fault.Conflict, "check")
			_, err = w.DeleteDestination(w.ctx(), d.ID, func(alerting.Destination) error { return errCheck }, actor)
			w.fails(err, fault.Conflict, "check")
			_, err = w.PutPolicy(w.ctx(), func(alerting.Stored) (alerting.Policy, error) {
				return alerting.Policy{ID: uuid.NewString(), Name: "first"}, nil
			}, actor)
			w.fails(err, fault.Conflict, "name_in_use")
			_, err = w.PutDestination(w.ctx(), func(alerting.Stored) (alerting.Destination, error) {
				return alerting.Destination{ID: uuid.NewString(), Name: "hook"}, nil
			}, actor)
			w.fails(err, fault.Conflict, "name_in_use")
		})
	},
	"alerting: an endpoint is sealed, and opened only when that is asked for": func(w *world) {
		d := w.destination("hook")
		if got := w.alerting().Destinations; len(got) != 1 || got[0].Endpoint != (alerting.Endpoint{}) || got[0].Name != "hook" {
			w.Errorf("closed: %+v", got)
		}
		open, err := w.OpenAlerting(w.ctx())
		w.ok(err)
		if diff := cmp.Diff([]alerting.Destination{d}, open.Destinations); diff != "" {
			w.Error(diff)
		}
		d.Endpoint.Secret, d.UpdatedAt = "another", w.now.Add(time.Millisecond)
		w.raises(true, func() { w.putDestination(d) })
		if open, err = w.OpenAlerting(w.ctx()); err != nil || open.Destinations[0].Endpoint.Secret != "another" {
			w.Errorf("%v", err)
		}
		entries, err := w.Audit(w.ctx(), inventory.AuditFilter{})
		w.ok(err)
		if trail := fmt.Sprint(entries); strings.Contains(trail, "another") || strings.Contains(trail, "/certs") || !strings.Contains(trail, "hooks.example.com") {
			w.Errorf("the audit trail tells %s", trail)
		}
	},
	"alerting: a destination knows its last success and failure": func(w *world) {
		d := w.destination("hook")
		w.queue("hook", 2)
		w.settle("w1", w.one("w1", "hook").Delivery.ID, alert.Outcome{State: alert.StateSent})
		success := w.now
		w.now = w.now.Add(time.Minute)
		w.settle("w1", w.one("w1", "hook").Delivery.ID, alert.Outcome{
			State: alert.StatePending, NextAttemptAt: w.now, Error: "answered 404", Channel: &alert.ChannelStatus{Failing: true, Since: w.now, RetryAt: w.now},
		})
		got := w.alerting().Destinations[0]
		if got.LastSuccess == nil || !got.LastSuccess.Equal(success) || got.LastFailure == nil || !got.LastFailure.Equal(w.now) || got.Version() != d.Version() {
			w.Errorf("%+v", got)
		}
	},
	"alerting: a destination that is renamed keeps what waits for it and what it was told": func(w *world) {
		d := w.destination("hook")
		w.queue("hook", 1)
		w.ok(w.Configured(w.ctx(), "hook", "hash", w.now))
		d.Name, d.UpdatedAt = "renamed", w.now
		w.putDestination(d)
		if got := w.one("w1", "renamed").Delivery; got.Channel != "renamed" || got.Recipient != "renamed" {
			w.Errorf("%+v", got)
		}
		if told := w.told(); !slices.Equal(told, []string{"renamed/renamed"}) {
			w.Errorf("told are %v", told)
		}
	},
	"alerting: a policy that is renamed keeps what it sent": func(w *world) {
		p := w.policy("default") // by whose name the deliveries go
		w.queue("mail", 1)
		p.Name, p.UpdatedAt = "renamed", w.now
		w.putPolicy(p)
		if d := w.deliveries(); d[0].Rule != "renamed" {
			w.Errorf("%+v", d)
		}
	},
	"alerting: with a destination goes what waits for it, what it was told and its place in policies": func(w *world) {
		d := w.destination("hook")
		p := w.policy("both", d.ID, "declared")
		only := w.policy("only", d.ID)
		w.policy("other", "declared")
		w.queue("hook", 2)
		w.queue("mail", 1)
		sent := w.one("w1", "hook")
		w.settle("w1", sent.Delivery.ID, alert.Outcome{State: alert.StateSent})
		sending := w.one("w1", "hook")
		w.raises(true, func() {
			policies, err := w.DeleteDestination(w.ctx(), d.ID, func(alerting.Destination) error { return nil }, actor)
			w.ok(err)
			if len(policies) != 2 || policies[0].ID != p.ID || policies[1].ID != only.ID || !slices.Contains(policies[0].Mechanisms.Webhooks, d.ID) {
				w.Errorf("it was taken from %+v", policies)
			}
		})
		if got := w.delivery(sent.Delivery.ID).State; got != alert.StateSent {
			w.Errorf("what was sent is %s", got)
		}
		if got := w.delivery(sending.Delivery.ID).State; got != alert.StateCancelled {
			w.Errorf("what was being sent is %s", got)
		}
		counts, err := w.DeliveryCounts(w.ctx())
		w.ok(err)
		if counts[alert.StatePending] != 1 {
			w.Errorf("%v", counts)
		}
		w.fails(w.Settle(w.ctx(), "w1", sending.Delivery.ID, alert.Outcome{State: alert.StateSent, At: w.now}), fault.Conflict, "lease_lost")
		if told := w.told(); !slices.Equal(told, []string{"mail/mail"}) {
			w.Errorf("told are %v", told)
		}
		stored := w.alerting()
		if len(stored.Destinations) != 0 || !slices.Equal(stored.Policies[0].Mechanisms.Webhooks, []string{"declared"}) ||
			len(stored.Policies[1].Mechanisms.Webhooks) != 0 || len(stored.Policies[2].Mechanisms.Webhooks) != 1 || stored.Policies[0].Version() == p.Version() {
			w.Errorf("left is %+v", stored)
		}
		_, err = w.DeleteDestination(w.ctx(), d.ID, nil, actor)
		w.fails(err, fault.NotFound, "no_destination")
	},
	"alerting: what was sent is paged, the newest first, with its most urgent entries": func(w *world) {
		for range alerting.SentEntries + 5 {
			w.addClient("client", 20)
		}
		w.scan(w.tell("mail"))
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		for range 3 {
			w.now = w.now.Add(time.Hour)
			w.queue("mail", 1)
			w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		}
		w.queue("mail", 1) // is not sent
		list, total, err := w.SentDeliveries(w.ctx(), alerting.Span{Limit: 2, Offset: 2})
		w.ok(err)
		if total != 4 || len(list) != 2 || list[0].Delivery.SettledAt.Before(*list[1].Delivery.SettledAt) {
			w.Fatalf("%d of %d", len(list), total)
		}
		if m := list[1]; m.Total != alerting.SentEntries+5 || len(m.Entries) != alerting.SentEntries || m.Entries[0].Item == nil {
			w.Errorf("%d entries of %d", len(m.Entries), m.Total)
		}
		_, total, err = w.SentDeliveries(w.ctx(), alerting.Span{Since: Start, Before: *list[0].Delivery.SettledAt, Limit: 9})
		w.ok(err)
		if total != 0 {
			w.Errorf("bounds are not part of the span: %d", total)
		}
	},
}

func (w *world) alerting() alerting.Stored {
	w.Helper()
	stored, err := w.Alerting(w.ctx())
	w.ok(err)
	return stored
}

// raises checks whether an act raises the alerting generation, and leaves the
// trust generation as it is.
func (w *world) raises(want bool, act func()) {
	w.Helper()
	before, err := w.AlertingGeneration(w.ctx())
	w.ok(err)
	w.bumps(false, act)
	after, err := w.AlertingGeneration(w.ctx())
	w.ok(err)
	if (after > before) != want || w.alerting().Generation != after {
		w.Errorf("the alerting generation went from %d to %d", before, after)
	}
}

func (w *world) putPolicy(p alerting.Policy) {
	w.Helper()
	_, err := w.PutPolicy(w.ctx(), func(alerting.Stored) (alerting.Policy, error) { return p, nil }, actor)
	w.ok(err)
}

// policy stores a policy that tells destinations.
func (w *world) policy(name string, destinations ...string) alerting.Policy {
	w.Helper()
	w.now = w.now.Add(time.Millisecond) // what is stored is told in this order
	p := alerting.Policy{ID: uuid.NewString(), Name: name, Enabled: true, CreatedAt: w.now, UpdatedAt: w.now, Mechanisms: alerting.Mechanisms{Webhooks: destinations}}
	w.putPolicy(p)
	return p
}

func (w *world) putDestination(d alerting.Destination) {
	w.Helper()
	_, err := w.PutDestination(w.ctx(), func(alerting.Stored) (alerting.Destination, error) { return d, nil }, actor)
	w.ok(err)
}

func (w *world) destination(name string) alerting.Destination {
	w.Helper()
	d := alerting.Destination{
		ID: uuid.NewString(), Name: name, Type: alerting.TypeGeneric, CreatedAt: w.now, UpdatedAt: w.now,
		Endpoint: alerting.Endpoint{URL: "https://hooks.example.com/certs", Secret: "s3cret"},
	}
	w.putDestination(d)
	return d
}

// told returns who was told of anything active, as channel/recipient.
func (w *world) told() []string {
	w.Helper()
	candidates, err := w.Preview(w.ctx(), w.now, 1000*alert.Day)
	w.ok(err)
	var told []string
	for _, c := range candidates {
		for _, t := range c.Told {
			told = append(told, t.Channel+"/"+t.Recipient)
		}
	}
	slices.Sort(told)
	return slices.Compact(told)
}
