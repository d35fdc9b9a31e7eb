package inventory_test

import (
	"testing"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// What the listener presents is watched, and replacing the file renews it.
func TestPresent(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	name := certtest.Server("orders.example.com")
	first, second := ca.Issue(name, until(20*alert.Day)), ca.Issue(name, until(90*alert.Day))
	early := ca.Issue(name, certtest.Validity(start.Add(alert.Day), start.Add(90*alert.Day)))
	at := func(path string, c *certtest.Certificate) inventory.Presented {
		return inventory.Presented{Path: path, Certificate: c.Certificate}
	}
	for _, tc := range []struct {
		name    string
		reloads [][]inventory.Presented
		ignore  bool // the first one, after the first reload
		want    map[*certtest.Certificate]alert.Watch
	}{
		{"for the first time", [][]inventory.Presented{{at("a.pem", first)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active}},
		{"the same again", [][]inventory.Presented{{at("a.pem", first)}, {at("a.pem", first)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active}},
		{"replaced in its file", [][]inventory.Presented{{at("a.pem", first)}, {at("a.pem", second)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Superseded, second: alert.Active}},
		{"replaced in one of two files", [][]inventory.Presented{{at("a.pem", first), at("b.pem", first)}, {at("a.pem", second), at("b.pem", first)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active, second: alert.Active}},
		{"then in the other one too", [][]inventory.Presented{{at("a.pem", first), at("b.pem", first)}, {at("a.pem", second), at("b.pem", first)}, {at("a.pem", second), at("b.pem", second)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Superseded, second: alert.Active}},
		{"replaced too early", [][]inventory.Presented{{at("a.pem", first)}, {at("a.pem", early)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active, early: alert.Pending}},
		{"gone back to", [][]inventory.Presented{{at("a.pem", first)}, {at("a.pem", second)}, {at("a.pem", first)}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active, second: alert.Superseded}},
		{"no longer configured", [][]inventory.Presented{{at("a.pem", first)}, {}}, false, map[*certtest.Certificate]alert.Watch{first: alert.Active}},
		{"ignored by somebody", [][]inventory.Presented{{at("a.pem", first)}, {at("a.pem", first)}}, true, map[*certtest.Certificate]alert.Watch{first: alert.Ignored}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i, all := range tc.reloads {
				if err := b.Present(t.Context(), all, actor); err != nil {
					t.Fatalf("Present %d: %v", i+1, err)
				}
				if tc.ignore && i == 0 {
					if _, err := b.Ignore(t.Context(), cert.Fingerprint(first.Certificate), false, actor); err != nil {
						t.Fatal(err)
					}
				}
			}
			for c, want := range tc.want {
				item, err := b.store.Item(t.Context(), cert.Fingerprint(c.Certificate))
				if err != nil || item.Watch != want || item.Kind != alert.KindServer {
					t.Errorf("the certificate that ends %s is a %s and %s, %v; want %s", c.Certificate.NotAfter, item.Kind, item.Watch, err, want)
				}
			}
			if _, err := b.store.Item(t.Context(), cert.Fingerprint(ca.Certificate)); !fault.Is(err, fault.NotFound) {
				t.Errorf("its CA was stored too: %v", err)
			}
		})
	}
}

// A certificate that is revoked here takes nobody's place, and keeps no other
// from being watched.
func TestPresentRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA()
	issue := func() *certtest.Certificate {
		return ca.Issue(certtest.Server("orders.example.com"), until(20*alert.Day))
	}
	first, revoked, other := issue(), issue(), issue()
	if err := b.Present(t.Context(), []inventory.Presented{{Path: "a.pem", Certificate: first.Certificate}}, actor); err != nil {
		t.Fatal(err)
	}
	item, _, err := b.AddCertificate(t.Context(), alert.KindServer, inventory.Upload{Data: revoked.PEM(), Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetTrust(t.Context(), item.ID, alert.Revoked, actor); err != nil {
		t.Fatal(err)
	}
	err = b.Present(t.Context(), []inventory.Presented{
		{Path: "a.pem", Certificate: revoked.Certificate}, {Path: "b.pem", Certificate: other.Certificate},
	}, actor)
	if fault.Rule(err) != "revoked" {
		t.Errorf("Present: %v, want the rule revoked", err)
	}
	for _, c := range []*certtest.Certificate{first, other} {
		if got, err := b.store.Item(t.Context(), cert.Fingerprint(c.Certificate)); err != nil || got.Watch != alert.Active {
			t.Errorf("%+v, %v: want it watched", got, err)
		}
	}
}
