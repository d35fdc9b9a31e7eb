package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

var bundleTests = map[string]func(*world){
	"bundle: is stored with its items, roles, hostnames and an audit row": func(w *world) {
		root := w.ca("Root", 400)
		middle := root.Intermediate()
		b := w.addBundle("root", []string{"b.example.com", "a.example.com"}, middle, root)
		for _, ref := range []string{b.ID, b.ID[:12], "root"} {
			got, err := w.Bundle(w.ctx(), ref)
			w.ok(err)
			if diff := cmp.Diff(b, got); diff != "" {
				w.Errorf("Bundle(%q) (-added +got):\n%s", ref, diff)
			}
		}
		if !slices.Equal(b.Hostnames, []string{"a.example.com", "b.example.com"}) {
			w.Errorf("hostnames %v", b.Hostnames)
		}
		if len(b.Members) != 2 || b.Members[0].Role != inventory.RoleIntermediate || b.Members[1].Role != inventory.RoleAnchor {
			w.Fatalf("members %v", b.Members)
		}
		item := b.Members[1].Item
		want := alert.Item{
			ID: item.ID, Kind: alert.KindCA, Fingerprint: cert.Fingerprint(root.Certificate), Subject: "CN=Root", Issuer: "CN=Root",
			CommonName: "Root", Serial: cert.Serial(root.Certificate), SANs: []string{}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
			Trust: alert.Trusted, Watch: alert.Active, Epoch: 1, Labels: map[string]string{}, Bundles: []string{"root"}, BundleIDs: []string{b.ID}, Hostnames: b.Hostnames,
			Sources:   []alert.Source{{Kind: alert.SourceUpload, Reference: "root.pem", FirstSeen: Start, LastSeen: Start, Count: 1}},
			NextDueAt: item.NextDueAt, CreatedAt: Start,
		}
		if diff := cmp.Diff(want, item); diff != "" {
			w.Errorf("the item (-want +got):\n%s", diff)
		}
		if item.NextDueAt == nil || item.NextDueAt.After(w.now) {
			w.Error("the new item is not due")
		}
		if !b.Members[1].Certificate.Equal(root.Certificate) {
			w.Error("the certificate is another")
		}
		entries, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 1})
		w.ok(err)
		if e := entries[0]; e.Action != "ca.add" || e.Object != "bundle:"+b.ID || e.ActorID != "alice" || e.RequestID != "req-1" || e.After == "" || !e.At.Equal(Start) {
			w.Errorf("the audit row is %+v", e)
		}
	},
	"bundle: a superseded certificate without its successor is watched": func(w *world) {
		root := w.ca("Root", 20)
		fresh := w.renewed(root, w.now)
		old := w.addBundle("root", nil, root).Members[0].Item
		w.replace(old.ID, fresh)
		w.scan(w.tell("mail"))
		w.addBundle("both", nil, root, fresh, w.ca("Third", 400))
		if got := w.item(old.ID); got.Watch != alert.Superseded {
			w.Errorf("beside its successor it is %+v", got)
		}
		w.addBundle("old file", nil, root, w.ca("Other", 400))
		if got := w.item(old.ID); got.Watch != alert.Active || got.Epoch != 2 || got.NextDueAt == nil {
			w.Errorf("alone it is %+v", got)
		}
		w.replace(old.ID, fresh)
		if got := w.item(old.ID); got.Watch != alert.Superseded {
			w.Errorf("after its renewal there it is %+v", got)
		}
	},
	"bundle: one that was renewed is removed without a word of what it superseded": func(w *world) {
		root := w.ca("Root", 20)
		b := w.addBundle("root", nil, root)
		old := b.Members[0].Item
		w.replace(old.ID, w.renewed(root, w.now))
		w.ok(w.RemoveBundle(w.ctx(), b.ID, actor))
		if got := w.item(old.ID); got.Trust != alert.Removed || got.Watch != alert.Superseded || got.Epoch != old.Epoch {
			w.Errorf("the old item is %+v", got)
		}
	},
	"bundle: the same again under its name adds hostnames only": func(w *world) {
		root := w.ca("Root", 400)
		b := w.addBundle("root", []string{"a.example.com"}, root)
		w.bumps(false, func() {
			_, created, err := w.AddBundle(w.ctx(), newBundle("root", []string{"a.example.com"}, root))
			w.ok(err)
			if created {
				w.Error("it was created again")
			}
		})
		w.bumps(true, func() {
			again, created, err := w.AddBundle(w.ctx(), newBundle("root", []string{"b.example.com"}, root))
			w.ok(err)
			if created || again.ID != b.ID || len(again.Hostnames) != 2 {
				w.Errorf("created %t, %v", created, again)
			}
		})
		if got := w.actions(); !slices.Equal(got, []string{"ca.add", "ca.hostnames"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"bundle: a name in use, the same set under a second name and a duplicate are refused": func(w *world) {
		root, other := w.ca("Root", 400), w.ca("Other", 400)
		w.addBundle("root", nil, root, other)
		for rule, b := range map[string]inventory.NewBundle{
			"name_in_use": newBundle("root", nil, root),
			"same_set":    newBundle("second", nil, other, root),
		} {
			_, created, err := w.AddBundle(w.ctx(), b)
			w.fails(err, fault.Conflict, rule)
			if created {
				w.Errorf("%s: created", rule)
			}
		}
		_, _, err := w.AddBundle(w.ctx(), newBundle("twice", nil, root, root))
		w.fails(err, fault.Unprocessable, "duplicate")
		bundles, err := w.Bundles(w.ctx())
		w.ok(err)
		if len(bundles) != 1 {
			w.Errorf("%d bundles", len(bundles))
		}
	},
	"bundle: after a renewal the set counts as uploaded and as it is": func(w *world) {
		root := w.ca("Root", 20)
		fresh := w.renewed(root, w.now)
		b := w.addBundle("root", nil, root)
		_, err := w.Replace(w.ctx(), inventory.Replacement{OldItemID: b.Members[0].Item.ID, Certificate: fresh.Certificate, Actor: actor})
		w.ok(err)
		for _, same := range []inventory.NewBundle{newBundle("root", nil, root), newBundle("root", nil, root, fresh)} {
			if _, created, err := w.AddBundle(w.ctx(), same); err != nil || created {
				w.Errorf("created %t, %v", created, err)
			}
		}
		_, _, err = w.AddBundle(w.ctx(), newBundle("second", nil, root, fresh))
		w.fails(err, fault.Conflict, "same_set")
	},
	"bundle: one certificate may be in several": func(w *world) {
		root, other := w.ca("Root", 400), w.ca("Other", 400)
		one := w.addBundle("one", []string{"one.example.com"}, root)
		two := w.addBundle("two", []string{"two.example.com"}, root, other)
		item := w.item(one.Members[0].Item.ID)
		if item.ID != two.Members[0].Item.ID || !slices.Equal(item.Bundles, []string{"one", "two"}) || !slices.Equal(item.BundleIDs, []string{one.ID, two.ID}) ||
			!slices.Equal(item.Hostnames, []string{"one.example.com", "two.example.com"}) || len(item.Sources) != 2 {
			w.Errorf("the item is %+v", item)
		}
		w.bumps(true, func() { w.ok(w.RemoveBundle(w.ctx(), one.ID, actor)) })
		if item = w.item(item.ID); item.Trust != alert.Trusted || !slices.Equal(item.Bundles, []string{"two"}) {
			w.Errorf("the item is %+v", item)
		}
		w.ok(w.RemoveBundle(w.ctx(), two.ID, actor))
		if item = w.item(item.ID); item.Trust != alert.Removed || item.Watch == alert.Active || item.NextDueAt != nil {
			w.Errorf("the item is %+v", item)
		}
		w.fails(w.RemoveBundle(w.ctx(), two.ID, actor), fault.NotFound, "")
	},
	"bundle: added again after its removal its items have a new epoch": func(w *world) {
		root := w.ca("Root", 20)
		b := w.addBundle("root", nil, root)
		w.scan(w.tell("mail"))
		w.ok(w.RemoveBundle(w.ctx(), b.ID, actor))
		again := w.addBundle("root", nil, root)
		item := again.Members[0].Item
		if again.ID == b.ID || item.ID != b.Members[0].Item.ID || item.Epoch != 2 || item.Trust != alert.Trusted || item.Watch != alert.Active {
			w.Errorf("the bundle is %+v", again)
		}
		if due := w.scan(w.tell("mail")); len(due) != 1 || len(due[0].Recorded) != 0 || len(due[0].Told) != 0 {
			w.Errorf("due is %+v", due)
		}
	},
	"bundle: a revoked certificate stays revoked when its bundle goes, and is not added": func(w *world) {
		root := w.ca("Root", 400)
		b := w.addBundle("root", nil, root)
		id := b.Members[0].Item.ID
		w.ok(w.SetTrust(w.ctx(), id, alert.Revoked, actor))
		w.ok(w.RemoveBundle(w.ctx(), b.ID, actor))
		if item := w.item(id); item.Trust != alert.Revoked || item.Watch != alert.Ignored {
			w.Errorf("the item is %+v", item)
		}
		_, _, err := w.AddBundle(w.ctx(), newBundle("again", nil, root))
		w.fails(err, fault.Conflict, "revoked")
		if bundles, err := w.Bundles(w.ctx()); err != nil || len(bundles) != 0 {
			w.Errorf("%v, %v", bundles, err)
		}
	},
	"bundle: an unknown one is not found": func(w *world) {
		b := w.addBundle("root", nil, w.ca("Root", 400))
		w.addBundle(b.ID, nil, w.ca("Impostor", 400))
		if got, err := w.Bundle(w.ctx(), b.ID); err != nil || got.Name != "root" {
			w.Errorf("a name that is another's id takes its place: %v, %v", got, err)
		}
		for _, ref := range []string{"", "nobody", b.ID[:5], "ffffffffff"} {
			_, err := w.Bundle(w.ctx(), ref)
			w.fails(err, fault.NotFound, "")
		}
	},
	"trust: one snapshot of what is trusted and revoked": func(w *world) {
		root, other := w.ca("Root", 400), w.ca("Other", 400)
		b := w.addBundle("both", []string{"a.example.com"}, root, other)
		client := w.addClient("client", 20)
		w.ok(w.SetTrust(w.ctx(), client.ID, alert.Revoked, actor))
		w.ok(w.SetTrust(w.ctx(), b.Members[1].Item.ID, alert.Revoked, actor))
		snapshot, err := w.Trust(w.ctx())
		w.ok(err)
		if snapshot.Generation != w.generation() {
			w.Errorf("generation %d, want %d", snapshot.Generation, w.generation())
		}
		if len(snapshot.Bundles) != 1 || len(snapshot.Bundles[0].Members) != 1 || !snapshot.Bundles[0].Members[0].Certificate.Equal(root.Certificate) {
			w.Errorf("bundles %+v", snapshot.Bundles)
		}
		want := []string{client.Fingerprint, cert.Fingerprint(other.Certificate)}
		slices.Sort(want)
		if diff := cmp.Diff(want, snapshot.Revoked); diff != "" {
			w.Error(diff)
		}
	},
	"trust: a bundle whose certificates are all revoked is still there, with none": func(w *world) {
		b := w.addBundle("root", []string{"a.example.com"}, w.ca("Root", 400))
		w.ok(w.SetTrust(w.ctx(), b.Members[0].Item.ID, alert.Revoked, actor))
		snapshot, err := w.Trust(w.ctx())
		w.ok(err)
		if len(snapshot.Bundles) != 1 || len(snapshot.Bundles[0].Members) != 0 || len(snapshot.Bundles[0].Hostnames) != 1 {
			w.Errorf("bundles %+v", snapshot.Bundles)
		}
	},
	"trust: sightings, scans and deliveries leave the generation alone": func(w *world) {
		w.addBundle("root", nil, w.ca("Root", 20))
		w.bumps(false, func() {
			item := w.addClient("client", 20)
			w.ok(w.SetWatch(w.ctx(), item.ID, alert.Ignored, actor))
			w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
			w.scan(w.tell("mail"))
			job := w.one("w1", "mail")
			w.settle("w1", job.Delivery.ID, alert.Outcome{State: alert.StateSent})
			w.ok(w.AcceptClock(w.ctx(), w.now, actor))
			w.ok(w.Reschedule(w.ctx(), "k", func(alert.Candidate) time.Time { return time.Time{} }))
		})
	},
}
