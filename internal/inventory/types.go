package inventory

import (
	"crypto/x509"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Role is what a certificate is for within its bundle.
type Role string

// The roles.
const (
	RoleAnchor       Role = "anchor"
	RoleIntermediate Role = "intermediate"
)

// A Member is one certificate of a bundle.
type Member struct {
	Item        alert.Item        `json:"item"`
	Role        Role              `json:"role"`
	Certificate *x509.Certificate `json:"-"`
}

// A Bundle is what is uploaded as a CA: the reference product's certificate
// object. Its name and its set of certificates are each unique.
type Bundle struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Hostnames []string  `json:"hostnames"` // normalised, sorted
	Members   []Member  `json:"members"`   // in PEM order; a renewal goes before what it replaces
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	Constraints Constraints `json:"constraints"`
}

// Actor kinds.
const (
	ActorLocal  = "local"  // a user of the command line; ID is the OS user
	ActorToken  = "token"  // ID is the token's id
	ActorLink   = "link"   // a signed link in a message; ID is the item it was made for
	ActorClient = "client" // ID is the client certificate's fingerprint
	ActorSystem = "system" // the daemon itself
)

// An Actor is who does something, for the audit row.
type Actor struct {
	Kind      string
	ID        string
	RequestID string
}

// A Proposal is a CA that asked to take another's place and is trusted
// nowhere until a write holder confirms its fingerprint.
type Proposal struct {
	ID          string            `json:"id"`
	ItemID      string            `json:"item_id"` // the item it would renew
	Bundle      string            `json:"bundle"`  // a bundle that holds that item
	Fingerprint string            `json:"fingerprint"`
	Subject     string            `json:"subject"`
	NotAfter    time.Time         `json:"not_after"`
	ProposedBy  string            `json:"proposed_by"` // "kind:id" of the actor
	CreatedAt   time.Time         `json:"created_at"`
	ExpiresAt   time.Time         `json:"expires_at"` // when it goes if nobody has confirmed it
	Certificate *x509.Certificate `json:"-"`
}

// ProposalLife is how long a proposal waits to be confirmed.
const ProposalLife = 30 * alert.Day

// A Token is a credential of the admin listener. Its secret is stored hashed.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"` // ScopeRead, ScopeWrite, ScopeRenew
	ItemID     string     `json:"item_id,omitempty"`
	Hash       []byte     `json:"-"` // SHA-256 of the secret, 32 bytes
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// The scopes of tokens. Write includes read and renew.
const (
	ScopeRead  = "read"
	ScopeWrite = "write"
	ScopeRenew = "renew"
)

// An AuditEntry is one change: who, what, when, before and after as JSON.
type AuditEntry struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	ActorKind string    `json:"actor_kind"`
	ActorID   string    `json:"actor_id"`
	Action    string    `json:"action"` // "ca.add", "item.renew", …
	Object    string    `json:"object"` // "bundle:<id>", "item:<id>", "token:<id>"
	Before    string    `json:"before,omitempty"`
	After     string    `json:"after,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
}

// An AuditFilter selects audit rows; zero fields do not filter.
type AuditFilter struct {
	Object string    // as a row writes it, an id or its first 6 digits or more, a name, an item's fingerprint or serial
	Actor  string    // a kind, "kind:id", an id or its first 6 digits or more, a token's name
	Action string    // whole, or what stands before the dot: "ca" is every "ca.…"
	Since  time.Time // at this instant or later
	Until  time.Time // before this instant
	Limit  int       // at most so many, the newest; 0 or less means no limit
}

// An ItemFilter selects items; zero fields do not filter.
type ItemFilter struct {
	Kind           alert.Kind
	Watch          alert.Watch
	Subject        string    // as alert.Item has it
	Key            string    // SHA-256 of the SubjectPublicKeyInfo, lower-case hex
	ExpiringBefore time.Time // not_after before this instant
}

// A NewBundle is a validated upload.
type NewBundle struct {
	Name         string
	Hostnames    []string
	Certificates []*x509.Certificate // in PEM order
	Roles        []Role              // one for each certificate
	Labels       map[string]string
	Constraints  *Constraints // nil leaves those that are stored; a new bundle then has none
	Only         bool         // a bundle that is stored already is a fault.Conflict
	Source       alert.Source
	Actor        Actor
}

// A BundleUpdate changes a stored bundle: what it is called, whom it vouches
// for, and which certificates have successors.
type BundleUpdate struct {
	ID        string
	Name      string
	Hostnames []string // the whole list, normalised
	Renewals  []Replacement
	Check     Check // may be nil
	Actor     Actor
}

// A NewItem is a validated single certificate of kind client or server.
type NewItem struct {
	Kind        alert.Kind
	Certificate *x509.Certificate
	Labels      map[string]string
	Source      alert.Source
	Actor       Actor
}

// A Replacement puts a new certificate in an item's place: in every bundle
// that holds the old one, before it, with its role; the new item takes the old
// one's labels. When Pending (the new one is not valid yet) the old item stays
// active until a scan finds the new one valid; otherwise it is superseded now.
// Superseding cancels the old item's deliveries that are not settled and
// leaves its trust as it is.
type Replacement struct {
	OldItemID   string
	Certificate *x509.Certificate
	Pending     bool
	Source      alert.Source
	Actor       Actor
	Action      string // for the audit row
	ProposalID  string // deleted in the same transaction; may be ""
	Once        bool   // refused when another successor waits to become valid
}

// A Handled is an item that somebody acknowledged or snoozed.
type Handled struct {
	Item alert.Item `json:"item"`
	Next *time.Time `json:"next_alert"` // when it is told of next, nil = never in this epoch
}
