package alert

import "time"

// A Candidate is an item with what is already on record for its present epoch,
// or, when Ended is set, for the epoch that ended.
type Candidate struct {
	Item     Item
	Recorded []Mark // of an item that is watched
	Told     []Told
	CAs      []string // names of the bundles that hold it or a CA of its issuer's name
	Ended    *Ending  // nil = the item is watched
}

// An Ending is why the watch of an item's epoch ended: EventRenewed,
// EventRevoked, EventRemoved or EventIgnored.
type Ending struct {
	Epoch int
	Event Event
}

// A Mark is a threshold for which a rule has an alert on record, covered or not.
type Mark struct {
	Rule      string
	Threshold time.Duration
}

// Told is the tightest threshold at which a recipient was, or will be, told of
// an item.
type Told struct {
	Channel   string
	Recipient string
	Threshold time.Duration
	Rule      string // that asked for it
	Heard     bool   // a message about the item has gone to the recipient
}

// A Plan is what one scan writes, whole or not at all.
type Plan struct {
	Alerts     []Alert
	Deliveries []Delivery
	Told       []ToldMark
	// Next holds, for the item id of every candidate that is watched, when it
	// must be looked at again; the zero time means never (until its rules or its
	// epoch change).
	Next map[string]time.Time
	// Rules is the key of the rules that Next is by, as Reschedule is given it.
	Rules string
}

// A ToldMark records that a delivery of the plan tells a recipient of an item.
type ToldMark struct {
	ItemID    string
	Epoch     int
	Channel   string
	Recipient string
	Threshold time.Duration
	Rule      string
}
