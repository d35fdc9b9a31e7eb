package templates

import (
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A family are entries that a digest tells in one: certificates of one issuer
// that are known from handshakes alone, whose owners renew them by themselves
// or not at all. Every other entry is a family of its own.
type family []alert.Entry

// families joins the entries, each family where its most urgent one stands.
func families(entries []alert.Entry) []family {
	var all []family
	at := map[string]int{} // by issuer and event
	for _, e := range entries {
		if e.Item == nil || !e.Item.OnlyObserved() {
			all = append(all, family{e})
			continue
		}
		key := string(e.Alert.Event) + " " + e.Item.Issuer
		if i, ok := at[key]; ok {
			all[i] = append(all[i], e)
			continue
		}
		at[key] = len(all)
		all = append(all, family{e})
	}
	return all
}

// family tells of several entries in one.
func (m Message) family(number int, f family) entryView {
	first := f[0]
	if len(f) == 1 {
		return m.entry(number, first)
	}
	v := entryView{Number: number, Title: m.familyTitle(f), Urgent: m.urgent(first), End: first.Item.NotAfter.UTC().Format(time.RFC3339)}
	names := make([]string, len(f))
	for i, e := range f {
		names[i] = itemName(*e.Item)
	}
	issuer := OneLine(first.Item.Issuer)
	v.Rows = []row{{Label: "Issuer", Value: Cut(issuer, maxValue), Brief: Cut(issuer, maxBrief)}, list("Clients", names)}
	return v
}

func (m Message) familyTitle(f family) string {
	verb := "expire"
	if f[0].Alert.Event != alert.EventExpiring {
		verb = "were " + clean(string(f[0].Alert.Event))
	}
	return fmt.Sprintf("%d client certificates of %q that were only seen %s, the first %s",
		len(f), Cut(OneLine(f[0].Item.Issuer), 80), verb, alert.FormatLeft(f[0].Item.NotAfter, m.Now))
}

// familyRow is a family in the table of a digest.
func (m Message) familyRow(number int, f family) overviewRow {
	r := m.overview(number, f[0])
	if len(f) > 1 {
		r.What = fmt.Sprintf("%d clients of %s", len(f), Cut(OneLine(f[0].Item.Issuer), 60))
	}
	return r
}
