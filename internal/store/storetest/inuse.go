package storetest

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// see records that a certificate is presented now, under the given CAs.
func (w *world) see(c *certtest.Certificate, authorities ...*certtest.Certificate) {
	w.Helper()
	s := sighting(c, "a.example.com", w.now, w.now, 1)
	for _, a := range authorities {
		s.Authorities = append(s.Authorities, cert.Fingerprint(a.Certificate))
	}
	w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{s}))
}

// watched fails unless the item is in that state, by that epoch.
func (w *world) watched(id string, watch alert.Watch, epoch int) {
	w.Helper()
	if got := w.item(id); got.Watch != watch || got.Epoch != epoch || got.Trust != alert.Trusted {
		w.Errorf("at %s the item is %s in its epoch %d, want %s in %d", w.now.Sub(Start), got.Watch, got.Epoch, watch, epoch)
	}
}

// replacement returns the id of what took an item's place while it is in use.
func (w *world) replacement(id string) string {
	w.Helper()
	facts, err := w.Facts(w.ctx(), w.item(id), w.now)
	w.ok(err)
	if facts.Replacement == nil {
		return ""
	}
	if len(facts.Successors) > 0 {
		w.Errorf("what took its place is known, and guessed as well: %+v", facts.Successors)
	}
	return facts.Replacement.ID
}

// stillUsed renews a client certificate that has 20 days left, and sees the old
// one after a third of them.
func (w *world) stillUsed() (c, fresh *certtest.Certificate, old, next alert.Item) {
	w.Helper()
	c, old = w.alerted("device")
	fresh = w.renewed(c, w.now.Add(-time.Hour))
	next = w.replace(old.ID, fresh)
	w.later(time.Minute)
	w.tells([]string{"renewed device"})
	w.later(7 * alert.Day)
	w.see(c)
	w.watched(old.ID, alert.Active, 2)
	return c, fresh, old, next
}

var inUseTests = map[string]func(*world){
	"in use: a renewed certificate that is presented long after is told of again, until it is no more": func(w *world) {
		c, old := w.alerted("device")
		superseded := w.now
		next := w.renew(c, old, w.now.Add(-time.Hour))
		w.later(time.Minute)
		w.tells([]string{"renewed device"})
		for _, at := range []time.Duration{0, alert.Day, 20*alert.Day/3 - time.Second} {
			w.now = superseded.Add(at)
			w.see(c)
			w.watched(old.ID, alert.Superseded, 1)
			w.ok(w.SetTrust(w.ctx(), old.ID, alert.Revoked, actor)) // and back: it is superseded since then
			w.ok(w.SetTrust(w.ctx(), old.ID, alert.Trusted, actor))
		}
		w.now = superseded.Add(20 * alert.Day / 3)
		w.see(c)
		w.watched(old.ID, alert.Active, 2)
		w.watched(next.ID, alert.Active, 1)
		if got := w.replacement(old.ID); got != next.ID {
			w.Errorf("its place was taken by %q, want %q", got, next.ID)
		}
		w.tells([]string{"expiring device"})
		w.see(c)
		w.tells()
		w.watched(old.ID, alert.Active, 2)

		w.later(alert.UsedWithin)
		w.tells() // to the second
		w.watched(old.ID, alert.Active, 2)
		w.later(time.Second)
		w.tells() // the end of a watch waits a moment for others
		w.watched(old.ID, alert.Superseded, 2)
		if got := w.item(old.ID); got.ReplacedBy != next.ID || w.replacement(old.ID) != "" {
			w.Errorf("the old item is %+v", got)
		}
		w.later(time.Minute)
		w.tells([]string{"renewed device"})
		actions := w.actions()
		actions = slices.DeleteFunc(actions, func(a string) bool { return a != "item.resume" && a != "item.supersede" })
		if !slices.Equal(actions, []string{"item.supersede", "item.resume", "item.supersede"}) {
			w.Errorf("the audit trail tells %v", actions)
		}
	},
	"in use: a renewal of the last days has two days to arrive": func(w *world) {
		c, old := w.alerted("device")
		w.later(17 * alert.Day)
		w.renew(c, old, w.now.Add(-time.Hour))
		for _, day := range []time.Duration{alert.Day, alert.Day - time.Second} {
			w.later(day)
			w.see(c)
			w.watched(old.ID, alert.Superseded, 1)
		}
		w.later(time.Second)
		w.see(c)
		w.watched(old.ID, alert.Active, 2)
	},
	"in use: a CA is told of for a client that only it lets in": func(w *world) {
		old, rekeyed := w.ca("old", 30), certtest.NewCA(certtest.CommonName("old"), certtest.Validity(w.now, w.now.Add(400*alert.Day)))
		same := w.ca("same", 30)
		for _, root := range []*certtest.Certificate{old, same} {
			w.addBundle(root.Certificate.Subject.CommonName, nil, root)
		}
		client := func(of *certtest.Certificate) *certtest.Certificate {
			return of.Issue(certtest.Client(), certtest.Validity(w.now, w.now.Add(25*alert.Day)))
		}
		ofOld, ofSame := client(old), client(same)
		oldID, sameID := w.itemOf(old), w.itemOf(same)
		next := w.replace(oldID, rekeyed)
		w.replace(sameID, w.renewed(same, w.now))
		w.later(10 * alert.Day)
		w.see(ofOld, old)
		w.see(ofSame, same)
		w.watched(oldID, alert.Active, 2)
		w.watched(sameID, alert.Superseded, 1)
		if got := w.replacement(oldID); got != next.ID {
			w.Errorf("its place was taken by %q, want %q", got, next.ID)
		}
		w.later(alert.UsedWithin)
		w.see(client(rekeyed), rekeyed)
		w.byRules(mailRule)
		w.watched(oldID, alert.Active, 2)
		w.later(time.Second)
		w.byRules(mailRule)
		w.watched(oldID, alert.Superseded, 2)
	},
	"in use: what was decided about stays decided": func(w *world) {
		c, _, old, next := w.stillUsed()
		w.ok(w.SetWatch(w.ctx(), old.ID, alert.Ignored, actor))
		w.see(c)
		w.watched(old.ID, alert.Ignored, 2)
		w.ok(w.SetWatch(w.ctx(), old.ID, alert.Active, actor))
		w.watched(old.ID, alert.Active, 3)
		w.ok(w.SetTrust(w.ctx(), next.ID, alert.Revoked, actor))
		if w.watched(old.ID, alert.Active, 3); w.replacement(old.ID) != "" {
			w.Error("a revoked certificate has taken its place")
		}
		w.later(alert.UsedWithin + time.Second)
		w.byRules(mailRule)
		w.watched(old.ID, alert.Active, 3)
		w.ok(w.SetTrust(w.ctx(), next.ID, alert.Trusted, actor))
		w.watched(old.ID, alert.Superseded, 3)
	},
	"in use: it waits for the last of its line": func(w *world) {
		c, old := w.alerted("device")
		fresh := w.renewed(c, w.now.Add(-time.Hour))
		third := w.replace(w.replace(old.ID, fresh).ID, w.renewed(c, w.now.Add(-time.Minute)))
		w.later(7 * alert.Day)
		w.see(c)
		w.watched(old.ID, alert.Active, 2)
		if got := w.replacement(old.ID); got != third.ID {
			w.Errorf("its place was taken by %q, want %q", got, third.ID)
		}
		w.later(alert.UsedWithin + time.Second)
		w.byRules(mailRule)
		if w.watched(old.ID, alert.Superseded, 2); w.item(old.ID).ReplacedBy != third.ID {
			w.Error("its place was taken by another one")
		}
	},
	"in use: is renewed once more": func(w *world) {
		c, fresh, old, next := w.stillUsed()
		if again := w.replace(old.ID, fresh); again.ID != next.ID {
			w.Errorf("the same renewal again is %+v", again)
		}
		w.watched(old.ID, alert.Active, 2)
		third, err := w.Replace(w.ctx(), inventory.Replacement{ // by a link, which does for one
			OldItemID: old.ID, Certificate: w.renewed(c, w.now.Add(-time.Minute)).Certificate, Once: true, Source: upload("third.pem"), Actor: actor,
		})
		w.ok(err)
		w.watched(old.ID, alert.Superseded, 2)
		if got := w.item(old.ID); got.ReplacedBy != third.ID {
			w.Errorf("the old item is %+v", got)
		}
		w.watched(next.ID, alert.Active, 1)
	},
}
