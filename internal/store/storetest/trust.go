package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// trustTests are about keys that are revoked and about constraints.
var trustTests = map[string]func(*world){
	"key: revoked, it denies what is known and what is not": func(w *world) {
		ca := w.ca("Root", 400)
		known := ca.Issue(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(known))
		w.ok(err)
		w.scan(w.tell("mail"))
		key := cert.KeyHash(known.Certificate)
		w.bumps(true, func() { w.ok(w.SetKeyTrust(w.ctx(), key, true, actor)) })
		w.bumps(false, func() { w.ok(w.SetKeyTrust(w.ctx(), key, true, actor)) })
		trust, err := w.Trust(w.ctx())
		w.ok(err)
		if !slices.Equal(trust.RevokedKeys, []string{key}) || !slices.Equal(trust.Revoked, []string{item.Fingerprint}) {
			w.Errorf("revoked are %v and the keys %v", trust.Revoked, trust.RevokedKeys)
		}
		if list := w.deliveries(); w.item(item.ID).Trust != alert.Revoked || list[0].State != alert.StateCancelled {
			w.Errorf("the item is %+v, its delivery %+v", w.item(item.ID), list[0])
		}
		later, _, err := w.AddItem(w.ctx(), newItem(known.Renew(certtest.Validity(w.now, w.now.Add(400*alert.Day)))))
		w.ok(err)
		if later.Trust != alert.Revoked || later.NextDueAt != nil {
			w.Errorf("added later, one is %+v", later)
		}
		w.fails(w.SetTrust(w.ctx(), later.ID, alert.Trusted, actor), fault.Conflict, "key_revoked")
		w.ok(w.SetTrust(w.ctx(), later.ID, alert.Removed, actor))
		w.bumps(true, func() { w.ok(w.SetKeyTrust(w.ctx(), key, false, actor)) })
		w.bumps(false, func() { w.ok(w.SetKeyTrust(w.ctx(), key, false, actor)) })
		if got := w.item(item.ID); got.Trust != alert.Trusted || got.Epoch != 2 || got.NextDueAt == nil {
			w.Errorf("taken back, it is %+v", got)
		}
		if got := w.item(later.ID); got.Trust != alert.Removed {
			w.Errorf("one that was removed is %+v", got)
		}
		if got := w.actions(); !slices.Contains(got, "key.revoke") || !slices.Contains(got, "key.unrevoke") {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"key: one that nobody has counts too": func(w *world) {
		key := strings.Repeat("0a", 32)
		for _, revoked := range []bool{true, false} {
			w.bumps(true, func() { w.ok(w.SetKeyTrust(w.ctx(), key, revoked, actor)) })
			trust, err := w.Trust(w.ctx())
			w.ok(err)
			if slices.Contains(trust.RevokedKeys, key) != revoked {
				w.Errorf("revoked %t: the keys are %v", revoked, trust.RevokedKeys)
			}
		}
	},
	"key: taking it back takes back what was revoked by itself": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		for _, byKeyToo := range []bool{true, false} {
			w.ok(w.SetTrust(w.ctx(), item.ID, alert.Revoked, actor))
			if byKeyToo {
				w.ok(w.SetKeyTrust(w.ctx(), cert.KeyHash(c.Certificate), true, actor))
			}
			w.bumps(true, func() { w.ok(w.SetKeyTrust(w.ctx(), cert.KeyHash(c.Certificate), false, actor)) })
			if got := w.item(item.ID); got.Trust != alert.Trusted {
				w.Errorf("by its key too %t: it is %+v", byKeyToo, got)
			}
		}
	},
	"key: what was removed comes back revoked": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		item, _, err := w.AddItem(w.ctx(), newItem(c))
		w.ok(err)
		w.ok(w.SetTrust(w.ctx(), item.ID, alert.Removed, actor))
		w.ok(w.SetKeyTrust(w.ctx(), cert.KeyHash(c.Certificate), true, actor))
		if got := w.item(item.ID); got.Trust != alert.Removed {
			w.Errorf("it is %+v", got)
		}
		if got, _, err := w.AddItem(w.ctx(), newItem(c)); err != nil || got.Trust != alert.Revoked {
			w.Errorf("added again it is %+v, %v", got, err)
		}
	},
	"key: a CA with a revoked one is added by no way": func(w *world) {
		root := w.ca("Root", 20)
		fresh := w.renewed(root, w.now)
		other := w.ca("Other", 20)
		item := w.addBundle("other", nil, other).Members[0].Item
		b := w.addBundle("root", nil, root)
		w.ok(w.RemoveBundle(w.ctx(), b.ID, actor))
		w.ok(w.SetKeyTrust(w.ctx(), cert.KeyHash(root.Certificate), true, actor))
		for name, c := range map[string]*certtest.Certificate{"unknown": fresh, "removed": root} {
			_, _, err := w.AddBundle(w.ctx(), newBundle(name, nil, c))
			w.fails(err, fault.Conflict, "key_revoked")
			_, err = w.Replace(w.ctx(), inventory.Replacement{OldItemID: item.ID, Certificate: c.Certificate, Actor: actor})
			w.fails(err, fault.Conflict, "key_revoked")
		}
	},
	"key: what is no hash is refused": func(w *world) {
		for _, key := range []string{"", "AB", "zz"} {
			w.fails(w.SetKeyTrust(w.ctx(), key, true, actor), fault.Invalid, "key")
		}
	},
	"constraints: are kept, replaced when they are given, and left when not": func(w *world) {
		root := w.ca("Root", 400)
		n := newBundle("root", nil, root)
		n.Constraints = &inventory.Constraints{PermitSAN: []string{"*.vendor.example", "uri:spiffe://x/*"}, PermitCN: []string{"vendor-*"}, MaxLeafLifetime: 90 * alert.Day}
		b, _, err := w.AddBundle(w.ctx(), n)
		w.ok(err)
		constraints := func(want inventory.Constraints) {
			w.Helper()
			trust, err := w.Trust(w.ctx())
			w.ok(err)
			if diff := cmp.Diff(want, trust.Bundles[0].Constraints); diff != "" {
				w.Error(diff)
			}
		}
		if diff := cmp.Diff(*n.Constraints, b.Constraints); diff != "" {
			w.Error(diff)
		}
		w.now = w.now.Add(time.Hour)
		w.bumps(false, func() {
			_, _, err := w.AddBundle(w.ctx(), newBundle("root", nil, root))
			w.ok(err)
			_, _, err = w.AddBundle(w.ctx(), n)
			w.ok(err)
			constraints(*n.Constraints)
		})
		n.Constraints = &inventory.Constraints{PermitSAN: []string{}, PermitCN: []string{}}
		w.bumps(true, func() {
			b, created, err := w.AddBundle(w.ctx(), n)
			w.ok(err)
			if created || !b.UpdatedAt.Equal(w.now) {
				w.Errorf("created %t, %+v", created, b)
			}
			constraints(*n.Constraints)
		})
		if got := w.actions(); !slices.Equal(got, []string{"ca.add", "ca.constraints"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
}
