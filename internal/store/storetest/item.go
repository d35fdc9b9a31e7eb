package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

var itemTests = map[string]func(*world){
	"item: one that is known gets the new source, without an audit row": func(w *world) {
		c := certtest.SelfSigned(certtest.CommonName("client"), certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, created, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		if !created {
			w.Error("it is not new")
		}
		w.now = w.now.Add(time.Hour)
		seen := newItem(c)
		seen.Source = alert.Source{Kind: alert.SourceObserved, Reference: "a.example.com"}
		for range 2 {
			again, created, err := w.AddItem(w.ctx(), seen)
			w.ok(err)
			if created || again.ID != item.ID || again.Epoch != 1 {
				w.Errorf("created %t, %+v", created, again)
			}
		}
		want := []alert.Source{
			{Kind: alert.SourceUpload, Reference: "client.pem", FirstSeen: Start, LastSeen: Start, Count: 1},
			{Kind: alert.SourceObserved, Reference: "a.example.com", FirstSeen: w.now, LastSeen: w.now, Count: 2},
		}
		if diff := cmp.Diff(want, w.item(item.ID).Sources); diff != "" {
			w.Error(diff)
		}
		if got := w.actions(); !slices.Equal(got, []string{"item.add"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"item: a source remembers when it was first and last seen": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		for _, at := range []time.Duration{2 * time.Hour, time.Hour, 3 * time.Hour} {
			n := newItem(c)
			n.Source.FirstSeen, n.Source.LastSeen = Start.Add(at), Start.Add(at)
			_, _, err := w.AddItem(w.ctx(), n)
			w.ok(err)
		}
		items, err := w.Items(w.ctx(), inventory.ItemFilter{})
		w.ok(err)
		want := []alert.Source{{Kind: alert.SourceUpload, Reference: "client.pem", FirstSeen: Start.Add(time.Hour), LastSeen: Start.Add(3 * time.Hour), Count: 3}}
		if diff := cmp.Diff(want, items[0].Sources); diff != "" {
			w.Error(diff)
		}
	},
	"item: a source or label that may change its thresholds makes it due again": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		_, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		add := func(change func(*inventory.NewItem)) []alert.Candidate {
			w.scan(w.tell("mail"))
			n := newItem(c)
			change(&n)
			_, _, err := w.AddItem(w.ctx(), n)
			w.ok(err)
			return w.scan(w.tell("mail"))
		}
		for name, row := range map[string]struct {
			change func(*inventory.NewItem)
			want   int
		}{
			"nothing new":   {func(*inventory.NewItem) {}, 0},
			"a sighting":    {func(n *inventory.NewItem) { n.Source.Kind = alert.SourceObserved }, 0},
			"another file":  {func(n *inventory.NewItem) { n.Source.Kind = alert.SourceFile }, 1},
			"another label": {func(n *inventory.NewItem) { n.Labels = map[string]string{"team": "payments"} }, 1},
		} {
			if got := add(row.change); len(got) != row.want {
				w.Errorf("%s: %d items are due, want %d", name, len(got), row.want)
			}
		}
		if items, err := w.Items(w.ctx(), inventory.ItemFilter{}); err != nil || items[0].Labels["team"] != "payments" {
			w.Errorf("%v, %v", items, err)
		}
	},
	"item: one that is removed or ignored returns with a new epoch, a revoked one does not": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		again := func() alert.Item {
			got, created, err := w.AddItem(w.ctx(), newItem(c))
			w.ok(err)
			if created {
				w.Error("it was created again")
			}
			return got
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Removed, actor))
		if got := again(); got.Trust != alert.Trusted || got.Watch != alert.Active || got.Epoch != 2 {
			w.Errorf("after a removal: %+v", got)
		}
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Ignored, actor))
		if got := again(); got.Watch != alert.Active || got.Epoch != 3 {
			w.Errorf("after being ignored: %+v", got)
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		if got := again(); got.Trust != alert.Revoked || got.Epoch != 3 {
			w.Errorf("after a revocation: %+v", got)
		}
	},
	"item: the same certificate may be watched as two kinds": func(w *world) {
		root := w.ca("Root", 20)
		w.addBundle("root", nil, root)
		_, created, err := w.AddItem(w.ctx(), newItem(root))
		w.ok(err)
		if !created {
			w.Error("it is not an item of its own")
		}
	},
	"item: what is not valid yet is pending and in no epoch": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now.Add(time.Second), w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		if item.Watch != alert.Pending || item.Epoch != 0 || item.NextDueAt != nil || item.Trust != alert.Trusted {
			w.Errorf("the item is %+v", item)
		}
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
		if item = w.item(item.ID); item.Watch != alert.Pending || item.Epoch != 0 {
			w.Errorf("forced to be active it is %+v", item)
		}
	},
	"item: is found by what people have": func(w *world) {
		item := w.addClient("client", 20)
		colons := strings.ToUpper(item.Fingerprint[:2] + ":" + item.Fingerprint[2:4] + ":" + item.Fingerprint[4:])
		for _, ref := range []string{
			item.ID, item.ID[:8], item.Fingerprint, item.Fingerprint[:6], colons, item.Serial,
			strings.ToLower(item.Serial), "00" + item.Serial, " " + item.ID + " ",
		} {
			got, err := w.Item(w.ctx(), ref)
			if err != nil || got.ID != item.ID {
				w.Errorf("Item(%q) = %q, %v", ref, got.ID, err)
			}
		}
		for _, ref := range []string{"", "zz", item.ID[:5], item.Fingerprint[:5], strings.Repeat("f", 64), "%", "client"} {
			if got, err := w.Item(w.ctx(), ref); !fault.Is(err, fault.NotFound) {
				w.Errorf("Item(%q) = %q, %v", ref, got.ID, err)
			}
		}
	},
	"item: what names two is ambiguous": func(w *world) {
		for range 2 {
			c := certtest.SelfSigned(certtest.Serial(0x0A0B0C), certtest.Validity(w.now, w.now.Add(20*alert.Day)))
			_, _, err := w.AddItem(w.ctx(), newItem(c))
			w.ok(err)
		}
		for _, ref := range []string{"0A0B0C", "a0b0c", "0a:0b:0c"} {
			_, err := w.Item(w.ctx(), ref)
			w.fails(err, fault.Conflict, "ambiguous")
		}
	},
	"item: filters": func(w *world) {
		soon, late := w.addClient("soon", 10), w.addClient("late", 100)
		ca := w.addBundle("root", nil, w.ca("Root", 50)).Members[0].Item
		w.ok(w.SetWatch(w.ctx(), late.ID, alert.Ignored, actor))
		for name, row := range map[string]struct {
			filter inventory.ItemFilter
			want   []string
		}{
			"none":                  {inventory.ItemFilter{}, []string{soon.ID, ca.ID, late.ID}},
			"kind":                  {inventory.ItemFilter{Kind: alert.KindCA}, []string{ca.ID}},
			"watch":                 {inventory.ItemFilter{Watch: alert.Ignored}, []string{late.ID}},
			"subject":               {inventory.ItemFilter{Subject: "CN=soon"}, []string{soon.ID}},
			"expiring":              {inventory.ItemFilter{ExpiringBefore: w.now.Add(60 * alert.Day)}, []string{soon.ID, ca.ID}},
			"expiring, the instant": {inventory.ItemFilter{ExpiringBefore: soon.NotAfter}, []string{}},
			"kind and watch":        {inventory.ItemFilter{Kind: alert.KindClient, Watch: alert.Active}, []string{soon.ID}},
		} {
			items, err := w.Items(w.ctx(), row.filter)
			w.ok(err)
			ids := []string{}
			for _, item := range items {
				ids = append(ids, item.ID)
			}
			if diff := cmp.Diff(row.want, ids); diff != "" {
				w.Errorf("%s: %s", name, diff)
			}
		}
	},
	"item: more than fit in one question": func(w *world) {
		const n = 1203
		template := certtest.SelfSigned(certtest.CommonName("many"), certtest.Validity(w.now, w.now.Add(20*alert.Day))).Certificate
		var list []inventory.NewItem
		for i := range n {
			c := *template
			c.Raw = append(slices.Clone(template.Raw), byte(i), byte(i>>8))
			list = append(list, inventory.NewItem{Kind: alert.KindClient, Certificate: &c, Source: upload("many"), Actor: actor})
		}
		created, err := w.AddItems(w.ctx(), list)
		w.ok(err)
		again, err := w.AddItems(w.ctx(), list[:10])
		w.ok(err)
		if created != n || again != 0 {
			w.Errorf("created %d and %d", created, again)
		}
		if due := w.scan(w.tell("mail")); len(due) != n || len(due[n-1].Item.Sources) != 1 {
			w.Errorf("%d are due", len(due))
		}
		if job := w.one("w1", "mail"); len(job.Entries) != n {
			w.Errorf("the digest tells of %d", len(job.Entries))
		}
		if groups, err := w.Groups(w.ctx()); err != nil || len(groups) != 1 || groups[0].Count != n {
			w.Errorf("groups %v, %v", groups, err)
		}
		rescheduled := 0
		w.ok(w.Reschedule(w.ctx(), "k", func(alert.Candidate) time.Time { rescheduled++; return w.now }))
		if rescheduled != n {
			w.Errorf("%d were rescheduled", rescheduled)
		}
		sum := sha256.Sum256(list[7].Certificate.Raw)
		if item := w.item(hex.EncodeToString(sum[:])); item.NextDueAt == nil || !item.NextDueAt.Equal(w.now) {
			w.Errorf("the item is %+v", item)
		}
	},
	"item: its certificate": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		got, err := w.Certificate(w.ctx(), item.ID)
		w.ok(err)
		if !got.Equal(c.Certificate) {
			w.Error("it is another")
		}
		_, err = w.Certificate(w.ctx(), "nobody")
		w.fails(err, fault.NotFound, "")
	},
	"state: leaving active cancels what is not settled, and coming back starts anew": func(w *world) {
		for name, row := range map[string]struct {
			leave, back func(id string) error
		}{
			"ignored": {
				func(id string) error { return w.SetWatch(w.ctx(), id, alert.Ignored, actor) },
				func(id string) error { return w.SetWatch(w.ctx(), id, alert.Active, actor) },
			},
			"revoked": {
				func(id string) error { return w.SetTrust(w.ctx(), id, alert.Revoked, actor) },
				func(id string) error { return w.SetTrust(w.ctx(), id, alert.Trusted, actor) },
			},
			"removed": {
				func(id string) error { return w.SetTrust(w.ctx(), id, alert.Removed, actor) },
				func(id string) error { return w.SetTrust(w.ctx(), id, alert.Trusted, actor) },
			},
		} {
			item := w.addClient(name, 20)
			w.scan(w.tell(name))
			w.ok(row.leave(item.ID))
			list, err := w.Deliveries(w.ctx(), store.DeliveryFilter{Channel: name})
			w.ok(err)
			if len(list) != 1 || list[0].State != alert.StateCancelled || list[0].SettledAt == nil {
				w.Errorf("%s: the deliveries are %+v", name, list)
			}
			if got := w.scan(w.tell(name)); len(got) != 0 {
				w.Errorf("%s: it is still due", name)
			}
			w.ok(row.back(item.ID))
			if got := w.item(item.ID); got.Epoch != 2 || got.Watch != alert.Active || got.Trust != alert.Trusted {
				w.Errorf("%s: back it is %+v", name, got)
			}
			if got := w.scan(w.tell(name)); len(got) != 1 || len(got[0].Recorded)+len(got[0].Told) != 0 {
				w.Errorf("%s: due is %+v", name, got)
			}
		}
	},
	"state: a digest that tells of others too goes without the item": func(w *world) {
		stays, goes := w.addClient("stays", 20), w.addClient("goes", 10)
		w.scan(w.tell("mail"))
		w.ok(w.SetWatch(w.ctx(), goes.ID, alert.Ignored, actor))
		job := w.one("w1", "mail")
		if len(job.Entries) != 1 || job.Entries[0].Item.ID != stays.ID || len(job.Delivery.AlertIDs) != 2 {
			w.Errorf("the job is %+v", job)
		}
	},
	"state: what does not change leaves no trace": func(w *world) {
		item := w.addClient("client", 20)
		before := w.actions()
		w.bumps(false, func() {
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
			w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
		})
		if diff := cmp.Diff(before, w.actions()); diff != "" {
			w.Error(diff)
		}
		if got := w.item(item.ID); got.Epoch != 1 {
			w.Errorf("epoch %d", got.Epoch)
		}
	},
	"state: trust raises the generation": func(w *world) {
		item := w.addClient("client", 20)
		for _, trust := range []alert.Trust{alert.Revoked, alert.Removed, alert.Trusted} {
			w.bumps(true, func() { w.ok(w.SetTrust(w.ctx(), item.ID, trust, actor)) })
		}
	},
	"state: what is unknown is refused": func(w *world) {
		item := w.addClient("client", 20)
		w.fails(w.SetTrust(w.ctx(), item.ID, "perhaps", actor), fault.Invalid, "")
		w.fails(w.SetWatch(w.ctx(), item.ID, "sometimes", actor), fault.Invalid, "")
		w.fails(w.SetTrust(w.ctx(), "nobody", alert.Revoked, actor), fault.NotFound, "")
		w.fails(w.SetWatch(w.ctx(), "nobody", alert.Ignored, actor), fault.NotFound, "")
	},
}
