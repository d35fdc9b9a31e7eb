package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

var reportTests = map[string]func(*world){
	"report: is handed over once for each channel and period": func(w *world) {
		week := Start.Add(-time.Hour)
		report := func(channel string, period time.Time) bool {
			a := alert.NewReport("installation", channel, period, "Weekly report\nall is well", w.now)
			handed, err := w.Report(w.ctx(), channel, period, alert.Notice{
				Alert: a, Deliveries: []alert.Delivery{alert.NewDelivery(channel, channel, "", []string{a.ID}, w.now)},
			})
			w.ok(err)
			return handed
		}
		next := week.Add(7 * alert.Day)
		got := []bool{
			report("mail", week), report("mail", week), report("hook", week), report("mail", next), report("mail", week), report("mail", next),
		}
		if diff := cmp.Diff([]bool{true, false, true, true, false, false}, got); diff != "" {
			w.Error(diff)
		}
		if n := len(w.deliveries()); n != 3 {
			w.Errorf("%d deliveries, want 3", n)
		}
		last, err := w.Reported(w.ctx(), "mail")
		if w.ok(err); !last.Equal(next) {
			w.Errorf("the last one is of %v", last)
		}
		one, err := w.Installation(w.ctx())
		w.ok(err)
		if again, err := w.Installation(w.ctx()); err != nil || len(one) != 32 || again != one {
			w.Errorf("the installation is named %q, then %q, %v", one, again, err)
		}
		if last, err = w.Reported(w.ctx(), "never"); err != nil || !last.IsZero() {
			w.Errorf("a channel without a report: %v, %v", last, err)
		}
		if e := w.one("w", "hook").Entries[0]; e.Item != nil || e.Alert.Event != alert.EventReport || e.Alert.Detail == "" {
			w.Errorf("the message is %+v", e)
		}
	},
	"report: the first of what ends, and how much does": func(w *world) {
		late, soon := w.addClient("late", 80), w.addClient("soon", -1)
		w.addClient("far", 91)
		w.ok(w.SetTrust(w.ctx(), w.addClient("revoked", 5).ID, alert.Revoked, actor))
		for limit, want := range map[int][]string{1: {soon.ID}, 5: {soon.ID, late.ID}} {
			items, all, err := w.Ending(w.ctx(), w.now.Add(90*alert.Day), limit)
			w.ok(err)
			var got []string
			for _, i := range items {
				got = append(got, i.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" || all != 2 {
				w.Errorf("%d in all: %s", all, diff)
			}
		}
	},
	"report: where clients were seen": func(w *world) {
		w.addClient("client", 20)
		c := certtest.SelfSigned(certtest.CommonName("device"), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(20*alert.Day)))
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{sighting(c, "b.example.com", Start, Start, 1), sighting(c, "a.example.com", Start, Start, 1)}))
		hosts, err := w.SeenHosts(w.ctx())
		w.ok(err)
		if diff := cmp.Diff([]string{"a.example.com", "b.example.com"}, hosts); diff != "" {
			w.Error(diff)
		}
	},
}
