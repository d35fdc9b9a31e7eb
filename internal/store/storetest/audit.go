package storetest

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// auditTests are about what the audit trail says and how it is searched.
var auditTests = map[string]func(*world){
	"audit: is searched by what people have in hand": func(w *world) {
		bundle := w.addBundle("partner", []string{"a.example.com"}, w.ca("Root", 400))
		client := w.addClient("client", 20)
		token, _, err := inventory.NewToken("pipeline", []string{inventory.ScopeWrite}, "", nil, w.now)
		w.ok(err)
		w.ok(w.CreateToken(w.ctx(), token, actor))
		w.now = w.now.Add(time.Hour)
		w.ok(w.SetTrust(w.ctx(), client.ID, alert.Revoked, inventory.Actor{Kind: inventory.ActorToken, ID: token.ID}))
		w.ok(w.RevokeToken(w.ctx(), "pipeline", actor))
		w.ok(w.RemoveBundle(w.ctx(), bundle.ID, inventory.Actor{Kind: inventory.ActorLocal, ID: "bob"}))
		for name, row := range map[string]struct {
			filter inventory.AuditFilter
			want   []string // oldest first
		}{
			"everything":                {inventory.AuditFilter{}, []string{"ca.add", "item.add", "token.create", "item.trust", "token.revoke", "item.remove", "ca.remove"}},
			"the newest":                {inventory.AuditFilter{Limit: 1}, []string{"ca.remove"}},
			"an object as it is shown":  {inventory.AuditFilter{Object: "bundle:" + bundle.ID}, []string{"ca.add", "ca.remove"}},
			"an id":                     {inventory.AuditFilter{Object: client.ID}, []string{"item.add", "item.trust"}},
			"the first digits of an id": {inventory.AuditFilter{Object: client.ID[:6]}, []string{"item.add", "item.trust"}},
			"too few of them":           {inventory.AuditFilter{Object: client.ID[:5]}, nil},
			"a fingerprint":             {inventory.AuditFilter{Object: client.Fingerprint}, []string{"item.add", "item.trust"}},
			"its first digits":          {inventory.AuditFilter{Object: client.Fingerprint[:8]}, []string{"item.add", "item.trust"}},
			"a serial":                  {inventory.AuditFilter{Object: client.Serial}, []string{"item.add", "item.trust"}},
			"a bundle that is no more":  {inventory.AuditFilter{Object: "partner"}, []string{"ca.add", "ca.remove"}},
			"a token that is no more":   {inventory.AuditFilter{Object: "pipeline"}, []string{"token.create", "token.revoke"}},
			"no object":                 {inventory.AuditFilter{Object: "nobody"}, nil},
			"a kind of actor":           {inventory.AuditFilter{Actor: "token"}, []string{"item.trust"}},
			"an actor as it is shown":   {inventory.AuditFilter{Actor: "local:bob"}, []string{"item.remove", "ca.remove"}},
			"a user":                    {inventory.AuditFilter{Actor: "bob"}, []string{"item.remove", "ca.remove"}},
			"the name of a token":       {inventory.AuditFilter{Actor: "pipeline"}, []string{"item.trust"}},
			"digits of a token":         {inventory.AuditFilter{Actor: token.ID[:6]}, []string{"item.trust"}},
			"no actor":                  {inventory.AuditFilter{Actor: "nobody"}, nil},
			"an action":                 {inventory.AuditFilter{Action: "ca.add"}, []string{"ca.add"}},
			"an area":                   {inventory.AuditFilter{Action: "token"}, []string{"token.create", "token.revoke"}},
			"half an area":              {inventory.AuditFilter{Action: "tok"}, nil},
			"since":                     {inventory.AuditFilter{Since: w.now}, []string{"item.trust", "token.revoke", "item.remove", "ca.remove"}},
			"until":                     {inventory.AuditFilter{Until: w.now}, []string{"ca.add", "item.add", "token.create"}},
			"several at once":           {inventory.AuditFilter{Since: w.now, Actor: "bob", Action: "ca"}, []string{"ca.remove"}},
			"what looks like SQL":       {inventory.AuditFilter{Object: "' OR 1=1 --", Actor: "%"}, nil},
		} {
			entries, err := w.Audit(w.ctx(), row.filter)
			w.ok(err)
			var got []string
			for _, e := range slices.Backward(entries) {
				got = append(got, e.Action)
			}
			if !slices.Equal(got, row.want) {
				w.Errorf("%s: %q, want %q", name, got, row.want)
			}
		}
	},
	"audit: tells of labels that are added, of a key's trust and of the clock": func(w *world) {
		c := certtest.SelfSigned(certtest.CommonName("client"), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
		for _, team := range []string{"payments", "payments", "orders"} {
			n := newItem(c)
			n.Labels = map[string]string{"team": team}
			_, _, err := w.AddItem(w.ctx(), n)
			w.ok(err)
		}
		w.expectRow("item.labels", `{"labels":{"team":"payments"}}`, `{"labels":{"team":"orders"}}`)
		key := "000000000000000000000000000000000000000000000000000000000000000a"
		w.ok(w.SetKeyTrust(w.ctx(), key, true, actor))
		w.expectRow("key.revoke", `{"revoked":false}`, `{"revoked":true}`)
		w.ok(w.AcceptClock(w.ctx(), w.now, actor))
		w.expectRow("clock.accept", "", `{"at":"2026-03-01T12:00:00Z"}`)
		w.ok(w.AcceptClock(w.ctx(), w.now.Add(time.Hour), actor))
		w.expectRow("clock.accept", `{"at":"2026-03-01T12:00:00Z"}`, `{"at":"2026-03-01T13:00:00Z"}`)
		root := w.ca("Root", 400)
		w.addBundle("root", []string{"a.example.com"}, root)
		_, _, err := w.AddBundle(w.ctx(), newBundle("root", []string{"b.example.com"}, root))
		w.ok(err)
		w.expectRow("ca.hostnames", `{"hostnames":["a.example.com"]}`, `{"hostnames":["a.example.com","b.example.com"]}`)
		if got := w.actions(); len(got) != 7 {
			w.Errorf("the trail is %q", got)
		}
	},
}

// expectRow holds the newest audit row to an action by the tests' actor.
func (w *world) expectRow(action, before, after string) {
	w.Helper()
	rows, err := w.Audit(w.ctx(), inventory.AuditFilter{Limit: 1})
	w.ok(err)
	e := rows[0]
	if e.Action != action || e.Before != before || e.After != after || e.ActorKind != actor.Kind || e.ActorID != actor.ID || e.RequestID != actor.RequestID {
		w.Errorf("the newest row is %+v", e)
	}
}
