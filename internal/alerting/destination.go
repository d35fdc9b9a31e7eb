package alerting

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

const maxURL = 2048

// A DestinationChange is what somebody says of a destination. Nil and an empty
// secret stay as they are. A secret belongs to its URL: with another one it has
// to be given again, or a writer could have it sent to himself.
type DestinationChange struct {
	Name   *string
	URL    *string
	Secret string
}

// CreateDestination makes a destination, if it takes a test message.
func (s *Service) CreateDestination(ctx context.Context, c DestinationChange, actor inventory.Actor) (Destination, error) {
	now := s.now()
	d := Destination{ID: uuid.NewString(), CreatedAt: now, UpdatedAt: now}
	return s.putDestination(ctx, d, c, actor, func(Destination) error { return nil })
}

// UpdateDestination changes a destination that passes the check. Another URL or
// secret has to take a test message. The same again changes nothing.
func (s *Service) UpdateDestination(ctx context.Context, id string, c DestinationChange, check func(Destination) error, actor inventory.Actor) (Destination, error) {
	if err := s.o.Declared().changeableDestination(id); err != nil {
		return Destination{}, err
	}
	stored, err := s.o.Store.OpenAlerting(ctx)
	if err != nil {
		return Destination{}, err
	}
	present, ok := stored.Destination(id)
	if !ok {
		return Destination{}, NoDestination(id)
	}
	if err := check(present); err != nil {
		return Destination{}, err
	}
	return s.putDestination(ctx, present, c, actor, func(now Destination) error {
		if now.Version() != present.Version() {
			return fault.New(fault.Conflict, "changed_meanwhile", "somebody else has changed the destination meanwhile").WithHint("read it again, and repeat the change")
		}
		return nil
	})
}

// putDestination stores a destination with a change. Check sees it as it is
// stored by then, if it is.
func (s *Service) putDestination(ctx context.Context, d Destination, c DestinationChange, actor inventory.Actor, check func(Destination) error) (Destination, error) {
	stored, err := s.o.Store.OpenAlerting(ctx)
	if err != nil {
		return Destination{}, err
	}
	inFile := s.o.Declared()
	next, err := changed(d, c)
	if err == nil {
		err = inFile.checkDestination(stored, next)
	}
	if err != nil {
		return Destination{}, err
	}
	if next.Endpoint != d.Endpoint {
		if err := s.try(ctx, &next); err != nil {
			return Destination{}, err
		}
	}
	if next.Name != d.Name || next.Endpoint != d.Endpoint {
		next.UpdatedAt = s.after(d.UpdatedAt)
	}
	return s.o.Store.PutDestination(ctx, func(stored Stored) (Destination, error) {
		present, ok := stored.Destination(d.ID)
		if !ok && d.Name != "" {
			return Destination{}, NoDestination(d.ID)
		}
		if ok {
			if err := check(present); err != nil {
				return Destination{}, err
			}
		}
		return next, inFile.checkDestination(stored, next)
	}, actor)
}

// changed returns a destination with a change.
func changed(d Destination, c DestinationChange) (Destination, error) {
	d.LastSuccess = nil // kept where it is stored, which may know of a later one
	if c.Name != nil {
		d.Name = *c.Name
	}
	// Who reads a destination and sends it back has not the secret in its URL.
	if c.URL != nil && (d.Endpoint.URL == "" || *c.URL != d.ShownURL()) && *c.URL != d.Endpoint.URL {
		d.Endpoint = Endpoint{URL: *c.URL}
	}
	if c.Secret != "" {
		d.Endpoint.Secret = c.Secret
	}
	var err error
	d.Type, err = typeOf(d.Endpoint)
	return d, err
}

// DeleteDestination deletes a destination that passes the check, and returns
// the policies that it was taken from.
func (s *Service) DeleteDestination(ctx context.Context, id string, check func(Destination) error, actor inventory.Actor) ([]Policy, error) {
	if err := s.o.Declared().changeableDestination(id); err != nil {
		return nil, err
	}
	return s.o.Store.DeleteDestination(ctx, id, check, actor)
}

func (d Declared) changeableDestination(id string) error {
	if known, ok := find(slices.Concat(d.Destinations, d.PagerDuty), func(o Destination) bool { return o.ID == id }); ok {
		return declared("the channel", known.Name)
	}
	return nil
}

// NoDestination is the error for an id that no destination has.
func NoDestination(id string) error {
	return fault.New(fault.NotFound, "no_destination", "there is no destination of the id %.64q", id).WithHint("list them: GET …/alerting/v3/destinations/webhooks")
}

// checkDestination refuses a name in use, and a target that may not be dialled.
func (d Declared) checkDestination(stored Stored, next Destination) error {
	if err := checkName(next.Name); err != nil {
		return err
	}
	if slices.Contains(d.Channels, next.Name) {
		return nameTaken("the configuration file's channel", next.Name, "of that name")
	}
	if o, ok := find(stored.Destinations, func(o Destination) bool { return o.Name == next.Name && o.ID != next.ID }); ok {
		return nameTaken("the destination", next.Name, o.ID)
	}
	if strings.ContainsFunc(next.Endpoint.Secret, unicode.IsControl) {
		return fault.New(fault.Invalid, "secret", "the secret has a control character, and cannot be sent in a header").
			WithField("secret").WithHint("send it in one line")
	}
	u, err := url.Parse(next.Endpoint.URL)
	if err != nil {
		return badURL()
	}
	if err := (egress.Policy{AllowPrivate: d.AllowPrivate}).CheckURL(u); err != nil {
		return refusedTarget(err)
	}
	return nil
}

func badURL() error {
	return fault.New(fault.Invalid, "url", "the URL is no absolute http or https URL of at most %d characters", maxURL).
		WithField("url").WithHint(`send one such as "https://hooks.example.com/certs"`)
}

func refusedTarget(err error) error {
	refusal, ok := egress.Refused(err)
	if !ok {
		return err
	}
	return fault.New(refusal.Kind, refusal.Rule, "%s", refusal.Text).WithField("url").
		WithHint("give a public address; one in a private network takes notifier.allow_private_targets in the configuration file, or a [[channel]] there; metadata services are never called")
}

// try sends the documented test message.
func (s *Service) try(ctx context.Context, d *Destination) error {
	text := fmt.Sprintf("Hello World! This is a test message sent from %s. If you can see this, your webhook is configured properly.", s.o.Declared().PublicURL)
	if err := s.o.Try(ctx, *d, text); err != nil {
		if fault.Is(err, fault.Invalid) {
			return err
		}
		if _, refused := egress.Refused(err); refused {
			return refusedTarget(err)
		}
		return fault.New(fault.Unprocessable, "test_message", "the destination did not take the test message: %s", err).
			WithField("url").WithHint("it has to answer a POST with a status from 200 to 299 within a few seconds; nothing was changed")
	}
	at := s.now()
	d.LastSuccess = &at
	return nil
}
