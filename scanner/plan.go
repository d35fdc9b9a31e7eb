package scanner

import (
	"cmp"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// maxSingle is how many messages one scan gives a recipient whose format
// carries one item each; the rest goes as one summary for each rule.
const maxSingle = 20

// maxEnded is how much of what is over one summary holds, where a format carries
// one item each: each of them may have something to close (PagerDuty takes some
// 120 events a minute), and what does not fit would stay open.
const maxEnded = 100

// NewPlan decides every candidate at now and gathers what is to be told into
// deliveries: one digest for each rule, channel and recipient, and another one
// of what was renewed, revoked, removed or ignored. It also returns who is told of
// what, most urgent first. It is pure: the same input gives the same plan, in the
// same order.
func NewPlan(rules []Rule, candidates []alert.Candidate, now time.Time) (alert.Plan, []Telling) {
	plan := alert.Plan{Next: make(map[string]time.Time, len(candidates))}
	var tellings []Telling
	for _, c := range candidates {
		d := Decide(rules, c, now)
		plan.Alerts = append(plan.Alerts, d.Alerts...)
		if c.Ended == nil {
			plan.Next[c.Item.ID] = d.Next
		}
		for _, t := range d.Tells {
			tellings = append(tellings, Telling{Tell: t, Item: c.Item})
		}
	}
	slices.SortStableFunc(tellings, byUrgency)
	for _, t := range tellings {
		if t.ended() {
			continue
		}
		plan.Told = append(plan.Told, alert.ToldMark{
			ItemID: t.Item.ID, Epoch: t.Item.Epoch, Channel: t.Channel, Recipient: t.Recipient, Threshold: t.Alert.Threshold, Rule: t.Alert.Rule,
		})
	}
	plan.Deliveries = gather(tellings, now)
	return plan, tellings
}

// A Telling is one recipient to be told of one alert about one item.
type Telling struct {
	Tell

	Item alert.Item
}

// ended reports whether it tells that something is over.
func (t Telling) ended() bool { return t.Alert.Event != alert.EventExpiring }

func byUrgency(a, b Telling) int {
	return cmp.Or(
		a.Item.NotAfter.Compare(b.Item.NotAfter),
		cmp.Compare(a.Item.ID, b.Item.ID),
	)
}

// A message is what one delivery is made of: a recipient and, for a digest, a
// rule; for a single, its one alert. What is over is told apart: nobody reads
// on in a good message to find the bad one.
type message struct {
	rule, channel, recipient, alert string
	ended                           bool
	part                            int // of what is over: see maxEnded
}

// gather makes deliveries of tellings, in the order in which they come.
func gather(tellings []Telling, now time.Time) []alert.Delivery {
	var order []message
	alerts := map[message][]string{}
	singles := map[message]int{}
	for _, t := range tellings {
		m := message{rule: t.Alert.Rule, channel: t.Channel, recipient: t.Recipient, ended: t.ended()}
		to := message{channel: t.Channel, recipient: t.Recipient, ended: t.ended()}
		switch {
		case t.Single && singles[to] < maxSingle:
			m.alert = t.Alert.ID
		case t.Single && t.ended():
			m.part = (singles[to] - maxSingle) / maxEnded
		}
		singles[to]++
		if alerts[m] == nil {
			order = append(order, m)
		}
		alerts[m] = append(alerts[m], t.Alert.ID)
	}
	deliveries := make([]alert.Delivery, 0, len(order))
	for _, m := range order {
		deliveries = append(deliveries, alert.NewDelivery(m.channel, m.recipient, m.rule, alerts[m], now))
	}
	return deliveries
}
