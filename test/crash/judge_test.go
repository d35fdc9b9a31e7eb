package crash_test

import (
	"slices"
	"strings"
	"time"
)

// An alert is one as the store has it.
type alert struct {
	ID     string `json:"id"`
	ItemID string `json:"item_id"`
	Event  string `json:"event"`
}

// A trial holds what arrived against what the store says.
type trial struct {
	*world

	told    map[string]delivery
	alerts  map[string]alert
	clients map[string]*client // by item id
	taken   map[string]int     // how often a delivery was taken
}

// judge fails the test for whatever went wrong.
func (w *world) judge() {
	w.t.Helper()
	c := trial{world: w, told: map[string]delivery{}, alerts: map[string]alert{}, clients: map[string]*client{}, taken: map[string]int{}}
	for _, d := range w.deliveries() {
		c.told[d.ID] = d
	}
	var alerts []alert
	w.json(&alerts, "alert", "list", "--limit", "1000000")
	for _, a := range alerts {
		c.alerts[a.ID] = a
	}
	for _, cl := range w.clients {
		c.clients[cl.id] = cl
	}
	for _, r := range w.ledger.receipts {
		c.isKnown(r)
		c.isNotRenewed(r)
		if r.accepted {
			c.taken[r.id]++
		}
	}
	c.isSettled()
	c.isToldOnce()
	if out := string(w.command("db", "check")); !strings.Contains(out, "is in order") {
		w.t.Errorf("the store is not sound: %s", out)
	}
	c.sum()
}

// isKnown holds that a message bears the id of the one delivery that tells
// what it tells: a second one about the same bears the same.
func (c *trial) isKnown(r receipt) {
	d, ok := c.told[r.id]
	switch {
	case !ok:
		c.t.Errorf("%s had a message with the id %q, which is no delivery's", r.channel, r.id)
		return
	case d.Channel != r.channel || d.Recipient != r.recipient:
		c.t.Errorf("delivery %s to %s by %s came to %s by %s", d.ID, d.Recipient, d.Channel, r.recipient, r.channel)
	}
	for _, id := range r.alerts {
		if !slices.Contains(d.Alerts, id) {
			c.t.Errorf("delivery %s bore the alert %s, which is not its own", d.ID, id)
		}
	}
	if slices.ContainsFunc(d.Alerts, func(id string) bool { return c.alerts[id].ItemID == "" }) {
		return // a notice that another delivery died names what that told
	}
	for _, name := range r.names {
		if !slices.ContainsFunc(d.Alerts, func(id string) bool { return c.nameOf(id) == name }) {
			c.t.Errorf("delivery %s spoke of %s, which is in none of its alerts", d.ID, name)
		}
	}
}

func (c *trial) nameOf(alertID string) string {
	if cl := c.clients[c.alerts[alertID].ItemID]; cl != nil {
		return cl.name
	}
	return ""
}

// isNotRenewed holds that a message speaks of the end of no certificate whose
// renewal had been answered before it was claimed. Claimed before is what was
// being sent when that was asked right after the answer, for as long as that
// daemon lived.
func (c *trial) isNotRenewed(r receipt) {
	for _, id := range c.told[r.id].Alerts {
		a := c.alerts[id]
		cl := c.clients[a.ItemID]
		if a.Event != "expiring" || cl == nil || cl.renewal == nil || !slices.Contains(r.names, cl.name) {
			continue
		}
		late := r.begun.After(cl.renewal.looked) && !cl.renewal.sending[r.id]
		next, ok := c.nextLife(cl.renewal)
		if late || ok && r.connected.After(next) {
			c.t.Errorf("delivery %s spoke of %s %s after its renewal was answered", r.id, cl.name, r.begun.Sub(cl.renewal.answered))
		}
	}
}

// nextLife is when the first daemon after a renewal's answer listened.
func (c *trial) nextLife(r *renewal) (at time.Time, ok bool) {
	for _, d := range c.lives {
		if ready := d.readyAt(); ready.After(r.answered) {
			return ready, true
		}
	}
	return time.Time{}, false
}

// isSettled holds that every delivery was taken by its receiver, or was
// cancelled because all that it told of was renewed.
func (c *trial) isSettled() {
	for _, d := range c.told {
		switch {
		case d.State == "sent" && c.taken[d.ID] == 0:
			c.t.Errorf("delivery %s to %s by %s is sent, and never arrived", d.ID, d.Recipient, d.Channel)
		case d.State == "cancelled" && slices.ContainsFunc(d.Alerts, func(id string) bool { return !c.isRenewed(id) }):
			c.t.Errorf("delivery %s to %s by %s is cancelled, and something it told of was not renewed", d.ID, d.Recipient, d.Channel)
		case d.State != "sent" && d.State != "cancelled":
			c.t.Errorf("delivery %s to %s by %s is %s", d.ID, d.Recipient, d.Channel, d.State)
		}
	}
}

func (c *trial) isRenewed(alertID string) bool {
	cl := c.clients[c.alerts[alertID].ItemID]
	return cl != nil && cl.renewal != nil
}

// isToldOnce holds that of each certificate every recipient has one delivery,
// which was sent unless it was renewed.
func (c *trial) isToldOnce() {
	type place struct{ item, channel, recipient string }
	found := map[place][]delivery{}
	for _, d := range c.told {
		for _, id := range d.Alerts {
			if a := c.alerts[id]; a.Event == "expiring" {
				p := place{a.ItemID, d.Channel, d.Recipient}
				found[p] = append(found[p], d)
			}
		}
	}
	for _, cl := range c.clients {
		for _, to := range []place{{cl.id, "slack", "slack"}, {cl.id, "hook", "hook"}, {cl.id, "mail", mailboxes[0]}, {cl.id, "mail", mailboxes[1]}} {
			switch list := found[to]; {
			case len(list) > 1:
				c.t.Errorf("%s has %d deliveries to %s by %s", cl.name, len(list), to.recipient, to.channel)
			case cl.renewal == nil && (len(list) == 0 || list[0].State != "sent"):
				c.t.Errorf("nobody told %s by %s of %s: %+v", to.recipient, to.channel, cl.name, list)
			}
		}
	}
}

// sum says what the run was like.
func (c *trial) sum() {
	again, renewed, drawn := 0, 0, [moods]int{}
	for _, n := range c.taken {
		again += n - 1
	}
	for _, cl := range c.clients {
		if cl.renewal != nil {
			renewed++
		}
	}
	for _, r := range c.receivers {
		for m, n := range r.drawn {
			drawn[m] += n
		}
	}
	c.t.Logf("%d lives, %d certificates, %d renewed; %d deliveries, %d messages, of which %d were taken a second time", len(c.lives), len(c.clients), renewed, len(c.told), len(c.ledger.receipts), again)
	c.t.Logf("moods: taken %d, late %d, without an answer %d; hung up %d and %d, busy %d, limited %d, refused %d, forbidden %d",
		drawn[take], drawn[takeLate], drawn[takeMute], drawn[hangUp], drawn[hangUpNow], drawn[busy], drawn[limited], drawn[refuse], drawn[forbid])
	if len(c.clients) != items || renewed != items/renewedOf {
		c.t.Errorf("%d certificates and %d renewals: the run says too little", len(c.clients), renewed)
	}
}
