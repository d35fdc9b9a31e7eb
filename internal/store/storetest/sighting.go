package storetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// sighting is one of a certificate at a host name, so many times between two
// instants.
func sighting(c *certtest.Certificate, hostname string, first, last time.Time, count int) inventory.Sighting {
	return inventory.Sighting{Certificate: c.Certificate, Hostname: hostname, FirstSeen: first, LastSeen: last, Count: count}
}

// due reports whether a scan has something to do now.
func (w *world) due() bool {
	w.Helper()
	due, err := w.HasDue(w.ctx(), w.now)
	w.ok(err)
	return due
}

// looked lets a scan set when an item is due next.
func (w *world) looked(next map[string]time.Time) {
	w.Helper()
	w.ok(w.Scan(w.ctx(), w.now, func([]alert.Candidate) alert.Plan { return alert.Plan{Next: next} }))
}

var sightingTests = map[string]func(*world){
	"sighting: a certificate becomes known, and is due a look": func(w *world) {
		c := certtest.SelfSigned(certtest.CommonName("device"), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{sighting(c, "a.example.com", Start, Start.Add(time.Minute), 3)}))
		item, err := w.Item(w.ctx(), cert.Fingerprint(c.Certificate))
		w.ok(err)
		want := []alert.Source{{Kind: alert.SourceObserved, Reference: "a.example.com", FirstSeen: Start, LastSeen: Start.Add(time.Minute), Count: 3}}
		if diff := cmp.Diff(want, item.Sources); diff != "" {
			w.Error(diff)
		}
		if item.Kind != alert.KindClient || item.Watch != alert.Active || item.Trust != alert.Trusted || item.Epoch != 1 || !w.due() {
			w.Errorf("%+v, due %t", item, w.due())
		}
		if actions := w.actions(); len(actions) > 0 {
			w.Errorf("the audit trail tells %v", actions)
		}
	},
	"sighting: adds up, by host name": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
		_, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		at := func(minutes int) time.Time { return Start.Add(time.Duration(minutes) * time.Minute) }
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{sighting(c, "a.example.com", at(1), at(2), 2), sighting(c, "b.example.com", at(3), at(3), 1)}))
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{sighting(c, "a.example.com", at(5), at(6), 4)}))
		want := []alert.Source{
			{Kind: alert.SourceUpload, Reference: "client.pem", FirstSeen: Start, LastSeen: Start, Count: 1},
			{Kind: alert.SourceObserved, Reference: "a.example.com", FirstSeen: at(1), LastSeen: at(6), Count: 6},
			{Kind: alert.SourceObserved, Reference: "b.example.com", FirstSeen: at(3), LastSeen: at(3), Count: 1},
		}
		items, err := w.Items(w.ctx(), inventory.ItemFilter{})
		w.ok(err)
		if diff := cmp.Diff(want, items[0].Sources); diff != "" {
			w.Error(diff)
		}
	},
	"sighting: changes neither trust nor what somebody decided": func(w *world) {
		var seen []inventory.Sighting
		var items []alert.Item
		for i := range 3 {
			c := certtest.SelfSigned(certtest.CommonName(fmt.Sprint(i)), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
			item, _, err := w.AddItem(w.ctx(), newItem(c))
			w.ok(err)
			items, seen = append(items, item), append(seen, sighting(c, "a.example.com", w.now, w.now, 1))
		}
		w.ok(w.SetWatch(w.ctx(), items[0].ID, alert.Ignored, actor))
		w.ok(w.SetTrust(w.ctx(), items[1].ID, alert.Removed, actor))
		w.ok(w.SetTrust(w.ctx(), items[2].ID, alert.Revoked, actor))
		before, err := w.Generation(w.ctx())
		w.ok(err)
		w.ok(w.RecordSightings(w.ctx(), seen))
		for i, item := range items {
			if is := w.item(item.ID); len(is.Sources) != 2 || is.Epoch != 1 {
				w.Errorf("%d: %+v", i, is)
			}
		}
		if after, err := w.Generation(w.ctx()); err != nil || after != before {
			w.Errorf("the generation goes from %d to %d, %v", before, after, err)
		}
		if w.item(items[0].ID).Watch != alert.Ignored || w.item(items[1].ID).Trust != alert.Removed || w.item(items[2].ID).Trust != alert.Revoked {
			w.Error("a decision was undone")
		}
	},
	"sighting: what was outlived and is seen again is due a look": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(Start, Start.Add(80*alert.Day))) // its last quarter begins on day 60
		see := func() {
			w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{sighting(c, "a.example.com", w.now, w.now, 1)}))
		}
		see()
		id := w.itemOf(c)
		w.looked(map[string]time.Time{id: {}})
		for _, tt := range []struct {
			day int
			due bool
		}{{59, false}, {61, true}, {62, false}} {
			w.now = Start.Add(time.Duration(tt.day) * alert.Day)
			if see(); w.due() != tt.due {
				w.Errorf("on day %d: due %t, want %t", tt.day, w.due(), tt.due)
			}
			w.looked(map[string]time.Time{id: {}})
		}
	},
	"facts: who was seen under a CA within 30 days, the latest first": func(w *world) {
		root, other := w.ca("root", 400), w.ca("other", 400)
		_, _, err := w.AddBundle(w.ctx(), newBundle("root", nil, root))
		w.ok(err)
		for i, ago := range []time.Duration{30 * alert.Day, 3 * alert.Day, time.Hour, 2 * alert.Day, alert.Day, 30*alert.Day + time.Second} {
			c := root.Issue(certtest.Client(), certtest.CommonName(fmt.Sprint("device-", i)), certtest.Validity(w.now.Add(-100*alert.Day), w.now.Add(100*alert.Day)))
			s := sighting(c, "a.example.com", w.now.Add(-ago), w.now.Add(-ago), 1)
			s.Authorities = []string{cert.Fingerprint(root.Certificate)}
			elsewhere := s // at two hosts it is one certificate
			elsewhere.Hostname = "b.example.com"
			w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{s, elsewhere}))
		}
		stranger := sighting(other.Issue(certtest.Client()), "a.example.com", w.now, w.now, 1)
		stranger.Authorities = []string{cert.Fingerprint(other.Certificate)}
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{stranger}))

		facts, err := w.Facts(w.ctx(), w.item(w.itemOf(root)), w.now)
		w.ok(err)
		var names []string
		for _, d := range facts.Recent {
			names = append(names, d.Name)
		}
		if diff := cmp.Diff([]string{"device-2", "device-4", "device-3"}, names); diff != "" || facts.Dependents != 5 {
			w.Errorf("%d dependents, %s", facts.Dependents, diff)
		}
	},
	"facts: look-alikes that end later": func(w *world) {
		issuer := w.ca("root", 400)
		client := func(name string, days int, more ...certtest.Option) *certtest.Certificate {
			return issuer.Issue(append([]certtest.Option{certtest.Client(), certtest.CommonName(name), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(time.Duration(days)*alert.Day))}, more...)...)
		}
		item, _, err := w.AddItem(w.ctx(), newItem(client("a", 20)))
		w.ok(err)
		for _, c := range []*certtest.Certificate{
			client("a", 19), client("b", 40), client("a", 40, certtest.DNS("other.example.com")),
			w.ca("root two", 400).Issue(certtest.Client(), certtest.CommonName("a"), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(40*alert.Day))),
		} {
			_, _, err := w.AddItem(w.ctx(), newItem(c))
			w.ok(err)
		}
		later, _, err := w.AddItem(w.ctx(), newItem(client("a", 50)))
		w.ok(err)
		gone, _, err := w.AddItem(w.ctx(), newItem(client("a", 60)))
		w.ok(err)
		w.ok(w.SetTrust(w.ctx(), gone.ID, alert.Revoked, actor))
		facts, err := w.Facts(w.ctx(), item, w.now)
		w.ok(err)
		if len(facts.Successors) != 1 || facts.Successors[0].ID != later.ID {
			w.Errorf("%+v", facts.Successors)
		}
	},
	"purge: forgets what ended long ago and was only ever seen": func(w *world) {
		gone := certtest.SelfSigned(certtest.CommonName("gone"), certtest.Validity(Start.Add(-alert.Day), Start.Add(alert.Day)))
		uploaded := certtest.SelfSigned(certtest.CommonName("uploaded"), certtest.Validity(Start.Add(-alert.Day), Start.Add(alert.Day)))
		revoked := certtest.SelfSigned(certtest.CommonName("revoked"), certtest.Validity(Start.Add(-alert.Day), Start.Add(alert.Day)))
		valid := certtest.SelfSigned(certtest.CommonName("valid"), certtest.Validity(Start.Add(-alert.Day), Start.Add(1000*alert.Day)))
		_, _, err := w.AddItem(w.ctx(), newItem(uploaded))
		w.ok(err)
		ca := w.ca("root", 1000)
		for _, c := range []*certtest.Certificate{gone, uploaded, revoked, valid} {
			s := sighting(c, "a.example.com", w.now, w.now, 1)
			s.Authorities = []string{cert.Fingerprint(ca.Certificate)}
			w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{s}))
		}
		w.ok(w.SetTrust(w.ctx(), w.itemOf(revoked), alert.Revoked, actor))
		w.ok(w.BeginSlackThread(w.ctx(), "ops", "#ops", w.itemOf(gone), "1700000000.000001"))
		w.ok(w.Handle(w.ctx(), w.itemOf(gone), &alert.Handling{By: "Ana", At: w.now}, actor))
		w.now = Start.Add(400 * alert.Day)
		w.ok(w.Purge(w.ctx(), Start)) // nothing is that old
		if items, err := w.Items(w.ctx(), inventory.ItemFilter{}); err != nil || len(items) != 4 {
			w.Fatalf("%d items are left too early, %v", len(items), err)
		}
		w.ok(w.Purge(w.ctx(), Start.Add(2*alert.Day)))
		items, err := w.Items(w.ctx(), inventory.ItemFilter{})
		w.ok(err)
		var left []string
		for _, item := range items {
			left = append(left, item.CommonName)
		}
		if diff := cmp.Diff(map[string]bool{"uploaded": true, "revoked": true, "valid": true}, setOf(left)); diff != "" {
			w.Error(diff)
		}
	},
}

func setOf(names []string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

func (w *world) itemOf(c *certtest.Certificate) string {
	w.Helper()
	item, err := w.Item(w.ctx(), cert.Fingerprint(c.Certificate))
	w.ok(err)
	return item.ID
}
