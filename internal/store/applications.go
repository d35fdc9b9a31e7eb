package store

import (
	"context"
	"encoding/json"

	"github.com/certvigil/certvigil/internal/inventory"
)

// An applicationSettings is what of an application is only read as a whole.
type applicationSettings struct {
	Primary         int                        `json:"primary"`
	SessionDuration string                     `json:"session_duration"`
	DenyMessage     string                     `json:"deny_message"`
	DenyURL         string                     `json:"deny_url"`
	Preflight       bool                       `json:"options_preflight_bypass"`
	Cookie          inventory.Cookie           `json:"cookie"`
	Inert           map[string]json.RawMessage `json:"inert,omitempty"`
}

// A policyRules is what of a policy is only read as a whole.
type policyRules struct {
	Include         []inventory.Selector `json:"include"`
	Require         []inventory.Selector `json:"require"`
	Exclude         []inventory.Selector `json:"exclude"`
	SessionDuration string               `json:"session_duration"`
}

// Access returns the applications and policies that the API made, the oldest
// first.
func (s *Store) Access(ctx context.Context) (all inventory.Access, err error) {
	err = s.read(ctx, "reading the applications", func(t *tx) (err error) {
		all, err = t.access(ctx)
		return err
	})
	return all, err
}

// A storedPolicy is a policy with the application whose own it is.
type storedPolicy struct {
	inventory.Policy

	applicationID string // "" = reusable
}

func (t *tx) access(ctx context.Context) (all inventory.Access, err error) {
	if all.Applications, err = collect(ctx, t, scanApplication, `SELECT id, name, aud, origin, settings, created_at, updated_at
		FROM applications ORDER BY created_at, id`); err != nil {
		return all, err
	}
	byID := map[string]*inventory.Application{}
	for i := range all.Applications {
		byID[all.Applications[i].ID] = &all.Applications[i]
	}
	policies, err := collect(ctx, t, scanAccessPolicy, `SELECT id, COALESCE(application_id, ''), name, action, rules, created_at, updated_at
		FROM policies ORDER BY created_at, id`)
	if err != nil {
		return all, err
	}
	known := map[string]inventory.Policy{}
	all.Reusable = []inventory.Policy{}
	for _, p := range policies {
		known[p.ID] = p.Policy
		if p.Reusable {
			all.Reusable = append(all.Reusable, p.Policy)
		}
	}
	return all, t.joinApplications(ctx, byID, known)
}

// joinApplications gives the applications their places and policies.
func (t *tx) joinApplications(ctx context.Context, byID map[string]*inventory.Application, policies map[string]inventory.Policy) error {
	_, err := collect(ctx, t, func(row scanner) (none struct{}, err error) {
		var id string
		var p inventory.Place
		if err = row.Scan(&id, &p.Hostname, &p.Path); err == nil {
			byID[id].Places = append(byID[id].Places, p)
		}
		return none, err
	}, `SELECT application_id, hostname, path FROM application_places ORDER BY application_id, position`)
	if err != nil {
		return err
	}
	_, err = collect(ctx, t, func(row scanner) (none struct{}, err error) {
		var id, policy string
		var precedence int
		if err = row.Scan(&id, &policy, &precedence); err == nil {
			byID[id].Policies = append(byID[id].Policies, inventory.AttachedPolicy{Policy: policies[policy], Precedence: precedence})
		}
		return none, err
	}, `SELECT application_id, policy_id, precedence FROM application_policies ORDER BY application_id, precedence`)
	return err
}

func scanApplication(row scanner) (a inventory.Application, err error) {
	var (
		text             string
		created, updated int64
		settings         applicationSettings
	)
	if err = row.Scan(&a.ID, &a.Name, &a.AUD, &a.Origin, &text, &created, &updated); err != nil {
		return a, err
	}
	if err = json.Unmarshal([]byte(text), &settings); err != nil {
		return a, err
	}
	a.CreatedAt, a.UpdatedAt = fromMillis(created), fromMillis(updated)
	a.Primary, a.SessionDuration, a.DenyMessage, a.DenyURL = settings.Primary, settings.SessionDuration, settings.DenyMessage, settings.DenyURL
	a.OptionsPreflightBypass, a.Cookie, a.Inert = settings.Preflight, settings.Cookie, settings.Inert
	a.Places, a.Policies = []inventory.Place{}, []inventory.AttachedPolicy{}
	return a, nil
}

func scanAccessPolicy(row scanner) (p storedPolicy, err error) {
	var (
		text             string
		created, updated int64
		rules            policyRules
	)
	if err = row.Scan(&p.ID, &p.applicationID, &p.Name, &p.Action, &text, &created, &updated); err != nil {
		return p, err
	}
	if err = json.Unmarshal([]byte(text), &rules); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt, p.Reusable = fromMillis(created), fromMillis(updated), p.applicationID == ""
	p.Include, p.Require, p.Exclude = orEmpty(rules.Include), orEmpty(rules.Require), orEmpty(rules.Exclude)
	p.SessionDuration = rules.SessionDuration
	return p, nil
}
