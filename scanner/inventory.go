package scanner

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Rule says which items are told about, when, and to whom. Its identity is
// its name.
type Rule struct {
	Name      string
	Kinds     []alert.Kind
	Match     map[string]string // labels that an item must all bear
	Hostnames []string          // patterns, one of which a host name of the item must match; none = any
	CAs       []string          // bundles, one of which must hold the item or its issuer; none = any
	Before    []time.Duration   // thresholds, any order, none negative; 0 = at expiry, which is always told of a revocation list
	Targets   []Target          // of those thresholds
	Escalate  []Escalation      // further thresholds, each with its own targets
	Scale     bool              // a threshold t counts as min(t, lifetime × t / 120d)

	Repeat     time.Duration // how often to remind, until somebody acknowledges; 0 = never
	RepeatFrom time.Duration // of which thresholds, this one and the tighter ones
	Digest     time.Duration // gathers what is not urgent into one message each; 0 = at once
}

// An Escalation is a threshold that tells others than the rule's.
type Escalation struct {
	Before  time.Duration
	Targets []Target
}

// A Target is a channel that a rule tells.
type Target struct {
	Channel    string
	Recipients []string // e-mail addresses; for Slack and webhooks the channel's name alone
	Single     bool     // its format carries one item a message
	// OwnerDomains, of an e-mail channel, has it tell an item's owners too, as
	// far as their addresses lie in one of these domains, in lower case.
	OwnerDomains []string
}

// An Inventory holds the items and what was told of them. All methods may be
// called concurrently, also by other processes on the same store.
type Inventory interface {
	// Scan takes over pending items that have become valid, hands the active
	// items whose next_due_at has come and the ends of watches that are to be
	// told to decide, and writes the plan, all in one transaction that excludes
	// every other scan; it records now as the time of the last successful scan.
	// Of very many items it may make several transactions, each with its own call
	// of decide. An error leaves nothing written of the one that it is about.
	Scan(ctx context.Context, now time.Time, decide func([]alert.Candidate) alert.Plan) error
	// Preview returns what Scan would hand to decide at the given time, and
	// what ends within the given span of it whatever was scheduled: rules that
	// are not in force yet may be about it. It changes nothing.
	Preview(ctx context.Context, at time.Time, within time.Duration) ([]alert.Candidate, error)
	// Reschedule sets next_due_at of every active item by next (the zero time
	// means never), in batches, unless it already did so for this key; a run
	// that was cut off is done again.
	Reschedule(ctx context.Context, key string, next func(alert.Candidate) time.Time) error
	// Placement returns a number that changes whenever a bundle, or what it
	// holds or is for, does: rules that ask for those must be gone by anew.
	Placement(ctx context.Context) (int64, error)
	// LastScan returns the time of the last successful scan, zero if none.
	LastScan(ctx context.Context) (time.Time, error)
	// AcceptedClock returns when an operator last confirmed the wall clock
	// (`scan --accept-clock`), zero if never.
	AcceptedClock(ctx context.Context) (time.Time, error)
}
