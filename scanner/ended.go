package scanner

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// decideEnded tells that the watch of an item's epoch has ended: to whoever
// heard of its expiry, under the rule that asked for that, once each.
func decideEnded(rules []Rule, c alert.Candidate, now time.Time) Decision {
	var d Decision
	for _, told := range c.Told {
		target, ok := reaching(rules, c.Item, told)
		if !told.Heard || !ok {
			continue
		}
		a := endedAlert(c, told.Rule, now)
		if !slices.ContainsFunc(d.Alerts, func(o alert.Alert) bool { return o.ID == a.ID }) {
			d.Alerts = append(d.Alerts, a)
		}
		d.Tells = append(d.Tells, Tell{Alert: a, Channel: told.Channel, Recipient: told.Recipient, Single: target.Single})
	}
	return d
}

// reaching returns a target of any rule by which a recipient is still told: an
// address that was taken out of the configuration gets nothing more.
func reaching(rules []Rule, it alert.Item, told alert.Told) (Target, bool) {
	for i := range rules {
		for _, t := range rules[i].AllTargets() {
			if t.Channel == told.Channel && slices.Contains(t.recipients(it), told.Recipient) {
				return t, true
			}
		}
	}
	return Target{}, false
}

// AllTargets returns the targets of all thresholds.
func (r *Rule) AllTargets() []Target {
	all := slices.Clip(r.Targets)
	for _, e := range r.Escalate {
		all = append(all, e.Targets...)
	}
	return all
}

func endedAlert(c alert.Candidate, rule string, now time.Time) alert.Alert {
	return alert.Alert{
		ID:      alert.ID(c.Item.ID, c.Ended.Epoch, rule, 0, c.Ended.Event),
		Subject: c.Item.ID, ItemID: c.Item.ID, Epoch: c.Ended.Epoch, Rule: rule, Event: c.Ended.Event, CreatedAt: now,
	}
}
