package store

import (
	"context"
	"maps"
	"slices"

	"github.com/certvigil/certvigil/internal/inventory"
)

// EditAccess changes applications and policies by edit, which gets them as they
// stand and must not use the store. What differs then is stored, with an audit
// row for each object; an error of edit, or no difference, changes nothing.
func (s *Store) EditAccess(ctx context.Context, edit func(*inventory.Access) error, actor inventory.Actor) (inventory.Access, error) {
	var all inventory.Access
	err := s.write(ctx, "storing the applications", func(t *tx) error {
		before, err := t.access(ctx)
		if err != nil {
			return err
		}
		after := before.Clone()
		if err := edit(&after); err != nil {
			return err
		}
		changed, err := s.saveAccess(ctx, t, before, after, actor)
		if err != nil {
			return err
		}
		if changed {
			if err := t.bumpGeneration(ctx); err != nil {
				return err
			}
		}
		all, err = t.access(ctx)
		return err
	})
	return all, err
}

// A difference is what became of one object: before or after is nil when it was
// made or deleted.
type difference[T any] struct {
	id            string
	before, after *T
}

// differences compares objects by what the audit trail tells of them.
func differences[T any](before, after map[string]T, describe func(T) map[string]any) []difference[T] {
	var out []difference[T]
	for _, id := range slices.Sorted(maps.Keys(before)) {
		old := before[id]
		next, there := after[id]
		switch {
		case !there:
			out = append(out, difference[T]{id: id, before: &old})
		case jsonText(describe(old)) != jsonText(describe(next)):
			out = append(out, difference[T]{id, &old, &next})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[id]; !there {
			next := after[id]
			out = append(out, difference[T]{id: id, after: &next})
		}
	}
	return out
}

// change returns what the audit trail tells of it.
func (d difference[T]) change(kind string, describe func(T) map[string]any) change {
	c := change{action: kind + ".update", object: kind + ":" + d.id}
	if d.before == nil {
		c.action = kind + ".add"
	} else {
		c.before = describe(*d.before)
	}
	if d.after == nil {
		c.action = kind + ".remove"
	} else {
		c.after = describe(*d.after)
	}
	return c
}

// saveAccess stores what differs, in an order in which every reference holds.
func (s *Store) saveAccess(ctx context.Context, t *tx, before, after inventory.Access, actor inventory.Actor) (changed bool, err error) {
	now := s.now()
	applications := differences(applicationsByID(before), applicationsByID(after), describeApplication)
	policies := differences(policiesByID(before), policiesByID(after), describeAccessPolicy)
	for _, d := range applications {
		if err := t.saveApplication(ctx, d, now.UnixMilli()); err != nil {
			return false, err
		}
	}
	for _, d := range policies {
		if err := t.savePolicy(ctx, d, now.UnixMilli()); err != nil {
			return false, err
		}
	}
	for _, d := range applications {
		if err := t.attachPolicies(ctx, d.after); err != nil {
			return false, err
		}
		if err := t.audit(ctx, now, actor, d.change("application", describeApplication)); err != nil {
			return false, err
		}
	}
	for _, d := range policies {
		if d.after == nil {
			if _, err := t.exec(ctx, `DELETE FROM policies WHERE id = ?`, d.id); err != nil {
				return false, err
			}
		}
		if err := t.audit(ctx, now, actor, d.change("policy", describeAccessPolicy)); err != nil {
			return false, err
		}
	}
	return len(applications)+len(policies) > 0, nil
}

func applicationsByID(all inventory.Access) map[string]inventory.Application {
	out := map[string]inventory.Application{}
	for _, a := range all.Applications {
		out[a.ID] = a
	}
	return out
}

// policiesByID returns the reusable policies and those of applications.
func policiesByID(all inventory.Access) map[string]storedPolicy {
	out := map[string]storedPolicy{}
	for _, p := range all.Reusable {
		out[p.ID] = storedPolicy{Policy: p}
	}
	for _, a := range all.Applications {
		for _, p := range a.Policies {
			if !p.Reusable {
				out[p.ID] = storedPolicy{p.Policy, a.ID}
			}
		}
	}
	return out
}

// saveApplication stores an application without its policies, from which it is
// detached.
func (t *tx) saveApplication(ctx context.Context, d difference[inventory.Application], now int64) error {
	if d.after == nil {
		_, err := t.exec(ctx, `DELETE FROM applications WHERE id = ?`, d.id)
		return err
	}
	a := *d.after
	settings := jsonText(applicationSettings{
		Primary: a.Primary, SessionDuration: a.SessionDuration, DenyMessage: a.DenyMessage, DenyURL: a.DenyURL,
		Preflight: a.OptionsPreflightBypass, Cookie: a.Cookie, Inert: a.Inert,
	})
	if _, err := t.exec(ctx, `INSERT INTO applications (id, name, aud, origin, settings, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, origin = excluded.origin, settings = excluded.settings, updated_at = excluded.updated_at`,
		a.ID, a.Name, a.AUD, a.Origin, settings, now, now); err != nil {
		return err
	}
	for _, table := range []string{"application_places", "application_policies"} {
		if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE application_id = ?`, a.ID); err != nil {
			return err
		}
	}
	for i, p := range a.Places {
		if _, err := t.exec(ctx, `INSERT INTO application_places (hostname, path, application_id, position) VALUES (?, ?, ?, ?)`,
			p.Hostname, p.Path, a.ID, i); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) savePolicy(ctx context.Context, d difference[storedPolicy], now int64) error {
	if d.after == nil {
		return nil // once nothing refers to it
	}
	p := *d.after
	rules := jsonText(policyRules{p.Include, p.Require, p.Exclude, p.SessionDuration})
	_, err := t.exec(ctx, `INSERT INTO policies (id, application_id, name, action, rules, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, action = excluded.action, rules = excluded.rules, updated_at = excluded.updated_at`,
		p.ID, nullText(p.applicationID), p.Name, p.Action, rules, now, now)
	return err
}

func (t *tx) attachPolicies(ctx context.Context, a *inventory.Application) error {
	if a == nil {
		return nil
	}
	for _, p := range a.Policies {
		if _, err := t.exec(ctx, `INSERT INTO application_policies (application_id, policy_id, precedence) VALUES (?, ?, ?)`, a.ID, p.ID, p.Precedence); err != nil {
			return err
		}
	}
	return nil
}

// describeApplication is what the audit trail tells of an application, and all
// that may change of it.
func describeApplication(a inventory.Application) map[string]any {
	places := make([]string, len(a.Places))
	for i, p := range a.Places {
		places[i] = p.String()
	}
	policies := []map[string]any{}
	for _, p := range a.Policies {
		policies = append(policies, map[string]any{"id": p.ID, "precedence": p.Precedence})
	}
	return map[string]any{
		"name": a.Name, "domains": places, "primary": a.Primary, "origin": a.Origin, "session_duration": a.SessionDuration,
		"custom_deny_message": a.DenyMessage, "custom_non_identity_deny_url": a.DenyURL,
		"options_preflight_bypass": a.OptionsPreflightBypass, "cookie": a.Cookie, "policies": policies, "inert": a.Inert,
	}
}

func describeAccessPolicy(p storedPolicy) map[string]any {
	return map[string]any{
		"name": p.Name, "action": p.Action, "include": p.Include, "require": p.Require, "exclude": p.Exclude,
		"session_duration": p.SessionDuration, "application": p.applicationID,
	}
}
