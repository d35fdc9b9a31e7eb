package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// endingTests are about how much ends when.
var endingTests = map[string]func(*world){
	"ending: what is watched is counted by ranges, each edge in the one before it": func(w *world) {
		end := func(kind alert.Kind, left time.Duration) alert.Item {
			c := certtest.SelfSigned(certtest.Client(), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(left)))
			item, _, err := w.AddItem(w.ctx(), inventory.NewItem{Kind: kind, Certificate: c.Certificate, Source: upload("x.pem"), Actor: actor})
			w.ok(err)
			return item
		}
		for _, left := range []time.Duration{-time.Hour, 0, time.Second, alert.Day, alert.Day + time.Second, 90 * alert.Day} {
			end(alert.KindClient, left)
		}
		end(alert.KindServer, alert.Day)
		w.ok(w.SetWatch(w.ctx(), end(alert.KindServer, alert.Day).ID, alert.Ignored, actor))
		w.ok(w.SetTrust(w.ctx(), end(alert.KindServer, alert.Day).ID, alert.Removed, actor))
		got, err := w.CountEnding(w.ctx(), []time.Time{w.now, w.now.Add(alert.Day), w.now.Add(7 * alert.Day)})
		w.ok(err)
		if diff := cmp.Diff(map[alert.Kind][]int{alert.KindClient: {2, 2, 1, 0}, alert.KindServer: {0, 1, 0, 0}}, got); diff != "" {
			w.Error(diff)
		}
		if got, err := w.CountEnding(w.ctx(), nil); err != nil || len(got) != 0 {
			w.Errorf("without edges: %v, %v", got, err)
		}
	},
	"ending: what was only seen and is in use no more is counted apart, and not reported": func(w *world) {
		used, unused, uploaded := w.clientOf80Days("used"), w.clientOf80Days("unused"), w.clientOf80Days("uploaded")
		_, _, err := w.AddItem(w.ctx(), newItem(uploaded))
		w.ok(err)
		quarter := w.now.Add(60 * alert.Day) // the last one begins
		w.ok(w.RecordSightings(w.ctx(), []inventory.Sighting{
			sighting(used, "a.example.com", quarter, quarter, 1),
			sighting(unused, "a.example.com", quarter.Add(-time.Second), quarter.Add(-time.Second), 1),
			sighting(uploaded, "a.example.com", w.now, w.now, 1),
		}))
		got, err := w.CountEnding(w.ctx(), []time.Time{w.now, w.now.Add(90 * alert.Day)})
		w.ok(err)
		if diff := cmp.Diff(map[alert.Kind][]int{alert.KindClient: {0, 2, 1}}, got); diff != "" {
			w.Error(diff)
		}
		items, all, err := w.Ending(w.ctx(), w.now.Add(91*alert.Day), 10)
		w.ok(err)
		if all != 2 || len(items) != 2 || items[0].Outlived() || items[1].Outlived() {
			w.Errorf("reported are %d: %+v", all, items)
		}
	},
}

func (w *world) clientOf80Days(name string) *certtest.Certificate {
	return certtest.SelfSigned(certtest.Client(), certtest.CommonName(name), certtest.Validity(w.now, w.now.Add(80*alert.Day)))
}
