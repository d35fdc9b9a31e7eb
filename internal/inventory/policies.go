package inventory

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/fault"
)

// Policies returns the reusable policies, the oldest first, each with the
// names of the applications that have it.
func (s *Applications) Policies(ctx context.Context) ([]Policy, map[string][]string, error) {
	all, err := s.store.Access(ctx)
	users := map[string][]string{}
	for _, p := range all.Reusable {
		users[p.ID] = all.users(p.ID)
	}
	return all.Reusable, users, err
}

// AddPolicy makes a policy: of the application's own, or a reusable one without.
func (s *Applications) AddPolicy(ctx context.Context, applicationID string, in PolicyInput, actor Actor) (AttachedPolicy, error) {
	p := AttachedPolicy{Policy{ID: uuid.NewString(), Reusable: applicationID == ""}.with(*in.Rules), in.Precedence}
	return s.editPolicy(ctx, applicationID, p.ID, actor, func(all *Access, a *Application) error {
		if a == nil {
			all.Reusable = append(all.Reusable, p.Policy)
			return nil
		}
		p.Precedence = cmp.Or(p.Precedence, a.next())
		a.Policies = append(a.Policies, p)
		return nil
	})
}

// UpdatePolicy gives a policy other rules, once it passes the check: one of the
// application's own, or a reusable one without.
func (s *Applications) UpdatePolicy(ctx context.Context, applicationID string, in PolicyInput, check func(AttachedPolicy) error, actor Actor) (AttachedPolicy, error) {
	return s.editPolicy(ctx, applicationID, in.ID, actor, func(all *Access, a *Application) error {
		old, err := all.own(a, in.ID)
		if err != nil {
			return err
		}
		if err := check(old); err != nil {
			return err
		}
		next := AttachedPolicy{old.Policy, cmp.Or(in.Precedence, old.Precedence)}
		if in.Rules != nil {
			next.Policy = old.with(*in.Rules)
		}
		if a == nil {
			all.Reusable[indexOf(all.Reusable, in.ID)] = next.Policy
			return nil
		}
		i := slices.IndexFunc(a.Policies, func(q AttachedPolicy) bool { return q.ID == in.ID })
		a.Policies[i] = next
		return nil
	})
}

// RemovePolicy deletes a policy, once it passes the check: one of the
// application's own, or a reusable one without. One that applications have is a
// conflict, unless force takes it from them.
func (s *Applications) RemovePolicy(ctx context.Context, applicationID, id string, force bool, check func(AttachedPolicy) error, actor Actor) error {
	_, err := s.editPolicy(ctx, applicationID, "", actor, func(all *Access, a *Application) error {
		old, err := all.own(a, id)
		if err != nil {
			return err
		}
		if err := check(old); err != nil {
			return err
		}
		without := func(list []AttachedPolicy) []AttachedPolicy {
			return slices.DeleteFunc(list, func(p AttachedPolicy) bool { return p.ID == id })
		}
		if a != nil {
			a.Policies = without(a.Policies)
			return nil
		}
		if users := all.users(id); len(users) > 0 && !force {
			return fault.New(fault.Conflict, "in_use", "the policy %q is in use by the applications %s", old.Name, strings.Join(users, ", ")).
				WithHint("take it out of their policies first, or delete with ?force=true: where it admitted, nobody is admitted then")
		}
		for i := range all.Applications {
			all.Applications[i].Policies = without(all.Applications[i].Policies)
		}
		all.Reusable = slices.DeleteFunc(all.Reusable, func(p Policy) bool { return p.ID == id })
		return nil
	})
	return err
}

// editPolicy is edit for what is about a policy, which it returns as it is then.
func (s *Applications) editPolicy(ctx context.Context, applicationID, id string, actor Actor, change func(*Access, *Application) error) (p AttachedPolicy, err error) {
	application, err := s.edit(ctx, applicationID, actor, func(all *Access) error {
		if applicationID == "" {
			return change(all, nil)
		}
		a, err := all.application(applicationID)
		if err != nil {
			return err
		}
		return change(all, a)
	})
	if err != nil || id == "" {
		return AttachedPolicy{}, err
	}
	if applicationID != "" {
		p, _ = application.Policy(id)
		return p, nil
	}
	return s.reusable(ctx, id)
}

// Policy returns a policy that an application has, or a reusable one without.
func (s *Applications) Policy(ctx context.Context, applicationID, id string) (AttachedPolicy, error) {
	if applicationID == "" {
		return s.reusable(ctx, id)
	}
	a, err := s.Application(ctx, applicationID)
	if err != nil {
		return AttachedPolicy{}, err
	}
	if p, ok := a.Policy(id); ok {
		return p, nil
	}
	return AttachedPolicy{}, noPolicy(id)
}

func (s *Applications) reusable(ctx context.Context, id string) (AttachedPolicy, error) {
	all, err := s.store.Access(ctx)
	if err != nil {
		return AttachedPolicy{}, err
	}
	return all.own(nil, id)
}

// own returns a policy that may be changed there: the application's own, or a
// reusable one without.
func (x *Access) own(a *Application, id string) (AttachedPolicy, error) {
	i := indexOf(x.Reusable, id)
	if a == nil {
		if i < 0 {
			return AttachedPolicy{}, noPolicy(id)
		}
		return AttachedPolicy{Policy: x.Reusable[i]}, nil
	}
	p, ok := a.Policy(id)
	switch {
	case !ok:
		return AttachedPolicy{}, noPolicy(id)
	case p.Reusable:
		return AttachedPolicy{}, fault.New(fault.Conflict, "reusable", "the policy %q is not the application's own, but a reusable one", p.Name).
			WithHint("change it at access/policies; attach or detach it by the application's policies")
	}
	return p, nil
}

func noPolicy(id string) error {
	return fault.New(fault.NotFound, "policy", "there is no policy %.64q here", id).WithHint("list them: GET …/policies")
}

func indexOf(list []Policy, id string) int {
	return slices.IndexFunc(list, func(p Policy) bool { return p.ID == id })
}

// validate holds a policy to the rules that are about itself.
func (p Policy) validate() error {
	if len(p.Include) == 0 {
		return fault.New(fault.Invalid, "missing", "the policy %q includes nobody", p.Name).WithField("include").
			WithHint(`name whom it is about, such as {"certificate": {}}`)
	}
	return CheckName(p.Name)
}

// with returns a policy with the rules of another.
func (p Policy) with(rules Policy) Policy {
	p.Name, p.Action, p.SessionDuration = rules.Name, rules.Action, rules.SessionDuration
	p.Include, p.Require, p.Exclude = rules.Include, rules.Require, rules.Exclude
	return p
}

// attach makes the inputs the policies of an application.
func (x *Access) attach(a *Application, inputs []PolicyInput) error {
	before := a.Policies
	a.Policies = nil
	for _, in := range inputs {
		p, err := x.resolve(before, in)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(a.Policies, func(q AttachedPolicy) bool { return q.ID == p.ID }) {
			return fault.New(fault.Invalid, "duplicate", "the policy %s is there twice", p.ID).WithField("policies").WithHint("attach it once")
		}
		a.Policies = append(a.Policies, AttachedPolicy{p, cmp.Or(in.Precedence, a.next())})
	}
	return nil
}

// resolve returns the policy that an input names. A reusable one is not changed
// by the way: whoever attaches it elsewhere would not hear of it.
func (x *Access) resolve(own []AttachedPolicy, in PolicyInput) (Policy, error) {
	if in.ID == "" {
		return Policy{ID: uuid.NewString()}.with(*in.Rules), nil
	}
	if i := indexOf(x.Reusable, in.ID); i >= 0 {
		p := x.Reusable[i]
		if in.Rules != nil && !reflect.DeepEqual(p, p.with(*in.Rules)) {
			return Policy{}, fault.New(fault.Conflict, "reusable", "the policy %q is a reusable one, and other than it is here", p.Name).
				WithField("policies").WithHint("change it at access/policies, and attach it by its id alone")
		}
		return p, nil
	}
	i := slices.IndexFunc(own, func(p AttachedPolicy) bool { return p.ID == in.ID && !p.Reusable })
	if i < 0 {
		return Policy{}, fault.New(fault.Invalid, "policy", "there is no policy %.64q to attach", in.ID).
			WithField("policies").WithHint("name a reusable policy, or one of the application's own")
	}
	if in.Rules != nil {
		return own[i].with(*in.Rules), nil
	}
	return own[i].Policy, nil
}

// next returns the precedence after all others.
func (a *Application) next() int {
	last := 0
	for _, p := range a.Policies {
		last = max(last, p.Precedence)
	}
	return last + 1
}

// order brings the policies of an application into their order, with the
// reusable ones as they are now.
func (x *Access) order(a *Application) error {
	taken := map[int]string{}
	for i := range a.Policies {
		p := &a.Policies[i]
		if p.Reusable {
			p.Policy = x.Reusable[indexOf(x.Reusable, p.ID)]
		}
		if err := p.validate(); err != nil {
			return err
		}
		if p.Precedence < 1 || p.Precedence > maxPrecedence {
			return fault.New(fault.Invalid, "precedence", "the precedence %d is not between 1 and %d", p.Precedence, maxPrecedence)
		}
		if other, there := taken[p.Precedence]; there {
			return fault.New(fault.Conflict, "precedence", "the precedence %d of the policy %q is that of %q too", p.Precedence, p.Name, other).
				WithHint("give each policy its own, or set all at once by the application's policies")
		}
		taken[p.Precedence] = p.Name
	}
	slices.SortFunc(a.Policies, func(p, q AttachedPolicy) int { return cmp.Compare(p.Precedence, q.Precedence) })
	return nil
}
