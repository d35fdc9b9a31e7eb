package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/inventory"
)

// accessTests are about applications and policies.
var accessTests = map[string]func(*world){
	"access: what is made is found again, whole": func(w *world) {
		app, own, shared := newApplication("orders", "a"), newPolicy("own"), newPolicy("shared")
		shared.Reusable = true
		app.Policies = []inventory.AttachedPolicy{{Policy: shared, Precedence: 1}, {Policy: own, Precedence: 5}}
		want := inventory.Access{Applications: []inventory.Application{app}, Reusable: []inventory.Policy{shared}}
		w.bumps(true, func() { w.edit(func(all *inventory.Access) { *all = want.Clone() }) })
		for i := range want.Applications {
			want.Applications[i].CreatedAt, want.Applications[i].UpdatedAt = w.now, w.now
			for j := range want.Applications[i].Policies {
				p := &want.Applications[i].Policies[j]
				p.CreatedAt, p.UpdatedAt = w.now, w.now
			}
		}
		want.Reusable[0].CreatedAt, want.Reusable[0].UpdatedAt = w.now, w.now
		trust, err := w.Trust(w.ctx())
		w.ok(err)
		for name, got := range map[string]inventory.Access{"by itself": w.access(), "with what is trusted": trust.Access} {
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if got := w.actions(); !slices.Equal(got, []string{"application.add", "policy.add", "policy.add"}) {
			w.Errorf("the audit trail tells %v", got)
		}
		w.now = w.now.Add(time.Hour)
		w.bumps(false, func() { w.edit(func(*inventory.Access) {}) })
	},
	"access: a change is told, and no more than that": func(w *world) {
		app, shared := newApplication("orders", "a"), newPolicy("shared")
		shared.Reusable = true
		other := newApplication("shop", "b")
		other.Policies = []inventory.AttachedPolicy{{Policy: shared, Precedence: 1}}
		w.edit(func(all *inventory.Access) {
			*all = inventory.Access{Applications: []inventory.Application{app, other}, Reusable: []inventory.Policy{shared}}
		})
		before := len(w.actions())
		w.now = w.now.Add(time.Hour)
		w.bumps(true, func() {
			w.edit(func(all *inventory.Access) {
				all.Reusable[0].Action = "block"
				find(all, "orders").Places = []inventory.Place{{Hostname: "c.example.com", Path: "/x"}, {Hostname: "a.example.com", Path: "/"}}
			})
		})
		all := w.access()
		if got := find(&all, "shop"); got.Policies[0].Action != "block" || !got.UpdatedAt.Equal(Start) || !got.Policies[0].UpdatedAt.Equal(w.now) {
			w.Errorf("who has the policy is %+v", got)
		}
		if got := find(&all, "orders"); got.Places[0].Hostname != "c.example.com" || !got.CreatedAt.Equal(Start) || !got.UpdatedAt.Equal(w.now) {
			w.Errorf("the changed one is %+v", got)
		}
		if got := w.actions()[before:]; !slices.Equal(got, []string{"application.update", "policy.update"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"access: what is deleted takes its own policies along": func(w *world) {
		app, own, shared := newApplication("orders", "a"), newPolicy("own"), newPolicy("shared")
		shared.Reusable = true
		app.Policies = []inventory.AttachedPolicy{{Policy: own, Precedence: 1}, {Policy: shared, Precedence: 2}}
		w.edit(func(all *inventory.Access) {
			*all = inventory.Access{Applications: []inventory.Application{app}, Reusable: []inventory.Policy{shared}}
		})
		w.bumps(true, func() { w.edit(func(all *inventory.Access) { all.Applications = nil }) })
		if all := w.access(); len(all.Applications) != 0 || len(all.Reusable) != 1 {
			w.Errorf("left is %+v", all)
		}
		if got := w.actions(); !slices.Equal(got[len(got)-2:], []string{"application.remove", "policy.remove"}) {
			w.Errorf("the audit trail tells %v", got)
		}
		w.edit(func(all *inventory.Access) { all.Reusable = nil })
		again := newApplication("orders", "a") // the name and the place are free again
		w.edit(func(all *inventory.Access) { all.Applications = []inventory.Application{again} })
	},
	"access: an error changes nothing": func(w *world) {
		w.edit(func(all *inventory.Access) { all.Applications = []inventory.Application{newApplication("orders", "a")} })
		no := errors.New("no")
		w.bumps(false, func() {
			_, err := w.EditAccess(w.ctx(), func(all *inventory.Access) error { all.Applications = nil; return no }, actor)
			if !errors.Is(err, no) {
				w.Errorf("the error is %v", err)
			}
		})
		// Two of one name, or at one place, are stored by no way.
		for _, second := range []inventory.Application{newApplication("orders", "b"), newApplication("other", "a")} {
			w.bumps(false, func() {
				if _, err := w.EditAccess(w.ctx(), func(all *inventory.Access) error {
					all.Applications = append(all.Applications, second)
					return nil
				}, actor); err == nil {
					w.Errorf("%+v is stored", second)
				}
			})
		}
		if got := w.access().Applications; len(got) != 1 || got[0].Name != "orders" {
			w.Errorf("stored are %+v", got)
		}
	},
}

func (w *world) edit(change func(*inventory.Access)) {
	w.Helper()
	_, err := w.EditAccess(w.ctx(), func(all *inventory.Access) error { change(all); return nil }, actor)
	w.ok(err)
}

func (w *world) access() inventory.Access {
	w.Helper()
	all, err := w.Access(w.ctx())
	w.ok(err)
	return all
}

func find(all *inventory.Access, name string) *inventory.Application {
	i := slices.IndexFunc(all.Applications, func(a inventory.Application) bool { return a.Name == name })
	return &all.Applications[i]
}

// newApplication is one at a host name of one label, with everything set.
func newApplication(name, label string) inventory.Application {
	return inventory.Application{
		ID: "id of " + name + label, Name: name, AUD: strings.Repeat("a", 32) + name + label, Places: []inventory.Place{{Hostname: label + ".example.com", Path: "/"}, {Hostname: label + ".example.com", Path: "/admin"}},
		Primary: 1, Origin: "https://origin.example.com", SessionDuration: "24h", DenyMessage: "no", DenyURL: "https://help.example.com", OptionsPreflightBypass: true,
		Cookie: inventory.Cookie{Readable: true, SameSite: "lax", ScopePath: true}, Inert: map[string]json.RawMessage{"tags": []byte(`["a"]`)},
		Policies: []inventory.AttachedPolicy{},
	}
}

func newPolicy(name string) inventory.Policy {
	return inventory.Policy{
		ID: "id of " + name, Name: name, Action: "allow", SessionDuration: "1h",
		Include: []inventory.Selector{{Key: "certificate", CA: "root"}}, Require: []inventory.Selector{{Key: "ip", Values: []string{"192.0.2.0/24"}}}, Exclude: []inventory.Selector{},
	}
}
