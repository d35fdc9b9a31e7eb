package storetest

import (
	"bytes"
	"math/big"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// list makes a CA's revocation list of that number (0: none), issued at a time
// and good for so many days.
func (w *world) list(ca *certtest.Certificate, number int64, at time.Time, days int, serials ...*big.Int) inventory.NewCRL {
	w.Helper()
	options := []certtest.CRLOption{certtest.CRLNumber(number), certtest.Updates(at, at.Add(time.Duration(days)*alert.Day)), certtest.RevokeSerials(serials...)}
	if number == 0 {
		options = append(options, certtest.NoCRLNumber())
	}
	der := ca.CRL(options...)
	parsed, err := crl.Parse(der)
	w.ok(err)
	return inventory.NewCRL{List: parsed, DER: der, Issuer: ca.Certificate, Actor: actor}
}

// addCRL adds a list that must not be the stored one.
func (w *world) addCRL(n inventory.NewCRL) inventory.CRL {
	w.Helper()
	list, created, err := w.AddCRL(w.ctx(), n)
	w.ok(err)
	if !created {
		w.Fatal("the list is not new")
	}
	return list
}

func (w *world) storedCRL(ref string) inventory.CRL {
	w.Helper()
	list, err := w.CRL(w.ctx(), ref)
	w.ok(err)
	return list
}

var crlTests = map[string]func(*world){
	"crl: is stored as an item, with its content and an audit row": func(w *world) {
		ca := w.ca("Root", 400)
		n := w.list(ca, 10, w.now, 7, big.NewInt(5), big.NewInt(6))
		var list inventory.CRL
		w.bumps(true, func() { list = w.addCRL(n) })
		item := list.Item
		want := inventory.CRL{
			Item: alert.Item{
				ID: item.ID, Kind: alert.KindCRL, Fingerprint: item.Fingerprint, Subject: "CN=Root", Issuer: "CN=Root", CommonName: "Root", Serial: "0A",
				SANs: []string{}, NotBefore: Start, NotAfter: Start.Add(7 * alert.Day), Trust: alert.Trusted, Watch: alert.Active, Epoch: 1,
				Labels: map[string]string{}, Bundles: []string{}, Hostnames: []string{},
				Sources:   []alert.Source{{Kind: alert.SourceUpload, Reference: "alice", FirstSeen: Start, LastSeen: Start, Count: 1}},
				NextDueAt: item.NextDueAt, CreatedAt: Start,
			},
			IssuerKey: cert.KeyHash(ca.Certificate), Digest: list.Digest, Number: big.NewInt(10), ThisUpdate: Start, NextUpdate: Start.Add(7 * alert.Day), Entries: 2,
		}
		if diff := cmp.Diff(want, list, cmp.Comparer(sameNumber)); diff != "" {
			w.Errorf("(-want +got):\n%s", diff)
		}
		if len(list.Digest) != 64 || item.NextDueAt == nil || item.NextDueAt.After(w.now) {
			w.Errorf("digest %q, due %v", list.Digest, item.NextDueAt)
		}
		for _, ref := range []string{item.ID, item.ID[:12], item.Fingerprint[:9], list.IssuerKey, list.IssuerKey[:8], "CN=Root", "Root"} {
			if got := w.storedCRL(ref); got.Item.ID != item.ID {
				w.Errorf("%q is %+v", ref, got)
			}
		}
		der, err := w.CRLData(w.ctx(), item.ID)
		w.ok(err)
		if !bytes.Equal(der, n.DER) {
			w.Error("the content is another")
		}
		if got := w.actions(); !slices.Equal(got, []string{"crl.add"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"crl: one that nobody has, and one for a certificate's item, are not found": func(w *world) {
		item := w.addClient("client", 20)
		_, err := w.CRLData(w.ctx(), item.ID)
		w.fails(err, fault.NotFound, "no_crl")
		_, err = w.CRL(w.ctx(), item.ID)
		w.fails(err, fault.NotFound, "no_crl")
		w.fails(w.RemoveCRL(w.ctx(), item.ID, actor), fault.NotFound, "no_crl")
		w.fails(w.NoteCRLRefresh(w.ctx(), item.ID, inventory.CRLRefresh{}), fault.NotFound, "no_crl")
		_, _, err = w.AddCRL(w.ctx(), inventory.NewCRL{})
		w.fails(err, fault.Invalid, "crl")
	},
	"crl: a fresh one is the same item, whose thresholds arm again": func(w *world) {
		ca := w.ca("Root", 400)
		old := w.addCRL(w.list(ca, 1, w.now, 7))
		w.scan(w.tell("mail"))
		w.now = w.now.Add(alert.Day)
		var fresh inventory.CRL
		w.bumps(true, func() { fresh = w.addCRL(w.list(ca, 2, w.now, 7, big.NewInt(5))) })
		if fresh.Item.ID != old.Item.ID || fresh.Digest == old.Digest || fresh.Item.Epoch != 2 || fresh.Item.Serial != "02" || fresh.Entries != 1 {
			w.Errorf("it is %+v", fresh)
		}
		if fresh.Item.NextDueAt == nil || !fresh.NextUpdate.Equal(w.now.Add(7*alert.Day)) {
			w.Errorf("it is %+v", fresh.Item)
		}
		if list := w.deliveries(); len(list) != 1 || list[0].State != alert.StateCancelled {
			w.Errorf("deliveries about the old end: %+v", list)
		}
		if seen := w.scan(w.tell("mail")); len(seen) != 1 || len(seen[0].Recorded) != 0 {
			w.Errorf("the scan saw %+v", seen)
		}
		lists, err := w.CRLs(w.ctx())
		w.ok(err)
		if len(lists) != 1 {
			w.Errorf("%d lists", len(lists))
		}
		if got := w.actions(); !slices.Equal(got, []string{"crl.add", "crl.replace"}) {
			w.Errorf("the audit trail tells %v", got)
		}
	},
	"crl: one with the same end re-arms nothing, and an ignored one stays ignored": func(w *world) {
		ca := w.ca("Root", 400)
		list := w.addCRL(w.list(ca, 1, w.now, 7))
		w.scan(w.tell("mail"))
		w.addCRL(w.list(ca, 2, w.now, 7, big.NewInt(5)))
		if got := w.item(list.Item.ID); got.Epoch != 1 || got.NextDueAt != nil {
			w.Errorf("with the same end it is %+v", got)
		}
		if list := w.deliveries(); len(list) != 1 || list[0].State != alert.StatePending {
			w.Errorf("deliveries: %+v", list)
		}
		w.ok(w.SetWatch(w.ctx(), list.Item.ID, alert.Ignored, actor))
		w.addCRL(w.list(ca, 3, w.now, 9))
		if got := w.item(list.Item.ID); got.Watch != alert.Ignored || got.Epoch != 1 || got.NextDueAt != nil {
			w.Errorf("ignored, it is %+v", got)
		}
	},
	"crl: every issuer's key has its own": func(w *world) {
		one, two := w.ca("Root", 400), w.ca("Root", 400)
		w.addCRL(w.list(one, 5, w.now, 7))
		w.addCRL(w.list(two, 1, w.now, 7))
		lists, err := w.CRLs(w.ctx())
		w.ok(err)
		if len(lists) != 2 {
			w.Errorf("%d lists", len(lists))
		}
		_, err = w.CRL(w.ctx(), "Root")
		w.fails(err, fault.Conflict, "ambiguous")
	},
	"crl: the same again changes its source only": func(w *world) {
		n := w.list(w.ca("Root", 400), 1, w.now, 7)
		list := w.addCRL(n)
		w.now = w.now.Add(time.Hour)
		next := w.now.Add(alert.Day)
		n.Source, n.ETag, n.LastModified, n.RefreshAt = "https://pki.example.com/root.crl", `"1"`, "yesterday", &next
		w.bumps(false, func() {
			got, created, err := w.AddCRL(w.ctx(), n)
			w.ok(err)
			if created || got.Item.Epoch != 1 || got.Source != n.Source || got.ETag != n.ETag || got.LastModified != n.LastModified {
				w.Errorf("created %t, %+v", created, got)
			}
			if got.RefreshAt == nil || !got.RefreshAt.Equal(next) || got.CheckedAt == nil || !got.CheckedAt.Equal(w.now) {
				w.Errorf("refreshed at %v, checked at %v", got.RefreshAt, got.CheckedAt)
			}
		})
		n.Source = ""
		if got, _, err := w.AddCRL(w.ctx(), n); err != nil || got.Source == "" {
			w.Errorf("an upload took the source away: %+v, %v", got, err)
		}
		if got := w.actions(); !slices.Equal(got, []string{"crl.add", "crl.source"}) {
			w.Errorf("the audit trail tells %v", got)
		}
		if sources := w.item(list.Item.ID).Sources; len(sources) != 2 || sources[1].Kind != alert.SourceEndpoint {
			w.Errorf("sources %+v", sources)
		}
	},
	"crl: none goes back": func(w *world) {
		for name, row := range map[string]struct {
			old, fresh int64
			later      time.Duration
			back       bool
		}{
			"a lower number, later":        {5, 4, time.Hour, true},
			"a higher number, earlier":     {5, 6, -time.Hour, false},
			"the same number, later":       {5, 5, time.Hour, false},
			"the same number, earlier":     {5, 5, -time.Hour, true},
			"no number, later":             {0, 0, time.Hour, false},
			"no number, at the same time":  {0, 0, 0, false},
			"no number, earlier":           {0, 0, -time.Second, true},
			"a number after none, earlier": {0, 7, -time.Hour, true},
			"none after a number, earlier": {7, 0, -time.Hour, true},
			"none after a number, later":   {7, 0, time.Hour, false},
		} {
			ca := w.ca(name, 400)
			stored := w.addCRL(w.list(ca, row.old, w.now, 7, big.NewInt(1)))
			fresh := w.list(ca, row.fresh, w.now.Add(row.later), 7)
			_, _, err := w.AddCRL(w.ctx(), fresh)
			if back := fault.Rule(err) == "crl_rollback"; back != row.back || !back && err != nil {
				w.Errorf("%s: %v", name, err)
			}
			if !row.back {
				continue
			}
			if fault.Hint(err) == "" || w.storedCRL(stored.Item.ID).Digest != stored.Digest {
				w.Errorf("%s: refused without a hint, or stored all the same", name)
			}
			fresh.AcceptRollback = true
			w.addCRL(fresh)
		}
	},
	"crl: a refresh that fails is noted until one succeeds": func(w *world) {
		n := w.list(w.ca("Root", 400), 1, w.now, 7)
		n.Source = "/etc/pki/root.crl"
		list := w.addCRL(n)
		if list.RefreshAt == nil || !list.RefreshAt.Equal(w.now) || list.Item.Sources[0].Kind != alert.SourceFile {
			w.Errorf("without a time to refresh it is %+v", list)
		}
		note := func(r inventory.CRLRefresh) inventory.CRL {
			w.now = w.now.Add(time.Hour)
			r.RefreshAt = w.now.Add(time.Minute)
			w.bumps(false, func() { w.ok(w.NoteCRLRefresh(w.ctx(), list.Item.ID, r)) })
			got := w.storedCRL(list.Item.ID)
			if got.RefreshAt == nil || !got.RefreshAt.Equal(r.RefreshAt) || got.Failure != r.Failure {
				w.Errorf("after %+v it is %+v", r, got)
			}
			return got
		}
		since := w.now.Add(time.Hour)
		for range 2 {
			got := note(inventory.CRLRefresh{Failure: "gone"})
			if got.FailingSince == nil || !got.FailingSince.Equal(since) || !got.CheckedAt.Equal(Start) {
				w.Errorf("failing since %v, checked at %v", got.FailingSince, got.CheckedAt)
			}
		}
		if got := note(inventory.CRLRefresh{}); got.FailingSince != nil || !got.CheckedAt.Equal(w.now) {
			w.Errorf("failing since %v, checked at %v", got.FailingSince, got.CheckedAt)
		}
		note(inventory.CRLRefresh{Failure: "gone"})
		if got, _, err := w.AddCRL(w.ctx(), n); err != nil || got.Failure != "" || got.FailingSince != nil {
			w.Errorf("had again from its source, it is %+v, %v", got, err)
		}
	},
	"crl: once removed it is in force no longer, and binds no other": func(w *world) {
		ca := w.ca("Root", 400)
		n := w.list(ca, 9, w.now, 7)
		n.Source = "/etc/pki/root.crl"
		list := w.addCRL(n)
		w.bumps(true, func() { w.ok(w.RemoveCRL(w.ctx(), list.Item.ID, actor)) })
		lists, err := w.CRLs(w.ctx())
		w.ok(err)
		trust, err := w.Trust(w.ctx())
		w.ok(err)
		_, err = w.CRL(w.ctx(), list.Item.ID)
		w.fails(err, fault.NotFound, "no_crl")
		if got := w.item(list.Item.ID); len(lists) != 0 || len(trust.CRLs) != 0 || got.Trust != alert.Removed || got.Watch != alert.Ignored || got.NextDueAt != nil {
			w.Errorf("%v, %v, %+v", lists, trust.CRLs, got)
		}
		w.bumps(true, func() {
			back := w.addCRL(w.list(ca, 1, w.now.Add(-time.Hour), 7))
			if back.Item.ID != list.Item.ID || back.Item.Epoch != 2 || back.Item.Watch != alert.Active || back.Item.NextDueAt == nil || back.Source != "" {
				w.Errorf("added again it is %+v", back)
			}
		})
	},
	"crl: its number is nobody's serial": func(w *world) {
		w.addCRL(w.list(w.ca("Root", 400), 0, w.now, 7))
		w.addCRL(w.list(w.ca("Other", 400), 255, w.now, 7))
		for _, ref := range []string{"FF", "", "zz"} {
			_, err := w.Item(w.ctx(), ref)
			w.fails(err, fault.NotFound, "no_item")
		}
	},
	"issuer: its known certificates come by serial": func(w *world) {
		ca, other := w.ca("Root", 400), w.ca("Other", 400)
		w.addBundle("root", nil, ca.Intermediate(certtest.Serial(3), certtest.Validity(w.now, w.now.Add(alert.Day))))
		for issuer, serial := range map[*certtest.Certificate]int64{ca: 2, other: 1} {
			_, _, err := w.AddItem(w.ctx(), newItem(issuer.Issue(certtest.Serial(serial), certtest.Validity(w.now, w.now.Add(alert.Day)))))
			w.ok(err)
		}
		server := newItem(ca.Issue(certtest.Serial(1), certtest.Validity(w.now, w.now.Add(alert.Day))))
		server.Kind = alert.KindServer
		_, _, err := w.AddItem(w.ctx(), server)
		w.ok(err)
		w.addCRL(w.list(ca, 1, w.now, 7))
		var serials []string
		w.ok(w.EachOfIssuer(w.ctx(), "CN=Root", func(id, serial string) error {
			if id == "" {
				w.Error("an item without id")
			}
			serials = append(serials, serial)
			return nil
		}))
		if !slices.Equal(serials, []string{"01", "02", "03"}) {
			w.Errorf("serials %v", serials)
		}
		stop := fault.New(fault.Internal, "stop", "stop")
		w.fails(w.EachOfIssuer(w.ctx(), "CN=Root", func(string, string) error { return stop }), fault.Internal, "stop")
	},
}

func sameNumber(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 }
