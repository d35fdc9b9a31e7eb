package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// recordTests are about what the store keeps beside items and deliveries.
var recordTests = map[string]func(*world){
	"delivery: is listed by state and channel, newest first": func(w *world) {
		w.queue("mail", 2)
		w.queue("slack", 1)
		w.settle("w1", w.one("w1", "mail").Delivery.ID, alert.Outcome{State: alert.StateSent})
		for name, row := range map[string]struct {
			filter store.DeliveryFilter
			want   int
		}{
			"all": {store.DeliveryFilter{}, 3}, "limit": {store.DeliveryFilter{Limit: 2}, 2},
			"channel": {store.DeliveryFilter{Channel: "mail"}, 2}, "state": {store.DeliveryFilter{State: alert.StateSent}, 1},
			"both": {store.DeliveryFilter{State: alert.StateSent, Channel: "slack"}, 0},
		} {
			list, err := w.Deliveries(w.ctx(), row.filter)
			w.ok(err)
			if len(list) != row.want {
				w.Errorf("%s: %d deliveries, want %d", name, len(list), row.want)
			}
			if !slices.IsSortedFunc(list, func(a, b alert.Delivery) int { return b.CreatedAt.Compare(a.CreatedAt) }) {
				w.Errorf("%s: not the newest first", name)
			}
		}
		counts, err := w.DeliveryCounts(w.ctx())
		w.ok(err)
		want := map[alert.DeliveryState]int{
			alert.StatePending: 2, alert.StateSending: 0, alert.StateRetrying: 0, alert.StateSent: 1, alert.StateDead: 0, alert.StateCancelled: 0,
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			w.Error(diff)
		}
	},
	"delivery: what waits is counted by channel": func(w *world) {
		w.queue("mail", 3)
		w.queue("slack", 1)
		w.settle("w1", w.one("w1", "slack").Delivery.ID, alert.Outcome{State: alert.StateSent})
		w.one("w1", "mail")
		w.now = w.now.Add(time.Minute)
		w.queue("mail", 1)
		waiting, err := w.Waiting(w.ctx())
		w.ok(err)
		if diff := cmp.Diff(map[string]store.Backlog{"mail": {Count: 4, Oldest: Start}}, waiting); diff != "" {
			w.Error(diff)
		}
	},
	"delivery: is found by a prefix of its id": func(w *world) {
		w.queue("mail", 1)
		id := w.deliveries()[0].ID
		if got := w.delivery(id[:6]); got.ID != id {
			w.Errorf("it is %+v", got)
		}
		for _, ref := range []string{"", id[:5], "unknown", "ffffffffff"} {
			_, _, err := w.Delivery(w.ctx(), ref)
			w.fails(err, fault.NotFound, "")
		}
	},
	"token: is found by its hash until it is revoked": func(w *world) {
		item := w.addClient("client", 20)
		expires := w.now.Add(90 * alert.Day)
		token, secret, err := inventory.NewToken("pipeline", []string{inventory.ScopeRenew}, item.ID, &expires, w.now)
		w.ok(err)
		w.ok(w.CreateToken(w.ctx(), token, actor))
		w.fails(w.CreateToken(w.ctx(), token, actor), fault.Conflict, "name_in_use")
		got, err := w.TokenByHash(w.ctx(), inventory.HashToken(secret))
		w.ok(err)
		if diff := cmp.Diff(token, got); diff != "" {
			w.Error(diff)
		}
		_, err = w.TokenByHash(w.ctx(), inventory.HashToken("guess"))
		w.fails(err, fault.NotFound, "")
		if list, err := w.Tokens(w.ctx()); err != nil || len(list) != 1 {
			w.Errorf("%v, %v", list, err)
		}
		w.fails(w.RevokeToken(w.ctx(), token.ID[:5], actor), fault.NotFound, "")
		w.ok(w.RevokeToken(w.ctx(), token.ID[:12], actor))
		_, err = w.TokenByHash(w.ctx(), token.Hash)
		w.fails(err, fault.NotFound, "")
		w.fails(w.RevokeToken(w.ctx(), "pipeline", actor), fault.NotFound, "")
		entries, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 2})
		w.ok(err)
		if entries[0].Action != "token.revoke" || entries[1].Action != "token.create" {
			w.Errorf("the audit trail tells %+v", entries)
		}
		for _, e := range entries {
			if bytes.Contains([]byte(e.Before+e.After), []byte(secret)) || bytes.Contains([]byte(e.Before+e.After), []byte(hex.EncodeToString(token.Hash))) {
				w.Error("the audit trail tells a secret")
			}
		}
	},
	"token: remembers its last use to the minute": func(w *world) {
		token, _, err := inventory.NewToken("pipeline", []string{inventory.ScopeRead}, "", nil, w.now)
		w.ok(err)
		w.ok(w.CreateToken(w.ctx(), token, actor))
		for _, row := range []struct{ at, want time.Duration }{{0, 0}, {30 * time.Second, 0}, {61 * time.Second, 61 * time.Second}} {
			w.ok(w.TouchToken(w.ctx(), token.ID, Start.Add(row.at)))
			got, err := w.TokenByHash(w.ctx(), token.Hash)
			w.ok(err)
			if got.LastUsedAt == nil || !got.LastUsedAt.Equal(Start.Add(row.want)) {
				w.Errorf("after %v it was used at %v", row.at, got.LastUsedAt)
			}
		}
		w.fails(w.CreateToken(w.ctx(), inventory.Token{ID: "x", Name: "short", Hash: []byte("short")}, actor), fault.Invalid, "")
	},
	"audience: is 64 hex digits, the same for good, and each application's own": func(w *world) {
		var (
			mu    sync.Mutex
			seen  = map[string]bool{}
			group sync.WaitGroup
		)
		for range 8 {
			group.Go(func() {
				aud, err := w.Audience(w.ctx(), "orders")
				if err != nil {
					w.Error(err)
				}
				mu.Lock()
				seen[aud] = true
				mu.Unlock()
			})
		}
		group.Wait()
		aud, err := w.Audience(w.ctx(), "orders")
		w.ok(err)
		if decoded, err := hex.DecodeString(aud); len(seen) != 1 || !seen[aud] || err != nil || len(decoded) != sha256.Size {
			w.Errorf("seen %v, %q", seen, aud)
		}
		if other, err := w.Audience(w.ctx(), "billing"); err != nil || other == aud {
			w.Errorf("%q, %v", other, err)
		}
	},
	"signing keys: come back as they went in, newest first": func(w *world) {
		w.ok(w.AddSigningKey(w.ctx(), "one", []byte("private one"), actor))
		w.now = w.now.Add(time.Second)
		w.ok(w.AddSigningKey(w.ctx(), "two", []byte("private two"), actor))
		w.fails(w.AddSigningKey(w.ctx(), "two", []byte("again"), actor), fault.Conflict, "kid_in_use")
		keys, err := w.SigningKeys(w.ctx())
		w.ok(err)
		want := []store.SigningKey{
			{KID: "two", DER: []byte("private two"), CreatedAt: Start.Add(time.Second)}, {KID: "one", DER: []byte("private one"), CreatedAt: Start},
		}
		if diff := cmp.Diff(want, keys); diff != "" {
			w.Error(diff)
		}
		w.ok(w.RemoveSigningKey(w.ctx(), "one", actor))
		rows, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 2})
		w.ok(err)
		if rows[0].Action != "key.remove" || rows[0].Object != "key:one" || rows[1].Action != "key.add" || rows[1].Object != "key:two" || rows[0].ActorID != actor.ID {
			w.Errorf("the audit trail says %+v", rows)
		}
		w.fails(w.RemoveSigningKey(w.ctx(), "one", actor), fault.NotFound, "no_kid")
		if keys, err = w.SigningKeys(w.ctx()); err != nil || len(keys) != 1 || keys[0].KID != "two" {
			w.Errorf("after one was removed there are %v, %v", keys, err)
		}
	},
	"signing keys: how often they are replaced": func(w *world) {
		if every, err := w.KeyRotation(w.ctx()); err != nil || every != 0 {
			w.Errorf("before anybody said: %s, %v", every, err)
		}
		before, err := w.Audit(w.ctx(), inventory.AuditFilter{})
		w.ok(err)
		w.ok(w.SetKeyRotation(w.ctx(), 30*alert.Day, actor))
		w.ok(w.SetKeyRotation(w.ctx(), 30*alert.Day, actor)) // changes nothing
		w.ok(w.SetKeyRotation(w.ctx(), 21*alert.Day, actor))
		if every, err := w.KeyRotation(w.ctx()); err != nil || every != 21*alert.Day {
			w.Errorf("afterwards: %s, %v", every, err)
		}
		rows, err := w.Audit(w.ctx(), inventory.AuditFilter{})
		w.ok(err)
		if len(rows) != len(before)+2 || rows[0].Action != "keys.update" || rows[0].Before != `{"key_rotation":"720h0m0s"}` || rows[0].After != `{"key_rotation":"504h0m0s"}` || rows[1].Before != "" {
			w.Errorf("the audit trail says %+v", rows)
		}
	},
	"data version: tells of any commit": func(w *world) {
		version := func() int64 {
			w.Helper()
			v, err := w.DataVersion(w.ctx())
			w.ok(err)
			return v
		}
		before := version()
		if version() != before {
			w.Error("it changed without a commit")
		}
		w.addClient("client", 20)
		if version() == before {
			w.Error("a commit went unnoticed")
		}
	},
	"groups: count by kind, watch and labels, without what is removed": func(w *world) {
		w.addClient("one", 20)
		w.ok(w.SetTrust(w.ctx(), w.addClient("two", 20).ID, alert.Removed, actor))
		n := newItem(certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day))))
		n.Labels = map[string]string{"team": "payments"}
		_, _, err := w.AddItem(w.ctx(), n)
		w.ok(err)
		groups, err := w.Groups(w.ctx())
		w.ok(err)
		counts := map[string]int{}
		for _, g := range groups {
			counts[string(g.Kind)+" "+string(g.Watch)+" "+g.Labels["team"]] += g.Count
		}
		if diff := cmp.Diff(map[string]int{"client active ": 1, "client active payments": 1}, counts); diff != "" {
			w.Error(diff)
		}
	},
	"purge: takes what is settled and old, never what was told": func(w *world) {
		items := w.queue("mail", 3)
		jobs := w.claim("w1", "mail", 2)
		w.settle("w1", jobs[0].Delivery.ID, alert.Outcome{State: alert.StateSent, Notice: w.notice("slack")})
		w.settle("w1", w.one("w1", "slack").Delivery.ID, alert.Outcome{State: alert.StateSent})
		old := w.now.Add(time.Second)
		w.now = w.now.Add(time.Hour)
		w.settle("w1", jobs[1].Delivery.ID, alert.Outcome{State: alert.StateDead})
		w.ok(w.SetTrust(w.ctx(), items[2].ID, alert.Revoked, actor))
		w.ok(w.Purge(w.ctx(), old))
		list := w.deliveries()
		if len(list) != 2 { // the dead one and the one that was cancelled an hour later
			w.Errorf("%d deliveries are left: %+v", len(list), list)
		}
		if alerts, err := w.Alerts(w.ctx(), 0); err != nil || len(alerts) != 3 {
			w.Errorf("%d alerts, %v", len(alerts), err)
		}
		if actions := w.actions(); !cmp.Equal(actions, []string{"item.trust"}) {
			w.Errorf("the audit trail tells %v", actions)
		}
		if _, err := w.Audit(w.ctx(), inventory.AuditFilter{}); err != nil {
			w.Error(err)
		}
	},
	"purge: leaves the last sighting of an item that is known by nothing else": func(w *world) {
		c := certtest.SelfSigned(certtest.Validity(w.now, w.now.Add(20*alert.Day)))
		for i, host := range []string{"a.example.com", "b.example.com"} {
			n := newItem(c)
			at := Start.Add(time.Duration(i) * time.Hour)
			n.Source = alert.Source{Kind: alert.SourceObserved, Reference: host, FirstSeen: at, LastSeen: at}
			_, _, err := w.AddItem(w.ctx(), n)
			w.ok(err)
		}
		w.ok(w.Purge(w.ctx(), Start.Add(alert.Day)))
		items, err := w.Items(w.ctx(), inventory.ItemFilter{})
		w.ok(err)
		if len(items[0].Sources) != 1 || items[0].Sources[0].Reference != "b.example.com" {
			w.Errorf("sources %+v", items[0].Sources)
		}
	},
	"audit: newest first, at most as many as asked for": func(w *world) {
		w.addClient("one", 20)
		w.addClient("two", 20)
		w.addClient("three", 20)
		entries, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 2})
		w.ok(err)
		if len(entries) != 2 || entries[0].ID < entries[1].ID {
			w.Errorf("%+v", entries)
		}
	},
}
