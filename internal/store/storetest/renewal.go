package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// replace renews an item at once, or when the new one is valid.
func (w *world) replace(oldID string, c *certtest.Certificate) alert.Item {
	w.Helper()
	item, err := w.Replace(w.ctx(), inventory.Replacement{
		OldItemID: oldID, Certificate: c.Certificate, Pending: c.NotBefore.After(w.now), Source: upload("renewed"), Actor: actor, Action: "item.renew",
	})
	w.ok(err)
	return item
}

var renewalTests = map[string]func(*world){
	"renewal: takes the old one's place, bundles, role and labels": func(w *world) {
		root := w.ca("Root", 20)
		middle := root.Intermediate(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		nb := newBundle("root", []string{"a.example.com"}, middle, root)
		nb.Labels = map[string]string{"team": "payments"}
		b, _, err := w.AddBundle(w.ctx(), nb)
		w.ok(err)
		w.addBundle("too", nil, root)
		w.scan(w.tell("mail"))
		old, fresh := b.Members[1].Item, w.renewed(root, w.now)
		var item alert.Item
		w.bumps(true, func() { item = w.replace(old.ID, fresh) })
		if item.Watch != alert.Active || item.Epoch != 1 || item.Labels["team"] != "payments" || !slices.Equal(item.Bundles, []string{"root", "too"}) {
			w.Errorf("the new item is %+v", item)
		}
		if old = w.item(old.ID); old.Watch != alert.Superseded || old.Trust != alert.Trusted || old.ReplacedBy != item.ID || old.NextDueAt != nil {
			w.Errorf("the old item is %+v", old)
		}
		b, err = w.Bundle(w.ctx(), "root")
		w.ok(err)
		var order []string
		for _, m := range b.Members {
			order = append(order, m.Item.Fingerprint+string(m.Role))
		}
		want := []string{
			cert.Fingerprint(middle.Certificate) + "intermediate", cert.Fingerprint(fresh.Certificate) + "anchor", old.Fingerprint + "anchor",
		}
		if diff := cmp.Diff(want, order); diff != "" {
			w.Error(diff)
		}
		if job := w.one("w1", "mail"); len(job.Entries) != 1 || job.Entries[0].Item.ID != b.Members[0].Item.ID {
			w.Errorf("the digest still tells of the old one: %+v", job.Entries)
		}
		if actions := w.actions(); !slices.Contains(actions, "item.renew") || !slices.Contains(actions, "item.supersede") {
			w.Errorf("the audit trail tells %v", actions)
		}
		if due := w.scan(w.tell("mail")); len(due) != 1 || due[0].Item.ID != item.ID {
			w.Errorf("due is %+v", due)
		}
	},
	"renewal: the same again changes nothing": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		for _, from := range []time.Time{w.now, w.now.Add(alert.Day)} {
			fresh := w.renewed(root, from)
			item := w.replace(old.ID, fresh)
			before := w.actions()
			w.bumps(false, func() {
				if again := w.replace(old.ID, fresh); again.ID != item.ID {
					w.Errorf("it is %+v now", again)
				}
			})
			if diff := cmp.Diff(before, w.actions()); diff != "" {
				w.Error(diff)
			}
			root = fresh
			old = item
		}
	},
	"renewal: what it refuses": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		replace := func(id string, c *certtest.Certificate, proposal string) error {
			_, err := w.Replace(w.ctx(), inventory.Replacement{OldItemID: id, Certificate: c.Certificate, Actor: actor, ProposalID: proposal})
			return err
		}
		fresh := w.renewed(root, w.now)
		w.fails(replace("nobody", fresh, ""), fault.NotFound, "")
		w.fails(replace(old.ID, root, ""), fault.Conflict, "same_certificate")
		w.fails(replace(old.ID, fresh, "nobody"), fault.NotFound, "no_proposal")
		if _, err := w.Item(w.ctx(), cert.Fingerprint(fresh.Certificate)); !fault.Is(err, fault.NotFound) {
			w.Errorf("a refused renewal was stored: %v", err)
		}
		revoked := w.addBundle("revoked", nil, w.renewed(root, w.now)).Members[0]
		w.ok(w.SetTrust(w.ctx(), revoked.Item.ID, alert.Revoked, actor))
		w.fails(replace(old.ID, &certtest.Certificate{Certificate: revoked.Certificate}, ""), fault.Conflict, "revoked")
		w.replace(old.ID, fresh)
		w.fails(replace(old.ID, w.renewed(root, w.now), ""), fault.Conflict, "superseded")
	},
	"renewal: one that is not valid yet takes over when it is": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		from := w.now.Add(alert.Day)
		item := w.replace(old.ID, w.renewed(root, from))
		if item.Watch != alert.Pending || item.Epoch != 0 || item.Trust != alert.Trusted || len(item.Bundles) != 1 {
			w.Errorf("the new item is %+v", item)
		}
		if before, err := w.Predecessor(w.ctx(), item.ID); err != nil || before.ID != old.ID || before.ReplacedBy != "" {
			w.Errorf("its predecessor is %+v, %v", before, err)
		}
		if due := w.scan(w.tell("mail")); len(due) != 1 || due[0].Item.ID != old.ID {
			w.Errorf("due is %+v", due)
		}
		w.now = from.Add(-time.Second)
		w.scan(w.tell("mail"))
		if old = w.item(old.ID); old.Watch != alert.Active {
			w.Error("it was superseded too early")
		}
		w.now = from
		if due := w.scan(w.tell("mail")); len(due) != 1 || due[0].Item.ID != item.ID || due[0].Item.Epoch != 1 || due[0].Item.Watch != alert.Active {
			w.Errorf("due is %+v", due)
		}
		if old = w.item(old.ID); old.Watch != alert.Superseded || old.ReplacedBy != item.ID || old.Trust != alert.Trusted {
			w.Errorf("the old item is %+v", old)
		}
		states := map[alert.DeliveryState]int{}
		for _, d := range w.deliveries() {
			states[d.State]++
		}
		if states[alert.StateCancelled] != 1 || states[alert.StatePending] != 1 {
			w.Errorf("deliveries: %v", states)
		}
	},
	"renewal: one that is removed before it is valid takes nobody's place": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		item := w.replace(old.ID, w.renewed(root, w.now.Add(alert.Day)))
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Removed, actor))
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
		w.now = w.now.Add(2 * alert.Day)
		w.scan(w.tell("mail"))
		if old = w.item(old.ID); old.Watch != alert.Active {
			w.Errorf("the old item is %+v", old)
		}
	},
	"renewal: one that is revoked before it is valid takes nobody's place until that is lifted": func(w *world) {
		root := w.ca("Root", 20)
		old := w.addBundle("root", nil, root).Members[0].Item
		item := w.replace(old.ID, w.renewed(root, w.now.Add(alert.Day)))
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
		w.now = w.now.Add(2 * alert.Day)
		w.scan(w.tell("mail"))
		w.ok(w.SetWatch(w.ctx(), item.ID, alert.Active, actor))
		if got := w.item(old.ID); got.Watch != alert.Active {
			w.Errorf("the old item is %+v", got)
		}
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Trusted, actor))
		if got := w.item(old.ID); got.Watch != alert.Superseded || got.ReplacedBy != item.ID {
			w.Errorf("the old item is %+v", got)
		}
	},
	"renewal: of a pending renewal supersedes the whole line": func(w *world) {
		root := w.ca("Root", 20)
		first := w.addBundle("root", nil, root).Members[0].Item
		second := w.replace(first.ID, w.renewed(root, w.now.Add(2*alert.Day)))
		third := w.replace(second.ID, w.renewed(root, w.now.Add(alert.Day)))
		w.now = w.now.Add(alert.Day)
		w.scan(w.tell("mail"))
		for _, old := range []alert.Item{w.item(first.ID), w.item(second.ID)} {
			if old.Watch != alert.Superseded || old.ReplacedBy != third.ID {
				w.Errorf("%+v", old)
			}
		}
		w.now = w.now.Add(2 * alert.Day)
		w.scan(w.tell("mail"))
		if third = w.item(third.ID); third.Watch != alert.Active {
			w.Errorf("the third is %+v", third)
		}
	},
	"renewal: a successor that is revoked or removed leaves the old one watched again": func(w *world) {
		for _, gone := range []alert.Trust{alert.Revoked, alert.Removed} {
			c := certtest.SelfSigned(certtest.CommonName(string(gone)), certtest.Validity(w.now, w.now.Add(10*alert.Day)))
			first, _, err := w.AddItem(w.ctx(), newItem(c))
			w.ok(err)
			w.scan(w.tell("mail"))
			second := w.replace(first.ID, w.renewed(c, w.now))
			w.ok(w.SetTrust(w.ctx(), second.ID, gone, actor))
			if got := w.item(first.ID); got.Watch != alert.Active || got.ReplacedBy != "" || got.Epoch != first.Epoch+1 {
				w.Errorf("%s: the old item is %+v", gone, got)
			}
			if due := w.scan(w.tell("mail")); len(due) != 1 || due[0].Item.ID != first.ID {
				w.Errorf("%s: due is %+v", gone, due)
			}
			w.ok(w.SetTrust(w.ctx(), second.ID, alert.Trusted, actor))
			if got := w.item(first.ID); (got.Watch == alert.Superseded) != (gone == alert.Revoked) {
				w.Errorf("%s and trusted again: the old item is %+v", gone, got)
			}
		}
	},
	"renewal: a line falls back on the last that is trusted": func(w *world) {
		root := w.ca("Root", 20)
		first := w.addBundle("root", nil, root).Members[0].Item
		second := w.replace(first.ID, w.renewed(root, w.now))
		third := w.replace(second.ID, w.renewed(root, w.now))
		w.ok(w.SetTrust(w.ctx(), second.ID, alert.Revoked, actor))
		if got := w.item(first.ID); got.Watch != alert.Superseded {
			w.Errorf("the first is watched though the third is in its place: %+v", got)
		}
		w.ok(w.SetTrust(w.ctx(), third.ID, alert.Revoked, actor))
		if got := w.item(first.ID); got.Watch != alert.Active {
			w.Errorf("the first is %+v", got)
		}
		w.ok(w.SetTrust(w.ctx(), third.ID, alert.Trusted, actor))
		if got := w.item(first.ID); got.Watch != alert.Superseded || got.ReplacedBy != third.ID {
			w.Errorf("the first is %+v", got)
		}
	},
	"renewal: what was revoked or removed has no successor": func(w *world) {
		for _, gone := range []alert.Trust{alert.Revoked, alert.Removed} {
			root := w.ca("Root", 20)
			old := w.addBundle(string(gone), nil, root).Members[0].Item
			p, err := w.Propose(w.ctx(), old.ID, w.ca("Root", 400).Certificate, actor)
			w.ok(err)
			w.ok(w.SetTrust(w.ctx(), old.ID, gone, actor))
			w.bumps(false, func() {
				_, err := w.Replace(w.ctx(), inventory.Replacement{OldItemID: old.ID, Certificate: p.Certificate, Actor: actor, ProposalID: p.ID})
				w.fails(err, fault.Conflict, "not_trusted")
			})
		}
	},
	"renewal: of a client": func(w *world) {
		c := certtest.SelfSigned(certtest.CommonName("client"), certtest.Validity(w.now, w.now.Add(10*alert.Day)))
		old, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		item := w.replace(old.ID, w.renewed(c, w.now))
		if before, err := w.Predecessor(w.ctx(), item.ID); err != nil || before.ID != old.ID || item.Kind != alert.KindClient {
			w.Errorf("%+v, %v", before, err)
		}
		_, err = w.Predecessor(w.ctx(), old.ID)
		w.fails(err, fault.NotFound, "")
	},
	"proposal: is trusted nowhere and watched nowhere": func(w *world) {
		old := w.addBundle("root", nil, w.ca("Root", 20)).Members[0].Item
		fresh := w.ca("Root", 400)
		var p inventory.Proposal
		w.bumps(false, func() {
			var err error
			p, err = w.Propose(w.ctx(), old.ID, fresh.Certificate, actor)
			w.ok(err)
		})
		want := inventory.Proposal{
			ID: p.ID, ItemID: old.ID, Bundle: "root", Fingerprint: cert.Fingerprint(fresh.Certificate), Subject: "CN=Root",
			NotAfter: fresh.NotAfter, ProposedBy: "local:alice", CreatedAt: Start, ExpiresAt: Start.Add(30 * alert.Day), Certificate: p.Certificate,
		}
		if diff := cmp.Diff(want, p); diff != "" || !p.Certificate.Equal(fresh.Certificate) {
			w.Error(diff)
		}
		w.now = w.now.Add(time.Hour)
		again, err := w.Propose(w.ctx(), old.ID, fresh.Certificate, inventory.Actor{Kind: inventory.ActorToken, ID: "t"})
		w.ok(err)
		if diff := cmp.Diff(p, again); diff != "" {
			w.Error(diff)
		}
		if _, err := w.Item(w.ctx(), p.Fingerprint); !fault.Is(err, fault.NotFound) {
			w.Errorf("it is an item: %v", err)
		}
		if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 1 {
			w.Errorf("%v, %v", list, err)
		}
		_, err = w.Propose(w.ctx(), "nobody", fresh.Certificate, actor)
		w.fails(err, fault.NotFound, "")
	},
	"proposal: so many wait for one item, and no more": func(w *world) {
		b := w.addBundle("root", nil, w.ca("Root", 20), w.ca("Other", 20))
		by := func(id string) inventory.Actor { return inventory.Actor{Kind: inventory.ActorToken, ID: id} }
		proposeBy := func(member int, who string) (*certtest.Certificate, error) {
			fresh := w.ca("Root", 400)
			_, err := w.Propose(w.ctx(), b.Members[member].Item.ID, fresh.Certificate, by(who))
			return fresh, err
		}
		propose := func(member int) (*certtest.Certificate, error) { return proposeBy(member, "last") }
		fresh, err := propose(0)
		w.ok(err)
		for i := range 19 {
			_, err := proposeBy(0, string(rune('a'+i/5)))
			w.ok(err)
		}
		_, err = propose(0) // the 21st
		w.fails(err, fault.Conflict, "proposals")
		_, err = w.Propose(w.ctx(), b.Members[0].Item.ID, fresh.Certificate, actor)
		w.ok(err) // it is there already
		_, err = propose(1)
		w.ok(err)
		if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 21 {
			w.Errorf("%d proposals, %v", len(list), err)
		}
	},
	"proposal: one proposer leaves room for others": func(w *world) {
		old := w.addBundle("root", nil, w.ca("Root", 20)).Members[0].Item
		propose := func(kind, id string) error {
			_, err := w.Propose(w.ctx(), old.ID, w.ca("Root", 400).Certificate, inventory.Actor{Kind: kind, ID: id})
			return err
		}
		for range 5 {
			w.ok(propose(inventory.ActorToken, "leaked"))
		}
		w.fails(propose(inventory.ActorToken, "leaked"), fault.Conflict, "proposals")
		w.ok(propose(inventory.ActorToken, "honest"))
		w.ok(propose(inventory.ActorLink, "leaked"))
		if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 7 {
			w.Errorf("%d proposals, %v", len(list), err)
		}
	},
	"proposal: goes after 30 days, and makes room": func(w *world) {
		old := w.addBundle("root", nil, w.ca("Root", 90)).Members[0].Item
		propose := func(who int) error {
			_, err := w.Propose(w.ctx(), old.ID, w.ca("Root", 400).Certificate, inventory.Actor{Kind: inventory.ActorToken, ID: string(rune('a' + who))})
			return err
		}
		for i := range 20 {
			w.ok(propose(i / 5))
		}
		w.now = Start.Add(inventory.ProposalLife)
		w.ok(w.ExpireProposals(w.ctx(), w.now.Add(-inventory.ProposalLife)))
		w.fails(propose(9), fault.Conflict, "proposals")
		w.now = w.now.Add(time.Millisecond)
		w.ok(propose(9))
		if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 1 {
			w.Errorf("%d proposals, %v", len(list), err)
		}
		w.now = w.now.Add(inventory.ProposalLife + time.Millisecond)
		w.bumps(false, func() { w.ok(w.ExpireProposals(w.ctx(), w.now.Add(-inventory.ProposalLife))) })
		if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 0 {
			w.Errorf("%v, %v", list, err)
		}
		rows, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 1})
		w.ok(err)
		if len(rows) != 1 || rows[0].Action != "proposal.expire" || rows[0].ActorKind != inventory.ActorSystem || rows[0].Object != "item:"+old.ID {
			w.Errorf("audit: %+v", rows)
		}
	},
	"proposal: goes with its confirmation, its removal and its bundle": func(w *world) {
		b := w.addBundle("root", nil, w.ca("Root", 20))
		propose := func(itemID string) (inventory.Proposal, *certtest.Certificate) {
			fresh := w.ca("Root", 400)
			p, err := w.Propose(w.ctx(), itemID, fresh.Certificate, actor)
			w.ok(err)
			return p, fresh
		}
		none := func() {
			w.Helper()
			if list, err := w.Proposals(w.ctx()); err != nil || len(list) != 0 {
				w.Errorf("%v, %v", list, err)
			}
		}
		p, fresh := propose(b.Members[0].Item.ID)
		item, err := w.Replace(w.ctx(), inventory.Replacement{OldItemID: p.ItemID, Certificate: fresh.Certificate, Actor: actor, ProposalID: p.ID})
		w.ok(err)
		none()
		p, _ = propose(item.ID)
		w.ok(w.RemoveProposal(w.ctx(), p.ID, actor))
		none()
		w.fails(w.RemoveProposal(w.ctx(), p.ID, actor), fault.NotFound, "")
		propose(item.ID)
		w.ok(w.RemoveBundle(w.ctx(), b.ID, actor))
		none()
	},
}
