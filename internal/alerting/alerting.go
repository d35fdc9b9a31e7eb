// Package alerting holds the alerting policies and webhook destinations that
// people make by the API, and the rules by which they do. What the
// configuration declares of alerting is shown beside them, and is changed only
// there.
//
// A policy is an alert rule and a destination is a channel, each known by its
// name; no two have one name, wherever they come from.
package alerting

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// AlertType is the alert type of every policy, whatever kinds of items it is
// about.
const AlertType = "access_custom_certificate_expiration_type"

// A Policy says who is told of which items, and when.
type Policy struct {
	ID          string // UUID
	Name        string // the rule's name
	Description string
	Enabled     bool
	Mechanisms  Mechanisms
	Filters     Filters
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Declared    bool // by the configuration: shown here, changed there
}

// Mechanisms are the ways in which a policy tells.
type Mechanisms struct {
	Email     []string // addresses
	Webhooks  []string // ids of destinations
	PagerDuty []string // ids of destinations
}

// Filters narrow a policy; what is empty is as the documented default has it.
type Filters struct {
	Kinds  []alert.Kind
	Before []time.Duration
	Labels map[string]string // that an item must all bear
}

// Version names the state of a policy: it differs whenever the policy does.
func (p Policy) Version() string {
	return version("%q %q %q %t %q %q %v %q %d", p.ID, p.Name, p.Description, p.Enabled, p.Mechanisms, p.Filters.Kinds, p.Filters.Before, p.Filters.Labels, p.UpdatedAt.UnixMilli())
}

// A Destination is where webhooks go.
type Destination struct {
	ID          string // UUID
	Name        string // the channel's name
	Type        string // one of the Type constants
	Endpoint    Endpoint
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastSuccess *time.Time
	LastFailure *time.Time
	Declared    bool // by the configuration; its Endpoint then has no more than the host
}

// An Endpoint is what of a destination is secret. It never prints itself.
type Endpoint struct {
	URL    string // as it was given
	Secret string // "" = none
}

// String returns "[secret]".
func (Endpoint) String() string { return "[secret]" }

// GoString keeps %#v from showing the secret.
func (Endpoint) GoString() string { return "[secret]" }

// LogValue keeps log/slog from showing the secret.
func (Endpoint) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText keeps JSON from showing the secret.
func (Endpoint) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Version names the state of a destination: it differs whenever somebody
// changed it. It tells nothing of the secret.
func (d Destination) Version() string {
	return version("%q %q %q %d", d.ID, d.Name, d.Type, d.UpdatedAt.UnixMilli())
}

func version(format string, args ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return hex.EncodeToString(sum[:16])
}

// Stored is everything that was made by the API, at one moment.
type Stored struct {
	Generation   int64 // grows with every change
	Policies     []Policy
	Destinations []Destination // their endpoints only where they were asked for
}

// Policy returns the stored policy of an id.
func (s Stored) Policy(id string) (Policy, bool) {
	return find(s.Policies, func(p Policy) bool { return p.ID == id })
}

// Destination returns the stored destination of an id.
func (s Stored) Destination(id string) (Destination, bool) {
	return find(s.Destinations, func(d Destination) bool { return d.ID == id })
}

// Declared is what the configuration declares of alerting.
type Declared struct {
	Policies     []Policy
	Destinations []Destination // channels to which webhooks go
	PagerDuty    []Destination
	Channels     []string // the names of all channels
	Transport    string   // the channel that lends its server to addresses; "" = none does
	PublicURL    string   // that test messages are sent from
	AllowPrivate bool     // destinations made by the API may be in private networks
}

// A View is everything there is of alerting: what is declared, in its order,
// and then what was made, the oldest first.
type View struct {
	Policies     []Policy
	Destinations []Destination
	PagerDuty    []Destination
	Transport    string // as Declared has it
}

// Policy returns the policy of an id.
func (v View) Policy(id string) (Policy, bool) {
	return find(v.Policies, func(p Policy) bool { return p.ID == id })
}

// Destination returns the destination of an id, also one of PagerDuty.
func (v View) Destination(id string) (Destination, bool) {
	return find(slices.Concat(v.Destinations, v.PagerDuty), func(d Destination) bool { return d.ID == id })
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	var none T
	return none, false
}
