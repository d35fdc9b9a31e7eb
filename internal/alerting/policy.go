package alerting

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// The most that a policy may have.
const (
	maxRecipients  = 50 // of each mechanism
	maxDescription = 2000
	maxThresholds  = 20
	maxLabels      = 50
)

// A PolicyChange is what somebody says of a policy. What is nil stays as it is;
// of a new policy it is the default.
type PolicyChange struct {
	Name        *string
	Description *string
	Enabled     *bool // of a new policy: true
	Mechanisms  *Mechanisms
	Filters     *Filters
}

// CreatePolicy makes a policy.
func (s *Service) CreatePolicy(ctx context.Context, c PolicyChange, actor inventory.Actor) (Policy, error) {
	now := s.now()
	p, d := Policy{ID: uuid.NewString(), Enabled: true, CreatedAt: now, UpdatedAt: now}, s.o.Declared()
	if c.Mechanisms == nil {
		c.Mechanisms = &Mechanisms{}
	}
	return s.o.Store.PutPolicy(ctx, func(stored Stored) (Policy, error) { return decidePolicy(stored, d, p, c) }, actor)
}

// UpdatePolicy changes a policy that passes the check. The same again changes
// nothing.
func (s *Service) UpdatePolicy(ctx context.Context, id string, c PolicyChange, check func(Policy) error, actor inventory.Actor) (Policy, error) {
	d := s.o.Declared()
	if err := d.changeablePolicy(id); err != nil {
		return Policy{}, err
	}
	return s.o.Store.PutPolicy(ctx, func(stored Stored) (Policy, error) {
		present, ok := stored.Policy(id)
		if !ok {
			return Policy{}, NoPolicy(id)
		}
		if err := check(present); err != nil {
			return Policy{}, err
		}
		next, err := decidePolicy(stored, d, present, c)
		if err == nil && next.Version() != present.Version() {
			next.UpdatedAt = s.after(present.UpdatedAt)
		}
		return next, err
	}, actor)
}

// DeletePolicy deletes a policy that passes the check.
func (s *Service) DeletePolicy(ctx context.Context, id string, check func(Policy) error, actor inventory.Actor) error {
	if err := s.o.Declared().changeablePolicy(id); err != nil {
		return err
	}
	return s.o.Store.DeletePolicy(ctx, id, check, actor)
}

func (d Declared) changeablePolicy(id string) error {
	if p, ok := find(d.Policies, func(p Policy) bool { return p.ID == id }); ok {
		return declared("the policy", p.Name)
	}
	return nil
}

// NoPolicy is the error for an id that no policy has.
func NoPolicy(id string) error {
	return fault.New(fault.NotFound, "no_policy", "there is no alerting policy of the id %.64q", id).WithHint("list them: GET …/alerting/v3/policies")
}

// decidePolicy returns a policy with a change, if the whole of it is good. It
// runs within a transaction.
func decidePolicy(stored Stored, d Declared, p Policy, c PolicyChange) (Policy, error) {
	if c.Name != nil {
		p.Name = *c.Name
	}
	if c.Description != nil {
		p.Description = *c.Description
	}
	if c.Enabled != nil {
		p.Enabled = *c.Enabled
	}
	if c.Mechanisms != nil {
		p.Mechanisms = *c.Mechanisms
	}
	if c.Filters != nil {
		p.Filters = *c.Filters
	}
	for _, check := range []func() error{
		func() error { return checkName(p.Name) },
		func() error { return checkDescription(p.Description) },
		func() error { return policyNameIsFree(stored, d, p) },
		func() (err error) {
			if c.Mechanisms != nil || c.Enabled != nil { // one that is left with nobody can be described, and put to rest
				p.Mechanisms, err = checkMechanisms(stored, d, p)
			}
			return err
		},
		func() (err error) { p.Filters, err = checkFilters(p.Filters); return err },
	} {
		if err := check(); err != nil {
			return Policy{}, err
		}
	}
	return p, nil
}

func checkDescription(text string) error {
	if utf8.RuneCountInString(text) > maxDescription {
		return fault.New(fault.Invalid, "description", "the description is longer than %d characters", maxDescription).
			WithField("description").WithHint("shorten it")
	}
	return nil
}

func policyNameIsFree(stored Stored, d Declared, p Policy) error {
	if slices.ContainsFunc(d.Policies, func(o Policy) bool { return o.Name == p.Name }) {
		return nameTaken("the configuration file's alert rule", p.Name, "of that name")
	}
	if o, ok := find(stored.Policies, func(o Policy) bool { return o.Name == p.Name && o.ID != p.ID }); ok {
		return nameTaken("the policy", p.Name, o.ID)
	}
	return nil
}

func checkMechanisms(stored Stored, d Declared, p Policy) (Mechanisms, error) {
	m := p.Mechanisms
	if p.Enabled && len(m.Email)+len(m.Webhooks)+len(m.PagerDuty) == 0 {
		return m, fault.New(fault.Invalid, "nobody", "the policy would tell nobody").WithField("mechanisms").
			WithHint("name an address in mechanisms.email, or a destination in mechanisms.webhooks")
	}
	var err error
	if m.Email, err = checkAddresses(d, m.Email); err != nil {
		return m, err
	}
	destinations := slices.Concat(d.Destinations, stored.Destinations)
	if m.Webhooks, err = checkTargets("webhooks", destinations, m.Webhooks); err != nil {
		return m, err
	}
	m.PagerDuty, err = checkTargets("pagerduty", d.PagerDuty, m.PagerDuty)
	return m, err
}

// checkAddresses brings each address into its bare form, which is the
// recipient's identity.
func checkAddresses(d Declared, list []string) ([]string, error) {
	if len(list) > 0 && d.Transport == "" {
		return nil, fault.New(fault.Unprocessable, "no_transport", "no channel lends its mail server to addresses that come by the API").
			WithField("mechanisms/email").WithHint(`set default_transport = true on one [[channel]] of type "email" in the configuration file, and reload`)
	}
	if err := checkCount("email", len(list)); err != nil {
		return nil, err
	}
	var out []string
	for i, text := range list {
		a, err := mail.ParseAddress(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "address", "%.100q is no e-mail address", text).
				WithField(place("email", i)).WithHint(`write it as "oncall@example.com"`)
		}
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, a.Address) }) {
			out = append(out, a.Address)
		}
	}
	return out, nil
}

func checkTargets(mechanism string, known []Destination, ids []string) ([]string, error) {
	if err := checkCount(mechanism, len(ids)); err != nil {
		return nil, err
	}
	var out []string
	for i, id := range ids {
		if !slices.ContainsFunc(known, func(d Destination) bool { return d.ID == id }) {
			return nil, fault.New(fault.Invalid, "no_destination", "there is no destination of the id %.64q", id).
				WithField(place(mechanism, i)).WithHint("see alerting/v3/destinations/%s", mechanism)
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

func checkCount(mechanism string, n int) error {
	if n > maxRecipients {
		return fault.New(fault.Invalid, "too_many", "a policy tells at most %d by each mechanism, and not %d", maxRecipients, n).
			WithField("mechanisms/" + mechanism).WithHint("name a list's address, or make several policies")
	}
	return nil
}

func place(mechanism string, i int) string { return fmt.Sprintf("mechanisms/%s/%d/id", mechanism, i) }

func checkFilters(f Filters) (Filters, error) {
	for name, count := range map[string]struct{ n, most int }{"before": {len(f.Before), maxThresholds}, "labels": {len(f.Labels), maxLabels}} {
		if count.n > count.most {
			return f, fault.New(fault.Invalid, "too_many", "a policy has at most %d %s, and not %d", count.most, name, count.n).
				WithField("filters/" + name).WithHint("make several policies")
		}
	}
	for i, k := range f.Kinds {
		if !slices.Contains([]alert.Kind{alert.KindCA, alert.KindClient, alert.KindServer, alert.KindCRL}, k) {
			return f, fault.New(fault.Invalid, "kind", "%.40q is no kind", k).
				WithField(fmt.Sprintf("filters/kinds/%d", i)).WithHint("use ca, client, server or crl")
		}
	}
	slices.Sort(f.Kinds)
	f.Kinds = slices.Compact(f.Kinds)
	// The widest first, as people say it: 30 days, 14 days.
	slices.SortFunc(f.Before, func(a, b time.Duration) int { return int(min(max(b-a, -1), 1)) })
	f.Before = slices.Compact(f.Before)
	return f, nil
}
