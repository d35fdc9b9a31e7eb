package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// An Application is a guarded origin, as the API and the configuration have it
// in common. Those of the configuration are never stored.
type Application struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"` // unique
	AUD     string  `json:"aud"`  // 64 lower-case hex digits, for good
	Places  []Place `json:"places"`
	Primary int     `json:"primary"` // index of the place that it goes by

	// Origin is a URL of scheme, host and port; "" is that of the application
	// that encloses each place, or else the configuration's default.
	Origin          string `json:"origin"`
	SessionDuration string `json:"session_duration"` // as time.ParseDuration reads it, as it was given
	DenyMessage     string `json:"deny_message"`
	DenyURL         string `json:"deny_url"`

	OptionsPreflightBypass bool   `json:"options_preflight_bypass"`
	Cookie                 Cookie `json:"cookie"`

	Policies []AttachedPolicy `json:"policies"` // by precedence

	// Inert is what was sent, has no effect here, and is shown again.
	Inert map[string]json.RawMessage `json:"inert"`

	CreatedAt time.Time `json:"created_at"` // zero if it is declared
	UpdatedAt time.Time `json:"updated_at"`

	Declared bool `json:"declared"` // by the configuration: it is changed there
	// ForwardingGiven tells that the configuration says what is forwarded, so
	// that no hostname setting counts; Forwarding is then what it says.
	ForwardingGiven bool   `json:"-"`
	Forwarding      string `json:"-"`
}

// A Place is where an application answers.
type Place struct {
	Hostname string `json:"hostname"` // normalised; exact or wildcard
	Path     string `json:"path"`     // "/" or a prefix, as access.CheckPath wants it
}

// String returns the place as people write it: the host name, and the path
// unless it is "/".
func (p Place) String() string {
	if p.Path == "/" {
		return p.Hostname
	}
	return p.Hostname + p.Path
}

// A Cookie says what attributes the session cookie has.
type Cookie struct {
	Readable  bool   `json:"readable"`   // by scripts: without HttpOnly
	SameSite  string `json:"same_site"`  // none, lax or strict; "" = none
	ScopePath bool   `json:"scope_path"` // for the application's path alone
}

// An AttachedPolicy is a policy with its place in an application's order.
type AttachedPolicy struct {
	Policy

	Precedence int `json:"precedence"` // from 1, unique within the application
}

// A Policy admits or refuses: any of Include, all of Require, none of Exclude.
type Policy struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Action          string     `json:"action"` // allow, block, bypass or service_auth
	Include         []Selector `json:"include"`
	Require         []Selector `json:"require"`
	Exclude         []Selector `json:"exclude"`
	SessionDuration string     `json:"session_duration"` // "" = the application's
	Reusable        bool       `json:"reusable"`         // by any application; else it is one's own
	CreatedAt       time.Time  `json:"created_at"`       // zero if it is declared
	UpdatedAt       time.Time  `json:"updated_at"`
	Declared        bool       `json:"declared"`
}

// Selectors returns all of its selectors.
func (p Policy) Selectors() []Selector { return slices.Concat(p.Include, p.Require, p.Exclude) }

// Version names the state of an application with its policies.
func (a Application) Version() string { return versionOf(a) }

// Version names the state of a policy.
func (p Policy) Version() string { return versionOf(p) }

// Version names the state of a policy in its application.
func (p AttachedPolicy) Version() string { return versionOf(p) }

func versionOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // Inert holds what was decoded from JSON
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Policy returns the policy of that id that the application has.
func (a Application) Policy(id string) (AttachedPolicy, bool) {
	i := slices.IndexFunc(a.Policies, func(p AttachedPolicy) bool { return p.ID == id })
	if i < 0 {
		return AttachedPolicy{}, false
	}
	return a.Policies[i], true
}

// An Access is all that the API has made of applications and policies.
type Access struct {
	Applications []Application // the oldest first
	Reusable     []Policy      // the oldest first
}

// Clone returns a copy that shares nothing that is changed in place.
func (x *Access) Clone() Access {
	out := Access{Applications: slices.Clone(x.Applications), Reusable: slices.Clone(x.Reusable)}
	for i := range out.Applications {
		out.Applications[i].Policies = slices.Clone(out.Applications[i].Policies)
	}
	return out
}

// users returns the names of the applications that have a policy.
func (x *Access) users(policyID string) []string {
	var names []string
	for _, app := range x.Applications {
		if _, ok := app.Policy(policyID); ok {
			names = append(names, app.Name)
		}
	}
	return names
}
