package templates

import (
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// facts are rows of who uses an item and what may have taken its place.
func (m Message) facts(i alert.Item) []row {
	known, ok := m.Facts[i.ID]
	var rows []row
	switch {
	case i.Kind == alert.KindClient:
		rows = append(rows, list("Last seen", sightings(i)))
	case i.Kind == alert.KindCA && ok:
		rows = append(rows, row{Label: "In use by", Value: users(known)}, list("Lately", recent(known)))
	}
	return append(rows, row{Label: "Renewed by", Value: replacement(known)}, list("Renewed by?", successors(known)))
}

// stillUsed reports whether an item expires that is in use although it was renewed.
func stillUsed(e alert.Entry) bool {
	return e.Item != nil && e.Alert.Event == alert.EventExpiring && e.Item.Watch == alert.Superseded
}

// replacement names what took the item's place, as somebody has said.
func replacement(known alert.Facts) string {
	if known.Replacement == nil {
		return ""
	}
	return successor(*known.Replacement)
}

// sightings says where a client presented its certificate, the latest first.
func sightings(i alert.Item) []string {
	seen := slices.Clone(i.Sources)
	slices.SortStableFunc(seen, func(a, b alert.Source) int { return b.LastSeen.Compare(a.LastSeen) })
	var said []string
	for _, s := range seen {
		if s.Kind == alert.SourceObserved {
			said = append(said, at(s.Reference, s.LastSeen))
		}
	}
	return said
}

func users(known alert.Facts) string {
	days := int(alert.SeenWithin / alert.Day)
	switch known.Dependents {
	case 0:
		return fmt.Sprintf("no client certificate that was seen in the last %d days", days)
	case 1:
		return fmt.Sprintf("1 client certificate seen in the last %d days", days)
	}
	return fmt.Sprintf("%d client certificates seen in the last %d days", known.Dependents, days)
}

func recent(known alert.Facts) []string {
	var said []string
	for _, d := range known.Recent {
		said = append(said, Cut(d.Name, 80)+" at "+at(d.Hostname, d.LastSeen))
	}
	return said
}

// successors names look-alikes that end later. Whether they are its
// successors is for a person to say.
func successors(known alert.Facts) []string {
	var said []string
	for _, s := range known.Successors {
		said = append(said, successor(s))
	}
	return said
}

func successor(i alert.Item) string {
	return fmt.Sprintf("%s (ends %s)", prefix(i.ID), i.NotAfter.UTC().Format(time.DateOnly))
}

func at(place string, when time.Time) string {
	return place + " on " + when.UTC().Format(time.RFC3339)
}
