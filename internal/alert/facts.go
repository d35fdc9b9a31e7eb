package alert

import "time"

// SeenWithin is how far back Facts look for who uses a CA.
const SeenWithin = 30 * Day

// Facts are what the store knows of an item beyond the item itself: who depends
// on it, and what may have taken its place.
type Facts struct {
	Dependents int         // of a CA: client certificates that were seen under it within SeenWithin
	Recent     []Dependent // the few of them that were seen last, the latest first

	// Replacement has taken the place of an item that is superseded and in use all
	// the same; nil of others.
	Replacement *Item

	// Successors end later, and have the item's kind, subject, names and
	// issuer. Nobody has said that they are its successors: a fleet may share a
	// subject, so they silence nothing.
	Successors []Item
}

// A Dependent is a client certificate that was let in by a CA.
type Dependent struct {
	ItemID   string
	Name     string // its common name, or its subject
	Hostname string // where it was seen last
	LastSeen time.Time
}
