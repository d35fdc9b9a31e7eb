package alert

import (
	"fmt"
	"time"
)

// A Kind is what an item is.
type Kind string

// The kinds of items.
const (
	KindCA     Kind = "ca"     // a certification authority's certificate
	KindClient Kind = "client" // a certificate that clients present
	KindServer Kind = "server" // a certificate that a listener or endpoint presents
	KindCRL    Kind = "crl"    // a revocation list; its end is nextUpdate
)

// Trust is what the enforcer's verdict reads of an item, and nothing else.
type Trust string

// The states of trust.
const (
	Trusted Trust = "trusted"
	Revoked Trust = "revoked"
	Removed Trust = "removed"
)

// Watch is what alerting reads of an item, and nothing else.
type Watch string

// The states of watch.
const (
	Active     Watch = "active"
	Pending    Watch = "pending"    // not valid yet
	Superseded Watch = "superseded" // an explicit renewal took its place
	Ignored    Watch = "ignored"
)

// StateAfter returns what an event leaves an item in, as long as nothing else
// happens to it.
func StateAfter(event Event) (Trust, Watch) {
	switch event {
	case EventRenewed:
		return Trusted, Superseded
	case EventRevoked:
		return Revoked, Active
	case EventRemoved:
		return Removed, Ignored
	case EventIgnored:
		return Trusted, Ignored
	case EventExpiring, EventReport, EventFailed:
	}
	return Trusted, Active
}

// SourceKind is how an item came to be known.
type SourceKind string

// The kinds of sources.
const (
	SourceUpload   SourceKind = "upload"
	SourceObserved SourceKind = "observed"
	SourceFile     SourceKind = "file"
	SourceEndpoint SourceKind = "endpoint"
	SourceConfig   SourceKind = "config"
)

// A Source is one way in which an item is known, with where: a file path, an
// endpoint, a hostname or an uploader.
type Source struct {
	Kind      SourceKind `json:"kind"`
	Reference string     `json:"reference"`
	FirstSeen time.Time  `json:"first_seen"`
	LastSeen  time.Time  `json:"last_seen"`
	Count     int        `json:"count"` // how often; of SourceObserved, the connections that presented it
}

// An Item is anything with an end date that is watched. Its identity is Kind
// and Fingerprint; ID is a random UUID. Times are UTC.
type Item struct {
	ID          string            `json:"id"`
	Kind        Kind              `json:"kind"`
	Fingerprint string            `json:"fingerprint"` // SHA-256 of the DER, 64 lower-case hex digits
	Subject     string            `json:"subject"`     // RFC 2253 form
	Issuer      string            `json:"issuer"`
	CommonName  string            `json:"common_name"`
	Serial      string            `json:"serial"` // upper-case hex, no separators
	SANs        []string          `json:"sans"`   // typed: "dns:…", "ip:…", "email:…", "uri:…"
	NotBefore   time.Time         `json:"not_before"`
	NotAfter    time.Time         `json:"not_after"` // inclusive, as RFC 5280 §4.1.2.5 has it
	Trust       Trust             `json:"trust"`
	Watch       Watch             `json:"watch"`
	Epoch       int               `json:"epoch"` // counts each return to Active, or to use, from 1
	Labels      map[string]string `json:"labels"`
	Bundles     []string          `json:"bundles"`   // names of the bundles that hold it, sorted
	BundleIDs   []string          `json:"-"`         // of those bundles, in their order
	Hostnames   []string          `json:"hostnames"` // of those bundles, sorted
	Sources     []Source          `json:"sources"`
	ReplacedBy  string            `json:"replaced_by,omitempty"` // UUID of the item that superseded it
	UsedAt      *time.Time        `json:"used_at,omitempty"`     // of a superseded item that is in use all the same: when it was seen last
	NextDueAt   *time.Time        `json:"next_due_at"`           // nil = nothing left to say
	Handling    *Handling         `json:"handling,omitempty"`    // nil = nobody said anything in this epoch
	CreatedAt   time.Time         `json:"created_at"`
}

// A Handling is what somebody said about an item that was told to expire: that
// it is taken care of, or that it can wait. It silences what was due by then.
type Handling struct {
	By    string     `json:"by"`
	At    time.Time  `json:"at"`
	Until *time.Time `json:"until,omitempty"` // when a snooze ends; nil = acknowledged
}

// Words says what was said: "acknowledged by Ana on …", "snoozed by Ana until …".
func (h Handling) Words() string {
	if h.Until != nil {
		return fmt.Sprintf("snoozed by %s until %s", h.By, h.Until.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("acknowledged by %s on %s", h.By, h.At.UTC().Format(time.RFC3339))
}

// Lifetime is the span from NotBefore to NotAfter.
func (i Item) Lifetime() time.Duration { return i.NotAfter.Sub(i.NotBefore) }

// OnlyObserved reports whether handshakes are the item's only source.
func (i Item) OnlyObserved() bool {
	for _, s := range i.Sources {
		if s.Kind != SourceObserved {
			return false
		}
	}
	return len(i.Sources) > 0
}

// LastSeen is the last time that any source saw the item; zero without one.
func (i Item) LastSeen() time.Time {
	var last time.Time
	for _, s := range i.Sources {
		if s.LastSeen.After(last) {
			last = s.LastSeen
		}
	}
	return last
}

// Outlived reports whether an item that is known from handshakes alone has not
// been seen since the last quarter of its lifetime began. Clients that renew by
// themselves do so at the last third, and present the old one for a while after
// that, until a timer or the end of a connection: what nobody presents any more
// by the last quarter may end in silence. Seen again later, it is not outlived.
func (i Item) Outlived() bool {
	return i.OnlyObserved() && i.LastSeen().Before(i.NotAfter.Add(-i.Lifetime()/4))
}

// settling is the least time that a renewed certificate has to arrive everywhere:
// a client may have the new one and still present the old one on a connection
// that lasts for a day.
const settling = 2 * Day

// UsedWithin is for how long a superseded item that was seen counts as in use.
const UsedWithin = 7 * Day

// Watched reports whether alerting speaks of an item that is trusted: it is active,
// or superseded and in use all the same.
func (i Item) Watched() bool { return i.Watch == Active || i.UsedAt != nil }

// OutOfUse reports whether an item that was superseded at an instant should be in
// use no more by another one: after a third of the time that it had left. Who
// presents it then has not got the renewed one, and two thirds are left to mend
// that.
func (i Item) OutOfUse(superseded, by time.Time) bool {
	return !by.Before(superseded.Add(max(i.NotAfter.Sub(superseded)/3, settling)))
}
