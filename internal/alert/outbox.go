package alert

import "time"

// A Job is a leased delivery with what it tells.
type Job struct {
	Delivery Delivery
	Entries  []Entry // most urgent first; only those that still hold
}

// An Entry is one alert of a message, with its item as it is now. Item is nil
// for failure notices, whose words are in Alert.Detail.
type Entry struct {
	Alert     Alert
	Item      *Item
	Successor *Item // what took a renewed item's place, where it is known
}

// An Outcome is the result of one attempt, written in one transaction.
type Outcome struct {
	// State is StateSent, StateRetrying, StateDead, or StatePending: given
	// back, which is not counted as an attempt.
	State         DeliveryState
	At            time.Time
	NextAttemptAt time.Time      // for StateRetrying and StatePending
	Error         string         // the counterpart's words, secrets cut out
	Channel       *ChannelStatus // nil = unchanged
	Notice        *Notice        // nil = nothing to announce
	// Uncertain says that the message may have arrived though it was not sent for
	// certain: then its recipient is told when what it told is over.
	Uncertain bool
}

// A ChannelStatus says whether a channel as a whole works.
type ChannelStatus struct {
	Failing bool      `json:"failing"`
	Reason  string    `json:"reason,omitempty"` // no secret
	Since   time.Time `json:"since"`            // when it began to fail
	RetryAt time.Time `json:"retry_at"`         // when one delivery may probe it again
	Probes  int       `json:"probes"`           // attempts since it began to fail
	// LastSent is when it last accepted a message, zero if never. The outbox
	// keeps it by itself.
	LastSent time.Time `json:"last_sent"`
}

// A Notice announces a failure on other channels.
type Notice struct {
	Alert      Alert // Event is EventFailed
	Deliveries []Delivery
}

// An Attempt is one try to send a delivery.
type Attempt struct {
	At      time.Time     `json:"at"`
	Outcome DeliveryState `json:"outcome"`         // StatePending: it is tried again and was not counted
	Error   string        `json:"error,omitempty"` // the counterpart's words, secrets cut out
}
