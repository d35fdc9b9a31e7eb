package storetest

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
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

// used fails unless the item is superseded and in use, in that epoch.
func (w *world) used(id string, epoch int) {
	w.Helper()
	if w.watched(id, alert.Superseded, epoch); w.item(id).UsedAt == nil {
		w.Errorf("at %s the item is not in use", w.now.Sub(Start))
	}
}

// unused fails unless the item is superseded and out of use, in that epoch.
func (w *world) unused(id string, epoch int) {
	w.Helper()
	if w.watched(id, alert.Superseded, epoch); w.item(id).UsedAt != nil {
		w.Errorf("at %s the item is in use", w.now.Sub(Start))
	}
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
	w.used(old.ID, 2)
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
			w.unused(old.ID, 1)
			w.ok(w.SetTrust(w.ctx(), old.ID, alert.Revoked, actor)) // and back: it is superseded since then
			w.ok(w.SetTrust(w.ctx(), old.ID, alert.Trusted, actor))
		}
		w.now = superseded.Add(20 * alert.Day / 3)
		w.see(c)
		w.used(old.ID, 2)
		w.watched(next.ID, alert.Active, 1)
		if got := w.replacement(old.ID); got != next.ID {
			w.Errorf("its place was taken by %q, want %q", got, next.ID)
		}
		w.tells([]string{"expiring device"})
		w.see(c)
		w.tells()
		w.used(old.ID, 2)

		w.later(alert.UsedWithin)
		w.tells() // to the second
		w.used(old.ID, 2)
		w.later(time.Second)
		w.tells() // the end of a watch waits a moment for others
		w.unused(old.ID, 2)
		if got := w.item(old.ID); got.ReplacedBy != next.ID || w.replacement(old.ID) != "" {
			w.Errorf("the old item is %+v", got)
		}
		w.later(time.Minute)
		w.tells([]string{"renewed device"})
		actions := w.actions()
		actions = slices.DeleteFunc(actions, func(a string) bool { return a != "item.in_use" && a != "item.unused" })
		if !slices.Equal(actions, []string{"item.in_use", "item.unused"}) {
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
			w.unused(old.ID, 1)
		}
		w.later(time.Second)
		w.see(c)
		w.used(old.ID, 2)
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
		w.used(oldID, 2)
		w.unused(sameID, 1)
		if got := w.replacement(oldID); got != next.ID {
			w.Errorf("its place was taken by %q, want %q", got, next.ID)
		}
		w.later(alert.UsedWithin)
		w.see(client(rekeyed), rekeyed)
		w.byRules(mailRule)
		w.used(oldID, 2)
		w.later(time.Second)
		w.byRules(mailRule)
		w.unused(oldID, 2)
	},
	"in use: what was decided about stays decided": func(w *world) {
		c, _, old, next := w.stillUsed()
		w.ok(w.SetTrust(w.ctx(), old.ID, alert.Revoked, actor))
		w.see(c)
		if got := w.item(old.ID); got.UsedAt != nil || got.Epoch != 2 {
			w.Errorf("the revoked item is %+v", got)
		}
		w.ok(w.SetTrust(w.ctx(), old.ID, alert.Trusted, actor))
		w.unused(old.ID, 2)
		w.see(c)
		w.used(old.ID, 3)
		w.ok(w.SetWatch(w.ctx(), old.ID, alert.Ignored, actor))
		w.see(c)
		w.watched(old.ID, alert.Ignored, 3)
		if w.item(next.ID).Watch != alert.Active {
			w.Error("the new one is not watched")
		}
	},
	"in use: when its successor goes, it is what is watched, and is told of no more than before": func(w *world) {
		_, _, old, next := w.stillUsed()
		w.tells([]string{"expiring device"})
		w.ok(w.SetTrust(w.ctx(), next.ID, alert.Revoked, actor))
		w.watched(old.ID, alert.Active, 2)
		w.tells()
		w.later(alert.UsedWithin + time.Second)
		w.byRules(mailRule)
		w.watched(old.ID, alert.Active, 2)
		w.ok(w.SetTrust(w.ctx(), next.ID, alert.Trusted, actor))
		w.unused(old.ID, 2)
	},
	"in use: a renewal of its successor changes nothing": func(w *world) {
		c, fresh, old, next := w.stillUsed()
		third := w.replace(next.ID, w.renewed(c, w.now.Add(-time.Minute)))
		fourth := w.replace(third.ID, w.renewed(c, w.now.Add(time.Hour)))
		w.later(time.Hour)
		w.see(c)
		w.byRules(mailRule)
		w.used(old.ID, 2)
		if got := w.replacement(old.ID); got != fourth.ID {
			w.Errorf("its place was taken by %q, want %q", got, fourth.ID)
		}
		_, err := w.Replace(w.ctx(), inventory.Replacement{OldItemID: old.ID, Certificate: w.renewed(c, w.now).Certificate, Source: upload("x"), Actor: actor})
		w.fails(err, fault.Conflict, "superseded")
		if again := w.replace(old.ID, fresh); again.ID != next.ID {
			w.Errorf("the same renewal again is %+v", again)
		}
	},
	"in use: what ends in use is not told to be renewed": func(w *world) {
		c, _, old, _ := w.stillUsed()
		w.tells([]string{"expiring device"})
		w.now = old.NotAfter
		w.see(c)
		w.later(20 * alert.Day)
		w.tells()
		w.used(old.ID, 2)
	},
	"in use: the last of a line of CAs with the key is what is needed": func(w *world) {
		validity := func(days int) certtest.Option {
			return certtest.Validity(w.now.Add(-alert.Day), w.now.Add(time.Duration(days)*alert.Day))
		}
		first := w.ca("root", 30)
		second := first.Renew(validity(40))
		rekeyed := certtest.NewCA(certtest.CommonName("root"), validity(100))
		w.addBundle("root", nil, first)
		firstID := w.itemOf(first)
		secondID := w.replace(firstID, second).ID
		third := w.replace(secondID, rekeyed)
		back := w.replace(third.ID, first.Renew(validity(200)))
		client := first.Issue(certtest.Client(), validity(30))
		w.later(15 * alert.Day)
		w.see(client, first)
		w.unused(firstID, 1)
		w.unused(secondID, 1)
		w.ok(w.SetTrust(w.ctx(), back.ID, alert.Removed, actor))
		w.see(client, first)
		w.unused(firstID, 1)
		w.used(secondID, 2)
	},
}
