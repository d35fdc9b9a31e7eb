package inventory_test

import (
	"context"
	"crypto/x509"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	actor = inventory.Actor{Kind: inventory.ActorToken, ID: "t1", RequestID: "r1"}
)

// A bench is a service on a real store with a clock that can be moved.
type bench struct {
	*inventory.Service
	store *store.Store
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{now: start}
	clock := func() time.Time { return b.now }
	s, err := store.Open(t.Context(), store.Options{DSN: filepath.Join(t.TempDir(), "certvigil.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Service, b.store = inventory.New(s, clock), s
	return b
}

func (b *bench) addCA(t *testing.T, name string, ca *certtest.Certificate) inventory.Bundle {
	t.Helper()
	bundle, created, _, err := b.AddCA(t.Context(), inventory.Upload{Data: ca.PEM(), Name: name, Hostnames: []string{"orders.example.com"}, Actor: actor})
	if err != nil || !created {
		t.Fatalf("adding the CA %q: created %v, %v", name, created, err)
	}
	return bundle
}

func (b *bench) addClient(t *testing.T, c *certtest.Certificate) alert.Item {
	t.Helper()
	item, _, err := b.AddCertificate(t.Context(), alert.KindClient, inventory.Upload{Data: c.PEM(), Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func (b *bench) generation(t *testing.T) int64 {
	t.Helper()
	g, err := b.store.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func until(d time.Duration) certtest.Option {
	return certtest.Validity(start.Add(-alert.Day), start.Add(d))
}

func TestRenewCA(t *testing.T) {
	t.Parallel()
	name := certtest.CommonName("Partner CA")
	bounded := certtest.MaxPathLen(1)
	old := certtest.NewCA(name, bounded, until(20*alert.Day))
	for _, tc := range []struct {
		name      string
		fresh     *certtest.Certificate
		authority func(item string) inventory.Authority
		want      string // status, or the rule of the refusal
	}{
		{"the same key, by a plain renew token", old.Renew(until(400 * alert.Day)), plain, inventory.StatusRenewed},
		{"another key, by a plain renew token", certtest.NewCA(name, until(400*alert.Day)), plain, inventory.StatusProposed},
		{"another key that the old one signed", certtest.NewCA(name, bounded, until(400*alert.Day)).CrossSigned(old), plain, inventory.StatusRenewed},
		{"another key, by a token of this item", certtest.NewCA(name, until(400*alert.Day)), bound, inventory.StatusRenewed},
		{"another key, by a write token", certtest.NewCA(name, until(400*alert.Day)), write, inventory.StatusRenewed},
		{"by a token of another item", old.Renew(until(400 * alert.Day)), elsewhere, "other_item"},
		{"no later end", old.Renew(until(20 * alert.Day)), write, "not_later"},
		{"another subject", certtest.NewCA(certtest.CommonName("Other CA"), until(400*alert.Day)), write, "subject_differs"},
		{"a leaf in place of a CA", certtest.NewCA().Issue(name, until(400*alert.Day)), write, "not_a_ca"},
		{"the same key that may vouch for more", old.Renew(until(400*alert.Day), certtest.MaxPathLen(2)), plain, inventory.StatusProposed},
		{"not valid yet", old.Renew(certtest.Validity(start.Add(5*alert.Day), start.Add(400*alert.Day))), plain, inventory.StatusPending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			item := b.addCA(t, "partner", old).Members[0].Item
			before := b.generation(t)
			done, err := b.Renew(t.Context(), inventory.RenewRequest{Data: tc.fresh.PEM(), ItemRef: item.ID, Authority: tc.authority(item.ID), Actor: actor})
			if got := outcome(done, err); got != tc.want {
				t.Fatalf("Renew: %s (%v), want %s", got, err, tc.want)
			}
			b.checkCA(t, item, tc.fresh, tc.want, before)
		})
	}
}

// checkCA checks what a renewal with the given outcome left in the store.
func (b *bench) checkCA(t *testing.T, old alert.Item, fresh *certtest.Certificate, outcome string, before int64) {
	t.Helper()
	now, err := b.store.Item(t.Context(), old.ID)
	if err != nil {
		t.Fatal(err)
	}
	renewed := outcome == inventory.StatusRenewed
	if want := map[bool]alert.Watch{true: alert.Superseded, false: alert.Active}[renewed]; now.Watch != want || now.Trust != alert.Trusted {
		t.Errorf("the old CA is %s and %s, want trusted and %s", now.Trust, now.Watch, want)
	}
	changed := renewed || outcome == inventory.StatusPending
	if got := b.generation(t) != before; got != changed {
		t.Errorf("trust changed: %v, want %v", got, changed)
	}
	trust, err := b.store.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	anchored := slices.ContainsFunc(trust.Bundles[0].Members, func(m inventory.Member) bool {
		return m.Item.Fingerprint == cert.Fingerprint(fresh.Certificate) && m.Role == inventory.RoleAnchor
	})
	if anchored != changed && outcome != "not_later" {
		t.Errorf("the new CA is an anchor: %v, want %v", anchored, changed)
	}
}

func plain(string) inventory.Authority      { return inventory.Authority{} }
func write(string) inventory.Authority      { return inventory.Authority{Write: true} }
func bound(item string) inventory.Authority { return inventory.Authority{ItemID: item} }
func elsewhere(string) inventory.Authority  { return inventory.Authority{ItemID: "another"} }
func outcome(r inventory.Renewal, err error) string {
	if err != nil {
		return fault.Rule(err)
	}
	return r.Status
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name := certtest.CommonName("Partner CA")
	item := b.addCA(t, "partner", certtest.NewCA(name, until(20*alert.Day))).Members[0].Item
	fresh := certtest.NewCA(name, until(400*alert.Day))
	proposed, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh.PEM(), Actor: actor})
	if err != nil || proposed.Status != inventory.StatusProposed {
		t.Fatalf("Renew: %q, %v; want proposed", proposed.Status, err)
	}
	for _, wrong := range []string{"", proposed.Proposal.Fingerprint[:32], item.Fingerprint} {
		if _, err := b.Confirm(t.Context(), "", wrong, actor); !fault.Is(err, fault.NotFound) {
			t.Errorf("Confirm(%q): %v, want fault.NotFound", wrong, err)
		}
	}
	var colons []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(proposed.Proposal.Fingerprint)), 2) {
		colons = append(colons, string(pair))
	}
	done, err := b.Confirm(t.Context(), "", strings.Join(colons, ":"), actor)
	if err != nil || done.Status != inventory.StatusRenewed {
		t.Fatalf("Confirm: %q, %v; want renewed", done.Status, err)
	}
	if left, err := b.store.Proposals(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("Proposals after Confirm: %d, %v; want none", len(left), err)
	}
	b.checkCA(t, item, fresh, inventory.StatusRenewed, -1)
}

func TestRenewClient(t *testing.T) {
	t.Parallel()
	ca, other := certtest.NewCA(certtest.CommonName("CA")), certtest.NewCA(certtest.CommonName("CA"))
	who := certtest.CommonName("device 7")
	old := ca.Issue(who, certtest.Client(), until(10*alert.Day))
	for _, tc := range []struct {
		name      string
		stored    bool // the old one's CA is in the store
		fresh     *certtest.Certificate
		authority inventory.Authority
		want      string
	}{
		{"issued by the stored CA", true, ca.Issue(who, certtest.Client(), until(90*alert.Day)), inventory.Authority{}, inventory.StatusRenewed},
		{"issued by another CA of the same name", true, other.Issue(who, certtest.Client(), until(90*alert.Day)), inventory.Authority{}, "issuer_unknown"},
		{"the same, by a write token", true, other.Issue(who, certtest.Client(), until(90*alert.Day)), inventory.Authority{Write: true}, inventory.StatusRenewed},
		{"no CA stored, same issuer", false, ca.Issue(who, certtest.Client(), until(90*alert.Day)), inventory.Authority{}, inventory.StatusRenewed},
		{"no CA stored, another issuer of the same name", false, other.Issue(who, certtest.Client(), until(90*alert.Day)), inventory.Authority{}, "issuer_unknown"},
		{"other alternative names", true, ca.Issue(who, certtest.DNS("a.example.com"), until(90*alert.Day)), inventory.Authority{}, "no_candidate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if tc.stored {
				b.addCA(t, "ca", ca)
			}
			item := b.addClient(t, old)
			done, err := b.Renew(t.Context(), inventory.RenewRequest{Data: tc.fresh.PEM(), Authority: tc.authority, Actor: actor})
			if got := outcome(done, err); got != tc.want {
				t.Fatalf("Renew: %s (%v), want %s", got, err, tc.want)
			}
			now, err := b.store.Item(t.Context(), item.ID)
			if err != nil {
				t.Fatal(err)
			}
			if silenced := now.Watch == alert.Superseded; silenced != (tc.want == inventory.StatusRenewed) {
				t.Errorf("the old one's alerts end: %v, want %v", silenced, !silenced)
			}
		})
	}
}

// A proposal may wait for long: what has ended or been revoked meanwhile is
// judged when it is confirmed.
func TestConfirmLate(t *testing.T) {
	t.Parallel()
	for rule, meanwhile := range map[string]func(*testing.T, *bench, alert.Item){
		"expired":  func(_ *testing.T, b *bench, _ alert.Item) { b.now = start.Add(25 * alert.Day) },
		"proposal": func(_ *testing.T, b *bench, _ alert.Item) { b.now = start.Add(30*alert.Day + time.Millisecond) },
		"not_trusted": func(t *testing.T, b *bench, old alert.Item) {
			if _, err := b.SetTrust(t.Context(), old.ID, alert.Revoked, actor); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			old := b.addCA(t, "ca", certtest.NewCA(certtest.CommonName("CA"), until(10*alert.Day))).Members[0].Item
			p := b.propose(t, "ca", certtest.NewCA(certtest.CommonName("CA"), until(20*alert.Day)))
			meanwhile(t, b, old)
			before := b.generation(t)
			if done, err := b.Confirm(t.Context(), "", p.Fingerprint, actor); fault.Rule(err) != rule || b.generation(t) != before {
				t.Errorf("Confirm: %q, %v; want the rule %s", done.Status, err, rule)
			}
		})
	}
}

// Whoever proposes must not choose where the confirmation of a CA counts.
func TestConfirmSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"production", "test"} {
		b.addCA(t, name, certtest.NewCA(certtest.CommonName("CA"), until(30*alert.Day)))
	}
	fresh := certtest.NewCA(certtest.CommonName("CA"), until(90*alert.Day))
	b.propose(t, "production", fresh)
	p := b.propose(t, "test", fresh)
	before := b.generation(t)
	if done, err := b.Confirm(t.Context(), "", p.Fingerprint, actor); fault.Rule(err) != "several_proposals" || b.generation(t) != before {
		t.Errorf("Confirm: %q, %v; want the rule several_proposals", done.Status, err)
	}
}

// propose hands in a CA with another key by a token that may only renew.
func (b *bench) propose(t *testing.T, ref string, fresh *certtest.Certificate) inventory.Proposal {
	t.Helper()
	done, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh.PEM(), ItemRef: ref, Actor: actor})
	if err != nil || done.Proposal == nil {
		t.Fatalf("proposing: %q, %v", done.Status, err)
	}
	return *done.Proposal
}

func TestRenewRepeated(t *testing.T) {
	t.Parallel()
	old := certtest.NewCA(certtest.CommonName("CA"), until(20*alert.Day))
	for _, tc := range []struct {
		name, want string
		notBefore  time.Time
	}{
		{"in force", inventory.StatusRenewed, start.Add(-time.Hour)},
		{"pending", inventory.StatusPending, start.Add(time.Hour)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.addCA(t, "ca", old)
			r := inventory.RenewRequest{Data: old.Renew(certtest.Validity(tc.notBefore, start.Add(400*alert.Day))).PEM(), Actor: actor}
			first, err := b.Renew(t.Context(), r)
			if err != nil || first.Repeated || first.Status != tc.want {
				t.Fatalf("Renew: %+v, %v; want %s for the first time", first, err, tc.want)
			}
			before := b.generation(t)
			second, err := b.Renew(t.Context(), r)
			if err != nil || !second.Repeated || second.Status != tc.want || second.Item.ID != first.Item.ID || second.Replaces.ID != first.Replaces.ID {
				t.Fatalf("Renew again: %+v, %v; want the first answer", second, err)
			}
			if b.generation(t) != before {
				t.Error("the repetition changed trust")
			}
			for _, ref := range []string{first.Item.ID, first.Replaces.ID, "ca"} {
				r.ItemRef = ref
				if again, err := b.Renew(t.Context(), r); err != nil || !again.Repeated {
					t.Errorf("Renew again of %s: %+v, %v; want the first answer", ref, again, err)
				}
			}
		})
	}
}

// A certificate that took one item's place is no answer to who names another.
func TestRenewRepeatedForAnotherItem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("CA"))
	b.addCA(t, "ca", ca)
	old := ca.Issue(certtest.CommonName("device"), certtest.Client(), until(10*alert.Day))
	b.addClient(t, old)
	other := b.addClient(t, ca.Issue(certtest.CommonName("other"), certtest.Client(), until(10*alert.Day)))
	r := inventory.RenewRequest{Data: old.Renew(until(90 * alert.Day)).PEM(), Actor: actor}
	if _, err := b.Renew(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for ref, rule := range map[string]string{"nothing": "item", other.ID: "subject_differs"} {
		r.ItemRef = ref
		if done, err := b.Renew(t.Context(), r); fault.Rule(err) != rule {
			t.Errorf("Renew of %s by what renewed another: %+v, %v; want the rule %s", ref, done, err, rule)
		}
	}
}

func TestRenewTarget(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("CA"))
	b.addCA(t, "ca", ca)
	who := certtest.CommonName("fleet")
	one := b.addClient(t, ca.Issue(who, certtest.Client(), until(10*alert.Day)))
	b.addClient(t, ca.Issue(who, certtest.Client(), until(11*alert.Day)))
	fresh := ca.Issue(who, certtest.Client(), until(90*alert.Day)).PEM()
	_, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh, Actor: actor})
	if fault.Rule(err) != "several_candidates" || !strings.Contains(err.Error(), one.ID) {
		t.Errorf("Renew of a fleet that shares a subject: %v; want a list of candidates", err)
	}
	if _, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh, ItemRef: "nothing", Actor: actor}); !fault.Is(err, fault.NotFound) {
		t.Errorf("Renew of an unknown item: %v, want fault.NotFound", err)
	}
	server, _, err := b.AddCertificate(t.Context(), alert.KindServer, inventory.Upload{Data: ca.Issue(who, certtest.Server("a.example.com")).PEM(), Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh, ItemRef: server.ID, Actor: actor}); fault.Rule(err) != "kind" {
		t.Errorf("Renew of a server certificate: %v, want the rule kind", err)
	}
	if done, err := b.Renew(t.Context(), inventory.RenewRequest{Data: fresh, ItemRef: one.ID, Actor: actor}); err != nil || done.Replaces.ID != one.ID {
		t.Errorf("Renew of a named item: %v", err)
	}
}

func TestRevokedHasNoSuccessor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("CA"))
	b.addCA(t, "ca", ca)
	who := certtest.CommonName("device")
	item := b.addClient(t, ca.Issue(who, certtest.Client(), until(10*alert.Day)))
	if _, err := b.SetTrust(t.Context(), item.ID, alert.Revoked, actor); err != nil {
		t.Fatal(err)
	}
	_, err := b.Renew(t.Context(), inventory.RenewRequest{Data: ca.Issue(who, certtest.Client(), until(90*alert.Day)).PEM(), ItemRef: item.ID, Actor: actor})
	if fault.Rule(err) != "not_trusted" {
		t.Errorf("Renew of a revoked certificate: %v, want the rule not_trusted", err)
	}
}

// What may be watched as either kind is remarked when it can only be the other.
func TestRemarks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("CA"))
	client, server := ca.Issue(certtest.Client()), ca.Issue(certtest.Server("a.example.com"))
	any := ca.Issue(certtest.Usage(x509.ExtKeyUsageAny))
	for _, tc := range []struct {
		name string
		kind alert.Kind
		data []byte
		want int
	}{
		{"a client as a client", alert.KindClient, client.PEM(), 0},
		{"a server as a client", alert.KindClient, server.PEM(), 1},
		{"a client as a server", alert.KindServer, client.PEM(), 1},
		{"a server as a server", alert.KindServer, server.PEM(), 0},
		{"any usage", alert.KindClient, any.PEM(), 0},
		{"no usage", alert.KindServer, ca.Issue(certtest.Usage()).PEM(), 0},
		{"what is refused anyway", alert.KindClient, []byte("noise"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := b.Remarks(tc.kind, tc.data); len(got) != tc.want {
				t.Errorf("Remarks = %q, want %d", got, tc.want)
			}
		})
	}
}

func TestAddCA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
	bundle := b.addCA(t, "", ca)
	if bundle.Name != "Access Testing CA" || bundle.Fingerprint() != cert.Fingerprint(ca.Certificate) || !bundle.ExpiresOn().Equal(ca.Certificate.NotAfter) {
		t.Errorf("AddCA: %q %s %s", bundle.Name, bundle.Fingerprint(), bundle.ExpiresOn())
	}
	again, created, _, err := b.AddCA(context.Background(), inventory.Upload{Data: ca.PEM(), Hostnames: []string{"B.example.com."}, Actor: actor})
	if err != nil || created || again.ID != bundle.ID {
		t.Fatalf("AddCA again: created %v, %v; want the same bundle", created, err)
	}
	if want := []string{"b.example.com", "orders.example.com"}; !slices.Equal(again.Hostnames, want) {
		t.Errorf("hostnames %q, want %q", again.Hostnames, want)
	}
	for _, tc := range []struct {
		name string
		u    inventory.Upload
		rule string
	}{
		{"the set under another name", inventory.Upload{Data: ca.PEM(), Name: "other"}, ""},
		{"the name for another set", inventory.Upload{Data: certtest.NewCA().PEM(), Name: "Access Testing CA"}, ""},
		{"a long name", inventory.Upload{Data: certtest.NewCA().PEM(), Name: strings.Repeat("x", 351)}, "name"},
		{"a name with a line break", inventory.Upload{Data: certtest.NewCA().PEM(), Name: "a\nb"}, "name"},
		{"a hostname with a port", inventory.Upload{Data: certtest.NewCA().PEM(), Name: "new", Hostnames: []string{"a.example.com:443"}}, "hostname"},
		{"a key beside it", inventory.Upload{Data: append(ca.PEM(), ca.KeyPEM()...), Name: "new"}, "private_key"},
	} {
		before, err := b.store.Bundles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = b.AddCA(t.Context(), tc.u)
		if err == nil || tc.rule != "" && fault.Rule(err) != tc.rule || tc.rule == "" && !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v, want the rule %q", tc.name, err, tc.rule)
		}
		if fault.Hint(err) == "" {
			t.Errorf("%s: %v: no hint", tc.name, err)
		}
		if after, err := b.store.Bundles(t.Context()); err != nil || len(after) != len(before) {
			t.Errorf("%s: %d bundles, were %d; %v", tc.name, len(after), len(before), err)
		}
	}
}
