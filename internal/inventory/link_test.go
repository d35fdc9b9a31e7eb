package inventory_test

import (
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

func holder(itemID string) inventory.Actor {
	return inventory.Actor{Kind: inventory.ActorLink, ID: itemID, RequestID: "r1"}
}

func (b *bench) watch(t *testing.T, id string) alert.Watch {
	t.Helper()
	item, err := b.store.Item(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return item.Watch
}

func TestRenewLinked(t *testing.T) {
	t.Parallel()
	name := certtest.CommonName("Partner CA")
	old := certtest.NewCA(name, until(20*alert.Day))
	for _, tc := range []struct {
		name  string
		fresh *certtest.Certificate
		want  string
	}{
		{"the same key", old.Renew(until(400 * alert.Day)), inventory.StatusRenewed},
		{"a self-made CA of the same name", certtest.NewCA(name, until(400*alert.Day)), inventory.StatusProposed},
		{"not valid yet", old.Renew(certtest.Validity(start.Add(alert.Day), start.Add(400*alert.Day))), inventory.StatusPending},
		{"of another name", certtest.NewCA(certtest.CommonName("Evil CA"), until(400*alert.Day)), "subject_differs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			item := b.addCA(t, "partner", old).Members[0].Item
			before := b.generation(t)
			seen, err := b.PreviewLinked(t.Context(), item.ID, tc.fresh.PEM())
			if got := outcome(inventory.Renewal{Status: seen.Status}, err); got != tc.want || b.generation(t) != before || b.watch(t, item.ID) != alert.Active {
				t.Fatalf("a preview says %s (%v), want %s and no change", got, err, tc.want)
			}
			done, err := b.RenewLinked(t.Context(), item.ID, tc.fresh.PEM(), holder(item.ID))
			if got := outcome(done, err); got != tc.want {
				t.Fatalf("RenewLinked: %s (%v), want %s", got, err, tc.want)
			}
			b.checkCA(t, item, tc.fresh, tc.want, before)
		})
	}
}

// TestLinked_Once holds that a link ends with the renewal it was for, also with
// one that waits, and not with a proposal.
func TestLinked_Once(t *testing.T) {
	t.Parallel()
	name := certtest.CommonName("Partner CA")
	old := certtest.NewCA(name, until(20*alert.Day))
	for _, tc := range []struct {
		name  string
		fresh *certtest.Certificate
		rule  string
	}{
		{"renewed", old.Renew(until(400 * alert.Day)), "link_used"},
		{"pending", old.Renew(certtest.Validity(start.Add(alert.Day), start.Add(400*alert.Day))), "link_used"},
		{"proposed", certtest.NewCA(name, until(400*alert.Day)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			item := b.addCA(t, "partner", old).Members[0].Item
			if _, err := b.RenewLinked(t.Context(), item.ID, tc.fresh.PEM(), holder(item.ID)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Linked(t.Context(), item.ID); fault.Rule(err) != tc.rule {
				t.Errorf("Linked: %v, want the rule %q", err, tc.rule)
			}
			again := old.Renew(until(500 * alert.Day))
			if _, err := b.RenewLinked(t.Context(), item.ID, again.PEM(), holder(item.ID)); fault.Rule(err) != tc.rule {
				t.Errorf("RenewLinked: %v, want the rule %q", err, tc.rule)
			}
			// The store itself admits one, whatever two requests saw before.
			_, err := b.Renew(t.Context(), inventory.RenewRequest{
				Data: old.Renew(until(600 * alert.Day)).PEM(), ItemRef: item.ID, Authority: inventory.Authority{Once: true}, Actor: holder(item.ID),
			})
			if tc.name == "pending" && fault.Rule(err) != "link_used" {
				t.Errorf("Renew once more: %v", err)
			}
		})
	}
}

func TestLinked_Over(t *testing.T) {
	t.Parallel()
	for rule, meanwhile := range map[string]func(*testing.T, *bench, alert.Item){
		"link_ended": func(_ *testing.T, b *bench, _ alert.Item) { b.now = start.Add(20*alert.Day + time.Second) },
		"link_item": func(t *testing.T, b *bench, item alert.Item) {
			if _, err := b.SetTrust(t.Context(), item.ID, alert.Revoked, actor); err != nil {
				t.Fatal(err)
			}
		},
		"": func(t *testing.T, b *bench, item alert.Item) { // a new epoch is no end
			for _, again := range []bool{false, true} {
				if _, err := b.Ignore(t.Context(), item.ID, again, actor); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			old := certtest.NewCA(certtest.CommonName("CA"), until(20*alert.Day))
			item := b.addCA(t, "ca", old).Members[0].Item
			meanwhile(t, b, item)
			before := b.generation(t)
			if _, err := b.Linked(t.Context(), item.ID); fault.Rule(err) != rule {
				t.Errorf("Linked: %v, want the rule %q", err, rule)
			}
			if _, err := b.RenewLinked(t.Context(), item.ID, old.Renew(until(400*alert.Day)).PEM(), holder(item.ID)); fault.Rule(err) != rule || (b.generation(t) != before) != (rule == "") {
				t.Errorf("RenewLinked: %v, want the rule %q", err, rule)
			}
		})
	}
	b := newBench(t)
	if _, err := b.Linked(t.Context(), "6f1c2f0e-3f1b-4c1e-9d64-0f6b4f6d2a11"); fault.Rule(err) != "link_item" {
		t.Errorf("of an item that is not stored: %v", err)
	}
}

func TestLinked_Dependents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("CA"), until(20*alert.Day))
	item := b.addCA(t, "ca", ca).Members[0].Item
	var ids []string
	for _, who := range []string{"one", "two"} {
		ids = append(ids, b.addClient(t, ca.Issue(certtest.CommonName(who), certtest.Client(), until(10*alert.Day))).ID)
	}
	b.addClient(t, certtest.NewCA(certtest.CommonName("Other")).Issue(certtest.Client(), until(10*alert.Day)))
	if _, err := b.SetTrust(t.Context(), ids[1], alert.Removed, actor); err != nil {
		t.Fatal(err)
	}
	got, err := b.Linked(t.Context(), item.ID)
	if err != nil || got.Item.ID != item.ID || len(got.Dependents) != 1 || got.Dependents[0].ID != ids[0] || got.More {
		t.Errorf("%+v, %v; want the one active client of this CA", got, err)
	}
}

func TestRenewPresented(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("CA"), until(400*alert.Day))
	middle := ca.Intermediate(certtest.CommonName("Middle"), until(400*alert.Day))
	who := certtest.CommonName("device 7")
	old := ca.Issue(who, certtest.Client(), until(10*alert.Day))
	present := func(b *bench, fresh *certtest.Certificate) (inventory.Renewal, error) {
		return b.RenewPresented(t.Context(), inventory.Presentation{
			Presented: old.Certificate, Next: fresh.Certificate, Hostname: "orders.example.com", RequestID: "r7",
		})
	}
	t.Run("known", func(t *testing.T) {
		b := newBench(t)
		b.addCA(t, "ca", ca)
		item := b.addClient(t, old)
		fresh := ca.Issue(who, certtest.Client(), until(90*alert.Day))
		done, err := present(b, fresh)
		if err != nil || done.Status != inventory.StatusRenewed || done.Replaces.ID != item.ID || done.Repeated {
			t.Fatalf("%+v, %v", done, err)
		}
		if got := done.Item.Sources; len(got) != 1 || got[0].Kind != alert.SourceUpload {
			t.Errorf("the successor of one that was handed in: sources %+v", got)
		}
		again, err := present(b, fresh)
		if err != nil || !again.Repeated || again.Item.ID != done.Item.ID {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := present(b, ca.Issue(who, certtest.Client(), until(91*alert.Day))); fault.Rule(err) != "superseded" {
			t.Errorf("by the old certificate once more: %v", err)
		}
		rows, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
		if err != nil || rows[0].ActorKind != "client" || rows[0].ActorID != cert.Fingerprint(old.Certificate) || rows[0].RequestID != "r7" {
			t.Errorf("audit %+v, %v", rows[0], err)
		}
	})
	t.Run("unknown, by an intermediate of its own", func(t *testing.T) {
		b := newBench(t)
		b.addCA(t, "ca", ca)
		done, err := present(b, middle.Issue(who, certtest.Client(), until(90*alert.Day)))
		if err != nil || done.Status != inventory.StatusRenewed || done.Replaces.Fingerprint != cert.Fingerprint(old.Certificate) {
			t.Fatalf("%+v, %v", done, err)
		}
		if len(done.Replaces.Sources) != 1 || done.Replaces.Sources[0].Kind != alert.SourceObserved || done.Replaces.Sources[0].Reference != "orders.example.com" {
			t.Errorf("sources %+v", done.Replaces.Sources)
		}
		if !done.Item.OnlyObserved() || done.Item.Sources[0].Reference != "orders.example.com" {
			t.Errorf("the successor of one that was only seen: sources %+v", done.Item.Sources)
		}
	})
	t.Run("removed", func(t *testing.T) {
		b := newBench(t)
		item := b.addClient(t, old)
		if _, err := b.SetTrust(t.Context(), item.ID, alert.Removed, actor); err != nil {
			t.Fatal(err)
		}
		if _, err := present(b, ca.Issue(who, certtest.Client(), until(90*alert.Day))); fault.Rule(err) != "not_trusted" {
			t.Errorf("%v, want the rule not_trusted", err)
		}
	})
	t.Run("of another name", func(t *testing.T) {
		b := newBench(t)
		before := b.addClient(t, old)
		if _, err := present(b, ca.Issue(certtest.CommonName("admin"), certtest.Client(), until(90*alert.Day))); fault.Rule(err) != "subject_differs" {
			t.Errorf("%v, want the rule subject_differs", err)
		}
		if b.watch(t, before.ID) != alert.Active {
			t.Error("it silenced the alerts")
		}
	})
}

func TestDecline(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	item := b.addCA(t, "ca", certtest.NewCA(certtest.CommonName("CA"), until(20*alert.Day))).Members[0].Item
	fresh := certtest.NewCA(certtest.CommonName("CA"), until(400*alert.Day))
	p := b.propose(t, "ca", fresh)
	before := b.generation(t)
	list, err := b.Proposals(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != p.ID || !list[0].ExpiresAt.Equal(start.Add(30*alert.Day)) || len(list[0].Difference) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, wrong := range []struct{ id, fingerprint, rule string }{
		{"", "", "proposal"},
		{p.ID, "", "fingerprint"},
		{p.ID, item.Fingerprint, "fingerprint"},
		{p.ID, p.Fingerprint[:63], "fingerprint"},
		{"nobody", p.Fingerprint, "no_proposal"},
	} {
		_, err := b.Decline(t.Context(), wrong.id, wrong.fingerprint, actor)
		_, confirmErr := b.Confirm(t.Context(), wrong.id, wrong.fingerprint, actor)
		if fault.Rule(err) != wrong.rule || fault.Rule(confirmErr) != wrong.rule {
			t.Errorf("%+v: %v and %v", wrong, err, confirmErr)
		}
	}
	if _, err := b.Decline(t.Context(), p.ID, p.Fingerprint, actor); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Proposals(t.Context()); err != nil || len(list) != 0 || b.watch(t, item.ID) != alert.Active || b.generation(t) != before {
		t.Errorf("after it was declined: %+v, %v", list, err)
	}
	if again := b.propose(t, "ca", fresh); again.ID == p.ID {
		t.Error("the declined one is back as it was")
	}
}
