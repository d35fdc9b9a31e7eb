package alerting

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A Store keeps policies and destinations. Every write is one transaction with
// its audit row, and raises the generation of what is stored. Methods may be
// called concurrently, also by other processes.
type Store interface {
	// OpenAlerting returns what is stored, with the endpoints of destinations.
	OpenAlerting(ctx context.Context) (Stored, error)
	// PutPolicy stores the policy that decide makes of what is stored at that
	// moment, in the place of one of its id if there is one; then the same
	// again changes nothing. What went under its former name goes under the new
	// one. decide must not use the store; its error changes nothing.
	PutPolicy(ctx context.Context, decide func(Stored) (Policy, error), actor inventory.Actor) (Policy, error)
	// DeletePolicy deletes a policy that passes the check. What it has queued
	// goes out.
	DeletePolicy(ctx context.Context, id string, check func(Policy) error, actor inventory.Actor) error
	// PutDestination is PutPolicy for destinations. The endpoints of what decide
	// sees are empty, that of what it returns is stored.
	PutDestination(ctx context.Context, decide func(Stored) (Destination, error), actor inventory.Actor) (Destination, error)
	// DeleteDestination deletes a destination that passes the check, takes it
	// from the policies that name it, which it returns, cancels what waits for
	// it, and forgets what it was told.
	DeleteDestination(ctx context.Context, id string, check func(Destination) error, actor inventory.Actor) ([]Policy, error)
	// SentDeliveries returns messages that were sent, the newest first, and how
	// many there are in all.
	SentDeliveries(ctx context.Context, s Span) (list []Sent, total int, err error)
}

// Options are what a service works with. All are required.
type Options struct {
	Store Store
	// Declared returns what the configuration in force declares. It may wait for
	// a lock whose holder waits for the store, so it is not called within a
	// transaction.
	Declared func() Declared
	// Try sends a text to a destination that is not stored yet. It has a
	// deadline of its own; its error says what came back, without a secret.
	Try func(ctx context.Context, d Destination, text string) error
	// Body returns what a message said.
	Body func(Sent) string
	Now  func() time.Time
}

// A Service carries out what the API asks for. It may be used concurrently.
type Service struct{ o Options }

// New returns a service.
func New(o Options) *Service { return &Service{o} }

// View returns everything there is.
func (s *Service) View(ctx context.Context) (View, error) {
	stored, err := s.o.Store.OpenAlerting(ctx)
	if err != nil {
		return View{}, err
	}
	d := s.o.Declared()
	return View{
		Policies: slices.Concat(d.Policies, stored.Policies), Destinations: slices.Concat(d.Destinations, stored.Destinations),
		PagerDuty: d.PagerDuty, Transport: d.Transport,
	}, nil
}

// now is the present time as it is stored.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

// after is the present time, and later than another: the time of its last change
// tells one state of an object from the next.
func (s *Service) after(last time.Time) time.Time {
	if now := s.now(); now.After(last) {
		return now
	}
	return last.Add(time.Millisecond)
}

const maxName = 255

func checkName(name string) error {
	if strings.TrimSpace(name) == "" || strings.TrimSpace(name) != name || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.New(fault.Invalid, "alerting_name", "the name is empty, has spaces around it, is longer than %d characters, or has some that cannot be shown", maxName).
			WithField("name").WithHint("send a name of 1 to %d characters", maxName)
	}
	return nil
}

func nameTaken(what, name, by string) error {
	return fault.New(fault.Conflict, "name_in_use", "the name %q is in use by %s %s", name, what, by).
		WithField("name").WithHint("choose another name, or change that one")
}

// declared refuses to change what the configuration declares.
func declared(what, name string) error {
	return fault.New(fault.Conflict, "declared", "%s %q is declared in the configuration file", what, name).
		WithHint("change it there and reload; what is made here can be changed here")
}
