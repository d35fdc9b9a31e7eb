package storetest

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

var errCheck = fault.New(fault.Conflict, "check", "not as it was")

var changeTests = map[string]func(*world){
	"change: hostnames and name are replaced, with one audit row and the same id": func(w *world) {
		b := w.addBundle("root", []string{"a.example.com", "b.example.com"}, w.ca("Root", 400))
		w.now = w.now.Add(time.Hour)
		var after inventory.Bundle
		w.bumps(true, func() {
			after = w.update(inventory.BundleUpdate{ID: b.ID, Name: "renamed", Hostnames: []string{"c.example.com", "b.example.com"}})
		})
		if after.ID != b.ID || after.Name != "renamed" || !slices.Equal(after.Hostnames, []string{"b.example.com", "c.example.com"}) ||
			!after.UpdatedAt.Equal(w.now) || !after.CreatedAt.Equal(b.CreatedAt) || after.Version() == b.Version() {
			w.Errorf("the bundle is %+v", after)
		}
		w.bumps(false, func() {
			again := w.update(inventory.BundleUpdate{ID: b.ID, Name: "renamed", Hostnames: after.Hostnames})
			if again.Version() != after.Version() {
				w.Error("the same again makes another version")
			}
		})
		if got := w.actions(); !slices.Equal(got, []string{"ca.add", "ca.update"}) {
			w.Errorf("the audit trail tells %v", got)
		}
		if cleared := w.update(inventory.BundleUpdate{ID: b.ID, Name: "renamed"}); len(cleared.Hostnames) != 0 {
			w.Errorf("hostnames %v", cleared.Hostnames)
		}
	},
	"change: a renewal, a name and hostnames go together or not at all": func(w *world) {
		root := w.ca("Root", 20)
		b := w.addBundle("root", []string{"a.example.com"}, root)
		w.scan(w.tell("mail"))
		w.addBundle("other", nil, w.ca("Other", 400))
		u := inventory.BundleUpdate{
			ID: b.ID, Name: "other", Hostnames: b.Hostnames,
			Renewals: []inventory.Replacement{{OldItemID: b.Members[0].Item.ID, Certificate: w.renewed(root, w.now).Certificate, Actor: actor}}, Actor: actor,
		}
		w.bumps(false, func() {
			_, err := w.UpdateBundle(w.ctx(), u)
			w.fails(err, fault.Conflict, "name_in_use")
		})
		if got := w.item(b.Members[0].Item.ID); got.Watch != alert.Active {
			w.Errorf("a refused change renewed: %+v", got)
		}
		u.Name = "root"
		after := w.update(u)
		if len(after.Members) != 2 || after.Members[1].Item.Watch != alert.Superseded || after.Members[1].Item.Trust != alert.Trusted || after.ID != b.ID {
			w.Errorf("the bundle is %+v", after)
		}
		if d := w.deliveries(); len(d) != 1 || d[0].State != alert.StateCancelled {
			w.Errorf("the deliveries are %+v", d)
		}
	},
	"change: a check sees what is stored and keeps it": func(w *world) {
		b := w.addBundle("root", []string{"a.example.com"}, w.ca("Root", 400))
		refuse := func(seen inventory.Bundle) error {
			if seen.Version() != b.Version() {
				w.Errorf("it sees %+v", seen)
			}
			return errCheck
		}
		w.bumps(false, func() {
			_, err := w.UpdateBundle(w.ctx(), inventory.BundleUpdate{ID: b.ID, Name: "root", Check: refuse, Actor: actor})
			w.fails(err, fault.Conflict, "check")
			w.fails(w.RemoveBundle(w.ctx(), b.ID, actor, refuse), fault.Conflict, "check")
		})
		if got, err := w.Bundle(w.ctx(), b.ID); err != nil || got.Version() != b.Version() {
			w.Errorf("%+v, %v", got, err)
		}
		_, err := w.UpdateBundle(w.ctx(), inventory.BundleUpdate{ID: "nobody", Actor: actor})
		w.fails(err, fault.NotFound, "")
	},
	"change: each thing that happens to a bundle makes another version": func(w *world) {
		root := w.ca("Root", 400)
		b := w.addBundle("root", nil, root)
		last := b.Version()
		for i, act := range []func(){
			func() { w.ok(w.SetTrust(w.ctx(), b.Members[0].Item.ID, alert.Revoked, actor)) },
			func() { w.ok(w.SetTrust(w.ctx(), b.Members[0].Item.ID, alert.Trusted, actor)) },
			func() { w.ok(w.SetWatch(w.ctx(), b.Members[0].Item.ID, alert.Ignored, actor)) },
			func() { w.update(inventory.BundleUpdate{ID: b.ID, Name: "root", Hostnames: []string{"a.example.com"}}) },
		} {
			act()
			now, err := w.Bundle(w.ctx(), b.ID)
			w.ok(err)
			if now.Version() == last {
				w.Errorf("act %d: the version is the same", i)
			}
			last = now.Version()
		}
	},
	"change: a bundle that has to be new is not extended": func(w *world) {
		root := w.ca("Root", 400)
		b := w.addBundle("root", []string{"a.example.com"}, root)
		again := newBundle("root", []string{"b.example.com"}, root)
		again.Only = true
		w.bumps(false, func() {
			_, created, err := w.AddBundle(w.ctx(), again)
			w.fails(err, fault.Conflict, "stored")
			if created {
				w.Error("it was created")
			}
		})
		if got, err := w.Bundle(w.ctx(), b.ID); err != nil || got.Version() != b.Version() {
			w.Errorf("%+v, %v", got, err)
		}
	},
	"settings: the whole list is replaced in its order, with an audit row": func(w *world) {
		list := []inventory.HostnameSetting{{Hostname: "z.example.com", ForwardClientCert: true}, {Hostname: "*.example.com"}}
		w.bumps(true, func() { w.ok(w.SetHostnameSettings(w.ctx(), list, nil, actor)) })
		w.bumps(false, func() { w.ok(w.SetHostnameSettings(w.ctx(), list, nil, actor)) })
		snapshot, err := w.Trust(w.ctx())
		w.ok(err)
		if got := w.settings(); !slices.Equal(got, list) || !slices.Equal(snapshot.Settings, list) {
			w.Errorf("settings %+v, of the snapshot %+v", got, snapshot.Settings)
		}
		w.bumps(false, func() {
			w.fails(w.SetHostnameSettings(w.ctx(), nil, func(seen []inventory.HostnameSetting) error {
				if !slices.Equal(seen, list) {
					w.Errorf("the check sees %+v", seen)
				}
				return errCheck
			}, actor), fault.Conflict, "check")
		})
		w.bumps(true, func() { w.ok(w.SetHostnameSettings(w.ctx(), nil, nil, actor)) })
		if got := w.settings(); got == nil || len(got) != 0 {
			w.Errorf("settings %+v", got)
		}
		if got := w.actions(); !slices.Equal(got, []string{"settings.update", "settings.update"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
}

func (w *world) update(u inventory.BundleUpdate) inventory.Bundle {
	w.Helper()
	u.Actor = actor
	b, err := w.UpdateBundle(w.ctx(), u)
	w.ok(err)
	return b
}

func (w *world) settings() []inventory.HostnameSetting {
	w.Helper()
	list, err := w.HostnameSettings(w.ctx())
	w.ok(err)
	return list
}
