package inventory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/fault"
)

// The reference product's limits.
const (
	maxApplications = 500
	maxPlaces       = 5
	maxPolicies     = 1000 // of one application, and reusable ones
	maxPrecedence   = 1 << 20
)

// A Declaration is what the configuration says of applications. It may be used
// concurrently.
type Declaration interface {
	// Applications returns those that the configuration in force declares. It
	// waits for no change that Hold carries out.
	Applications() []Application
	// Hold calls use with the applications that the configuration declares. No
	// other configuration takes over until it returns, which may take as long as
	// the store does: nothing that trust depends on may wait for it.
	Hold(use func(declared []Application) error) error
	// Check tells why these applications of the API could not be enforced
	// beside the declared ones. It is called while they are held.
	Check(stored []Application) error
	// CheckOrigin tells why the API may not send requests there. It is called
	// while the applications are held.
	CheckOrigin(origin *url.URL) error
}

// Applications carries out what the API does with applications and policies.
// What is declared is listed and never changed. It may be used concurrently.
type Applications struct {
	store    Store
	declared Declaration
}

// NewApplications returns the applications of a store beside those of a
// configuration.
func NewApplications(store Store, declared Declaration) *Applications {
	return &Applications{store, declared}
}

// A PolicyInput names a policy that an application is to have.
type PolicyInput struct {
	ID         string  // of one that there is; "" = a new one of the application's own
	Precedence int     // 0 = after those before it
	Rules      *Policy // what it says; nil = as it stands
}

// Applications returns all of them, the declared ones first and then the
// oldest first.
func (s *Applications) Applications(ctx context.Context) ([]Application, error) {
	stored, err := s.store.Access(ctx)
	return slices.Concat(s.declared.Applications(), stored.Applications), err
}

// Application returns the one of that whole id, or fault.NotFound.
func (s *Applications) Application(ctx context.Context, id string) (Application, error) {
	list, err := s.Applications(ctx)
	if err != nil {
		return Application{}, err
	}
	return find(list, id)
}

func find(list []Application, id string) (Application, error) {
	i := slices.IndexFunc(list, func(a Application) bool { return a.ID == id })
	if i < 0 {
		return Application{}, fault.New(fault.NotFound, "application", "there is no application %.64q", id).WithHint("list them: GET …/access/apps")
	}
	return list[i], nil
}

// Add makes an application, with the policies that it is to have.
func (s *Applications) Add(ctx context.Context, a Application, policies []PolicyInput, actor Actor) (Application, error) {
	a.ID, a.AUD = uuid.NewString(), newAudience()
	return s.edit(ctx, a.ID, actor, func(all *Access) error {
		if err := s.checkOrigin(a.Origin); err != nil {
			return err
		}
		all.Applications = append(all.Applications, a)
		return all.attach(&all.Applications[len(all.Applications)-1], policies)
	})
}

// Update changes an application: change gets it as it stands. Policies that are
// nil stay; else they are the whole list, and what it leaves out of the
// application's own is deleted.
func (s *Applications) Update(ctx context.Context, id string, change func(*Application) error, policies *[]PolicyInput, actor Actor) (Application, error) {
	return s.edit(ctx, id, actor, func(all *Access) error {
		a, err := all.application(id)
		if err != nil {
			return err
		}
		origin := a.Origin
		if err := change(a); err != nil {
			return err
		}
		if a.Origin != origin { // one that was allowed once does not stand in the way of the rest
			if err := s.checkOrigin(a.Origin); err != nil {
				return err
			}
		}
		if policies == nil {
			return nil
		}
		return all.attach(a, *policies)
	})
}

func (s *Applications) checkOrigin(origin string) error {
	if origin == "" {
		return nil
	}
	err := access.CheckOrigin(origin)
	if err == nil {
		u, _ := url.Parse(origin) // CheckOrigin has
		err = s.declared.CheckOrigin(u)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.WithField("origin")
	}
	return err
}

// Remove deletes an application, once it passes the check, with the policies
// that are its own.
func (s *Applications) Remove(ctx context.Context, id string, check func(Application) error, actor Actor) error {
	_, err := s.edit(ctx, id, actor, func(all *Access) error {
		a, err := all.application(id)
		if err != nil {
			return err
		}
		if err := check(*a); err != nil {
			return err
		}
		all.Applications = slices.DeleteFunc(all.Applications, func(a Application) bool { return a.ID == id })
		return nil
	})
	if fault.Rule(err) == "origin" { // of another one, which has its own from this one
		return fault.New(fault.Conflict, "in_use", "it is what says where requests go of another: %w", err).
			WithHint("give that one an origin of its own first")
	}
	return err
}

// edit changes what is stored in one transaction, unless the result breaks a
// rule or could not be enforced, and returns the application of the id, if any,
// as it is then.
func (s *Applications) edit(ctx context.Context, id string, actor Actor, change func(*Access) error) (changed Application, err error) {
	err = s.declared.Hold(func(declared []Application) error {
		after, err := s.store.EditAccess(ctx, func(all *Access) error {
			if err := refuseDeclared(declared, id); err != nil {
				return err
			}
			if err := change(all); err != nil {
				return err
			}
			if err := all.validate(); err != nil {
				return err
			}
			if len(declared)+len(all.Applications) > maxApplications {
				return fault.New(fault.Invalid, "quota", "maximum number of applications has been reached: %d", maxApplications).WithHint("delete one that is needed no longer")
			}
			if c := Collide(slices.Concat(declared, all.Applications)); c != nil {
				return c.fault(id)
			}
			return s.declared.Check(all.Applications)
		}, actor)
		changed, _ = find(after.Applications, id) // none if it was deleted, or is about none
		return err
	})
	return changed, err
}

// A Collision is two applications that cannot be both.
type Collision struct {
	First, Second *Application
	Place         *Place // that both answer to; nil: they have one name
}

// Collide returns the first collision of a list, nil if there is none.
func Collide(list []Application) *Collision {
	names, places := map[string]*Application{}, map[Place]*Application{}
	for i := range list {
		a := &list[i]
		if other := names[a.Name]; other != nil {
			return &Collision{First: other, Second: a}
		}
		names[a.Name] = a
		for _, p := range a.Places {
			if other := places[p]; other != nil {
				return &Collision{First: other, Second: a, Place: &p}
			}
			places[p] = a
		}
	}
	return nil
}

// fault is the answer to whoever would bring it about by changing the
// application of that id.
func (c *Collision) fault(id string) error {
	first := c.First
	if first.ID == id {
		first = c.Second
	}
	other := first.ID
	if c.Place != nil {
		other += " (" + first.Name + ")"
	}
	if first.Declared {
		other += ", which the configuration file declares"
	}
	switch {
	case c.Place == nil:
		return fault.New(fault.Conflict, "name_in_use", "the name %q is in use by the application %s", c.Second.Name, other).
			WithField("name").WithHint("choose another name")
	case c.First == c.Second:
		return fault.New(fault.Invalid, "place", "%s is there twice", c.Place).WithHint("name each place once")
	}
	return fault.New(fault.Conflict, "place", "%s is guarded by the application %s already", c.Place, other).
		WithHint("give it another host name or path, or change that application")
}

func refuseDeclared(declared []Application, id string) error {
	for _, a := range declared {
		if a.ID == id && id != "" {
			return fault.New(fault.Conflict, "declared", "the configuration file declares the application %q", a.Name).
				WithHint("change it there and reload: the API only shows it")
		}
	}
	return nil
}

func (x *Access) application(id string) (*Application, error) {
	i := slices.IndexFunc(x.Applications, func(a Application) bool { return a.ID == id })
	if i < 0 {
		_, err := find(nil, id)
		return nil, err
	}
	return &x.Applications[i], nil
}

// validate holds everything to the rules that are about itself, and brings the
// policies of each application into their order.
func (x *Access) validate() error {
	if len(x.Reusable) > maxPolicies {
		return fault.New(fault.Invalid, "quota", "maximum number of reusable policies has been reached: %d", maxPolicies).WithHint("delete one that is needed no longer")
	}
	for _, p := range x.Reusable {
		if err := p.validate(); err != nil {
			return err
		}
	}
	for i := range x.Applications {
		a := &x.Applications[i]
		if err := CheckName(a.Name); err != nil {
			return err
		}
		switch {
		case len(a.Places) == 0:
			return fault.New(fault.Invalid, "missing", "the application has no domain").WithField("domain").WithHint("it is required")
		case len(a.Places) > maxPlaces:
			return fault.New(fault.Invalid, "quota", "the application has %d domains, and %d is the most", len(a.Places), maxPlaces).WithHint("make several applications of it")
		case len(a.Policies) > maxPolicies:
			return fault.New(fault.Invalid, "quota", "the application has %d policies, and %d is the most", len(a.Policies), maxPolicies).WithField("policies").WithHint("join some")
		}
		if err := x.order(a); err != nil {
			return err
		}
	}
	return nil
}

// CheckName wants a text that people can read and tell apart.
func CheckName(name string) error {
	switch {
	case name == "":
		return fault.New(fault.Invalid, "missing", "the name is empty").WithField("name").WithHint("it is required")
	case utf8.RuneCountInString(name) > maxName:
		return fault.New(fault.Invalid, "name", "the name is longer than %d characters", maxName).WithField("name")
	case strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) || strings.TrimSpace(name) != name:
		return fault.New(fault.Invalid, "name", "the name %q has a character that cannot be shown, or spaces around it", name).WithField("name")
	}
	return nil
}

// maxSession is how long a session may be.
const maxSession = 365 * 24 * time.Hour

// CheckSession wants how long a session is, as time.ParseDuration reads it.
func CheckSession(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > maxSession {
		return fault.New(fault.Invalid, "session_duration", "%.40q is no session_duration between 1s and 8760h", text).WithHint("write one such as 24h or 2h45m")
	}
	return nil
}

func newAudience() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return hex.EncodeToString(random[:])
}
