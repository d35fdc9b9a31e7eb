package inventory_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// week is a list of the present.
func week(more ...certtest.CRLOption) []certtest.CRLOption {
	return append([]certtest.CRLOption{certtest.Updates(start.Add(-time.Hour), start.Add(7*alert.Day))}, more...)
}

func serials(numbers ...int64) certtest.CRLOption {
	var list []*big.Int
	for _, n := range numbers {
		list = append(list, big.NewInt(n))
	}
	return certtest.RevokeSerials(list...)
}

func (b *bench) addCRL(t *testing.T, der []byte) inventory.CRLReport {
	t.Helper()
	report, err := b.AddCRL(t.Context(), inventory.CRLUpload{Data: der, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// matching returns the warnings that hold every part.
func matching(warnings []string, parts ...string) (found []string) {
	for _, w := range warnings {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(w, p) }) {
			found = append(found, w)
		}
	}
	return found
}

func TestAddCRL_TellsWhatItMeans(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Root"), certtest.Serial(7701), until(alert.Day)) // 1E15: not to be mistaken for 5 or 1000
	namesake := certtest.NewCA(certtest.CommonName("Root"), certtest.Serial(7702), until(alert.Day))
	middle := ca.Intermediate(certtest.CommonName("Middle"), certtest.Serial(77), until(alert.Day))
	b.addCA(t, "namesake", namesake)
	if _, _, _, err := b.AddCA(t.Context(), inventory.Upload{Data: certtest.PEM(middle, ca), Name: "root", Actor: actor}); err != nil {
		t.Fatal(err)
	}
	james := b.addClient(t, ca.Issue(certtest.CommonName("James"), certtest.Serial(1000), until(alert.Day)))
	b.addClient(t, ca.Issue(certtest.CommonName("Free"), certtest.Serial(1001), until(alert.Day)))
	b.addClient(t, namesake.Issue(certtest.CommonName("Elsewhere"), certtest.Serial(1002), until(alert.Day)))
	b.addClient(t, namesake.Issue(certtest.CommonName("Elsewhere"), certtest.Serial(5), until(alert.Day)))

	report := b.addCRL(t, ca.CRL(week(serials(1000, 77, 1002, 5, 5000), certtest.CRLNumber(3))...))
	var revoked []string
	for _, it := range report.Revokes {
		revoked = append(revoked, it.Subject)
	}
	slices.Sort(revoked)
	if !slices.Equal(revoked, []string{"CN=James", "CN=Middle"}) || report.RevokesCount != 2 || !report.Created {
		t.Errorf("it revokes %v (%d), created %t", revoked, report.RevokesCount, report.Created)
	}
	// A namesake's certificate is not revoked: its serial is one that nobody of
	// this issuer has.
	slices.Sort(report.Unknown)
	if !slices.Equal(report.Unknown, []string{"03EA", "05", "1388"}) || report.UnknownCount != 3 {
		t.Errorf("unknown are %v (%d)", report.Unknown, report.UnknownCount)
	}
	if len(report.Warnings) != 1 || len(matching(report.Warnings, "3 of the 5", "1388")) != 1 {
		t.Errorf("warnings %q", report.Warnings)
	}
	if got := report.CRL; got.IssuerKey != cert.KeyHash(ca.Certificate) || got.Entries != 5 || got.Item.Subject != "CN=Root" {
		t.Errorf("stored is %+v", got)
	}
	if again := b.addCRL(t, ca.CRLPEM(week(certtest.CRLNumber(4), certtest.Revoke())...)); again.RevokesCount != 0 || len(again.Warnings) != 0 {
		t.Errorf("an empty list is %+v", again)
	}
	if item, err := b.store.Item(t.Context(), james.ID); err != nil || item.Trust != alert.Trusted {
		t.Errorf("a list changed the item itself: %+v, %v", item, err)
	}
}

// TestAddCRL_MisreadSerials is what `cfssl gencrl` does with hex: it takes the
// leading decimal digits for a decimal number, and 0 where there is none.
func TestAddCRL_MisreadSerials(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("Root"), until(alert.Day))
	for _, tc := range []struct {
		name   string
		serial int64
		listed []int64
		warns  []string // parts of the one warning about cfssl; none = there is none
	}{
		{"digits before a letter", 0x4A3B, []int64{4}, []string{"serial number 4,", "4A3B", "CN=James", "decimal 19003"}},
		{"a letter first", 0xAB12, []int64{0}, []string{"serial number 0,", "AB12", "decimal 43794"}},
		{"digits alone", 0x1234, []int64{1234}, []string{"serial number 1234,", "decimal 4660"}},
		{"octets", 0x1234AB, []int64{12}, []string{"serial number 12,", "1234AB"}},
		{"in one run", 0x1234AB, []int64{1234}, []string{"serial number 1234,", "1234AB"}},
		{"the right number", 0x4A3B, []int64{0x4A3B}, nil},
		{"the same in hex and in decimal", 5, []int64{5}, nil},
		{"a number of another kind", 0x4A3B, []int64{77}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.addCA(t, "root", ca)
			b.addClient(t, ca.Issue(certtest.CommonName("James"), certtest.Serial(tc.serial), until(alert.Day)))
			report := b.addCRL(t, ca.CRL(week(serials(tc.listed...), certtest.NoCRLNumber())...))
			found := matching(report.Warnings, "cfssl")
			if want := min(len(tc.warns), 1); len(found) != want || len(matching(found, tc.warns...)) != want {
				t.Errorf("warnings %q, want one with %q", report.Warnings, tc.warns)
			}
			if revokes := tc.serial == tc.listed[0]; (report.RevokesCount == 1) != revokes {
				t.Errorf("it revokes %d", report.RevokesCount)
			}
		})
	}
}

func TestAddCRL_MisreadSerialThatSomebodyHas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Root"), until(alert.Day))
	b.addCA(t, "root", ca)
	for _, serial := range []int64{4, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x9F} {
		b.addClient(t, ca.Issue(certtest.Serial(serial), until(alert.Day)))
	}
	if report := b.addCRL(t, ca.CRL(week(serials(4))...)); report.RevokesCount != 1 || len(report.Warnings) != 0 {
		t.Errorf("a serial that a certificate has is %+v", report)
	}
	report := b.addCRL(t, ca.CRL(week(serials(4, 9), certtest.CRLNumber(2))...))
	if found := matching(report.Warnings, "cfssl"); len(found) != 1 || len(matching(found, "serial number 9,", "9F")) != 1 {
		t.Errorf("warnings %q", report.Warnings)
	}
}

func TestAddCRL_SpellsOutNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(until(alert.Day))
	b.addCA(t, "root", ca)
	var all []int64
	for n := range int64(50) {
		all = append(all, 0x10_0000+n)
	}
	report := b.addCRL(t, ca.CRL(week(serials(all...))...))
	if len(report.Unknown) != 20 || report.UnknownCount != 50 || len(matching(report.Warnings, "and 30 more")) != 1 {
		t.Errorf("%+v", report)
	}
	// What JSON's readers count on is there even when it is empty.
	text, err := json.Marshal(b.addCRL(t, ca.CRL(week(certtest.CRLNumber(2))...)))
	if err != nil || strings.Contains(string(text), `"revokes":null`) || !strings.Contains(string(text), `"unknown":[]`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAddCRL_Refuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Root"), until(alert.Day))
	gone := certtest.NewCA(certtest.CommonName("Gone"), until(alert.Day))
	denied := certtest.NewCA(certtest.CommonName("Denied"), until(alert.Day))
	b.addCA(t, "root", ca)
	if _, err := b.RemoveCA(t.Context(), b.addCA(t, "gone", gone).ID, actor); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetTrust(t.Context(), b.addCA(t, "denied", denied).Members[0].Item.ID, alert.Revoked, actor); err != nil {
		t.Fatal(err)
	}
	b.addCRL(t, ca.CRL(week(certtest.CRLNumber(5))...))
	generation := b.generation(t)
	for name, tc := range map[string]struct {
		data []byte
		rule string
	}{
		"no list":             {[]byte("hello"), "not_a_crl"},
		"a certificate":       {ca.PEM(), "certificate"},
		"an unknown issuer":   {certtest.NewCA(certtest.CommonName("Nobody"), until(alert.Day)).CRL(week()...), "crl_issuer"},
		"a removed CA's":      {gone.CRL(week()...), "crl_issuer"},
		"a revoked CA's":      {denied.CRL(week()...), "crl_issuer"},
		"a namesake's":        {certtest.NewCA(certtest.CommonName("Root"), until(alert.Day)).CRL(week()...), "crl_signature"},
		"one of the future":   {ca.CRL(certtest.Updates(start.Add(6*time.Minute), start.Add(alert.Day)), certtest.CRLNumber(6)), "crl_future"},
		"one that goes back":  {ca.CRL(week(certtest.CRLNumber(4))...), "crl_rollback"},
		"a delta to the list": {ca.CRL(week(certtest.CRLNumber(6), certtest.DeltaCRL(5))...), ""},
	} {
		_, err := b.AddCRL(t.Context(), inventory.CRLUpload{Data: tc.data, Actor: actor})
		if err == nil || tc.rule != "" && fault.Rule(err) != tc.rule || fault.Hint(err) == "" {
			t.Errorf("%s: %v (%s), hint %q", name, err, fault.Rule(err), fault.Hint(err))
		}
	}
	if b.generation(t) != generation {
		t.Error("a refused list changed something")
	}
	if _, err := b.AddCRL(t.Context(), inventory.CRLUpload{Data: ca.CRL(week(certtest.CRLNumber(4))...), AcceptRollback: true, Actor: actor}); err != nil {
		t.Errorf("an accepted rollback: %v", err)
	}
}

func TestAddCRL_OnTheEdges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	// Of two CAs with one name, the key decides; and a renewed CA has the old key.
	one, two := certtest.NewCA(certtest.CommonName("Root"), until(alert.Day)), certtest.NewCA(certtest.CommonName("Root"), until(alert.Day))
	b.addCA(t, "one", one)
	b.addCA(t, "two", two)
	if got := b.addCRL(t, two.CRL(week()...)).CRL.IssuerKey; got != cert.KeyHash(two.Certificate) {
		t.Errorf("the list is put down to %s", got)
	}
	// What is to refresh one CA's list brings in no other's.
	for issuer, want := range map[*certtest.Certificate]string{one: "crl_other_issuer", two: ""} {
		_, err := b.AddCRL(t.Context(), inventory.CRLUpload{Data: issuer.CRL(week()...), IssuerKey: cert.KeyHash(two.Certificate), Actor: actor})
		if fault.Rule(err) != want {
			t.Errorf("%q: %v", want, err)
		}
	}
	ahead := b.addCRL(t, one.CRL(certtest.Updates(start.Add(5*time.Minute), start.Add(alert.Day))))
	if ahead.CRL.Item.Watch != alert.Active || len(ahead.Warnings) != 0 {
		t.Errorf("five minutes ahead it is %+v", ahead)
	}
	past := b.addCRL(t, two.CRL(certtest.Updates(start.Add(-30*time.Minute), start.Add(-time.Minute)), certtest.CRLNumber(2)))
	if len(matching(past.Warnings, "ended", "crl_stale")) != 1 {
		t.Errorf("past its end: %q", past.Warnings)
	}
	removed, err := b.RemoveCRL(t.Context(), past.CRL.Item.ID, actor)
	if err != nil || removed.Item.ID != past.CRL.Item.ID {
		t.Errorf("%+v, %v", removed, err)
	}
	if _, err := b.RemoveCRL(t.Context(), past.CRL.Item.ID, actor); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, trust := range []alert.Trust{alert.Revoked, alert.Removed} {
		if _, err := b.SetTrust(t.Context(), ahead.CRL.Item.ID, trust, actor); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Hint(err), "crl remove") {
			t.Errorf("%s: %v", trust, err)
		}
	}
}

// A commonNameSET is a relative distinguished name with one common name, as
// OpenSSL encodes it.
type commonNameSET []struct {
	Type  asn1.ObjectIdentifier
	Value string `asn1:"utf8"`
}

// TestAddCRL_OtherEncoding: cfssl writes a CA's name into its list as other
// types of string than OpenSSL wrote into the CA; it is the CA's list.
func TestAddCRL_OtherEncoding(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name, err := asn1.Marshal([]commonNameSET{{{asn1.ObjectIdentifier{2, 5, 4, 3}, "Root"}}})
	if err != nil {
		t.Fatal(err)
	}
	ca := certtest.NewCA(certtest.RawSubject(name), until(alert.Day))
	b.addCA(t, "root", ca)
	b.addClient(t, ca.Issue(certtest.CommonName("James"), certtest.Serial(1000), until(alert.Day)))
	printable, err := asn1.Marshal(pkix.Name{CommonName: "Root"}.ToRDNSequence())
	if err != nil || bytes.Equal(printable, name) {
		t.Fatal(err)
	}
	report := b.addCRL(t, ca.CRL(week(serials(1000), certtest.CRLIssuer(printable))...))
	if report.RevokesCount != 1 || report.UnknownCount != 0 || report.CRL.IssuerKey != cert.KeyHash(ca.Certificate) {
		t.Errorf("%+v", report)
	}
}

func TestRevokeKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	client := certtest.SelfSigned(certtest.CommonName("James"), certtest.Client(), until(alert.Day))
	item := b.addClient(t, client)
	key, err := b.KeyOf(t.Context(), item.ID[:8])
	if err != nil || key != cert.KeyHash(client.Certificate) {
		t.Fatalf("%q, %v", key, err)
	}
	for _, revoked := range []bool{true, false} {
		got, err := b.RevokeKey(t.Context(), key, revoked, actor)
		want := map[bool]alert.Trust{true: alert.Revoked, false: alert.Trusted}[revoked]
		if err != nil || got.Key != key || got.Revoked != revoked || len(got.Items) != 1 || got.Items[0].Trust != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got, err := b.RevokeKey(t.Context(), strings.Repeat("0a", 32), true, actor); err != nil || got.Items == nil || len(got.Items) != 0 {
		t.Errorf("a key that nobody has: %+v, %v", got, err)
	}
	if _, err := b.RevokeKey(t.Context(), "FF", true, actor); fault.Rule(err) != "key" {
		t.Errorf("no key: %v", err)
	}
	ca := certtest.NewCA(until(alert.Day))
	b.addCA(t, "root", ca)
	if _, err := b.KeyOf(t.Context(), b.addCRL(t, ca.CRL(week()...)).CRL.Item.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("the key of a list: %v", err)
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA(certtest.CommonName("Root"), until(alert.Day))
	add := func(b *bench, c inventory.Constraints) (inventory.Bundle, []string, error) {
		bundle, _, warnings, err := b.AddCA(t.Context(), inventory.Upload{Data: ca.PEM(), Name: "root", Constraints: &c, Actor: actor})
		return bundle, warnings, err
	}
	b := newBench(t)
	bundle, warnings, err := add(b, inventory.Constraints{
		PermitSAN: []string{"*.Vendor.Example.", "dns:a.example", "uri:spiffe://Vendor/*", "email:*@vendor.example", "ip:192.0.2.0/24", "ip:2001:db8::1"},
		PermitCN:  []string{"Device *", "büro"}, MaxLeafLifetime: 90 * alert.Day,
	})
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%q, %v", warnings, err)
	}
	text, err := json.Marshal(bundle.Constraints)
	const want = `{"permit_san":["dns:*.vendor.example","dns:a.example","uri:spiffe://Vendor/*","email:*@vendor.example","ip:192.0.2.0/24","ip:2001:db8::1"],` +
		`"permit_cn":["Device *","büro"],"max_leaf_lifetime":"90d"}`
	if diff := cmp.Diff(want, string(text)); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
	if _, warnings, err = add(b, inventory.Constraints{PermitSAN: []string{"a.example"}}); err != nil || len(matching(warnings, "common name stays unconstrained")) != 1 {
		t.Errorf("%q, %v", warnings, err)
	}
	if bundle, warnings, err = add(b, inventory.Constraints{}); err != nil || !bundle.Constraints.Empty() || len(warnings) != 0 {
		t.Errorf("%+v, %q, %v", bundle.Constraints, warnings, err)
	}
	for _, c := range []inventory.Constraints{
		{MaxLeafLifetime: -1},
		{PermitSAN: []string{""}},
		{PermitSAN: []string{"."}},
		{PermitSAN: []string{".."}}, // of which the listener would make nothing
		{PermitSAN: []string{"dns:"}},
		{PermitSAN: []string{"**.example"}},
		{PermitSAN: []string{"büro.example"}},
		{PermitSAN: []string{"a b.example"}},
		{PermitSAN: []string{"spiffe://vendor/*"}},
		{PermitSAN: []string{"2001:db8::1"}},
		{PermitSAN: []string{"ip:10.0.0.*"}},
		{PermitSAN: []string{"ip:10.0.0.1/8"}},
		{PermitSAN: []string{"ip:fe80::1%eth0"}},
		{PermitCN: []string{""}},
		{PermitCN: []string{"a**"}},
		{PermitCN: []string{"\xff"}},
	} {
		if _, _, err := add(newBench(t), c); fault.Rule(err) != "constraint" || fault.Hint(err) == "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
