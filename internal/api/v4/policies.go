package v4

import (
	"net/http"
	"time"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A policy is what the reference product says of one.
type policy struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Decision        string     `json:"decision"`
	Include         []rule     `json:"include"`
	Require         []rule     `json:"require"`
	Exclude         []rule     `json:"exclude"`
	Precedence      int        `json:"precedence,omitempty"` // within an application
	Reusable        bool       `json:"reusable"`
	AppCount        *int       `json:"app_count,omitempty"` // of a reusable one
	SessionDuration string     `json:"session_duration,omitempty"`
	CreatedAt       *time.Time `json:"created_at,omitempty"` // none of what is declared
	UpdatedAt       *time.Time `json:"updated_at,omitempty"`
	ReadOnly        bool       `json:"read_only,omitempty"` // declared by the configuration

	ApprovalRequired  bool       `json:"approval_required"`
	ApprovalGroups    []struct{} `json:"approval_groups"`
	IsolationRequired bool       `json:"isolation_required"`
	PurposeRequired   bool       `json:"purpose_justification_required"`
}

// A rule is a selector in the reference's form: {"ip": {"ip": "10.0.0.0/8"}}.
type rule map[string]map[string]any

// decisions are the reference's words for the actions.
var decisions = map[string]string{"allow": "allow", "block": "deny", "bypass": "bypass", "service_auth": "non_identity"}

func policyOf(p inventory.AttachedPolicy) policy {
	return policy{
		ID: p.ID, Name: p.Name, Decision: decisions[p.Action], Precedence: p.Precedence, Reusable: p.Reusable, SessionDuration: p.SessionDuration,
		Include: rules(p.Include, p.Declared), Require: rules(p.Require, false), Exclude: rules(p.Exclude, p.Declared),
		CreatedAt: given(p.CreatedAt), UpdatedAt: given(p.UpdatedAt), ReadOnly: p.Declared, ApprovalGroups: []struct{}{},
	}
}

// rules writes selectors. One with several values is an extension of ours; where
// any of the list counts it can be spread into one for each.
func rules(list []inventory.Selector, spread bool) []rule {
	out := []rule{}
	for _, s := range list {
		if !spread || len(s.Values) < 2 {
			out = append(out, ruleOf(s, s.Values))
			continue
		}
		for _, v := range s.Values {
			out = append(out, ruleOf(s, []string{v}))
		}
	}
	return out
}

func ruleOf(s inventory.Selector, values []string) rule {
	inner := map[string]any{}
	switch {
	case s.Key == access.Certificate || s.Key == access.Everyone:
	case len(values) == 1:
		inner[s.Key] = values[0]
	default:
		inner[s.Key] = values
	}
	if s.CA != "" {
		inner["ca"] = s.CA
	}
	return rule{s.Key: inner}
}

// listPolicies lists those of an application, or the reusable ones.
func (h *Handler) listPolicies(w http.ResponseWriter, c call) error {
	list, err := h.policiesOf(c)
	if err != nil {
		return err
	}
	part, info, err := page(c.URL.Query(), list)
	if err != nil {
		return err
	}
	succeed(w, http.StatusOK, part, nil, info)
	return nil
}

func (h *Handler) policiesOf(c call) ([]policy, error) {
	list := []policy{}
	if id := c.PathValue("application"); id != "" {
		a, err := h.o.Applications.Application(c.Context(), id)
		for _, p := range a.Policies {
			list = append(list, policyOf(p))
		}
		return list, err
	}
	reusable, users, err := h.o.Applications.Policies(c.Context())
	for _, p := range reusable {
		shown, count := policyOf(inventory.AttachedPolicy{Policy: p}), len(users[p.ID])
		shown.AppCount = &count
		list = append(list, shown)
	}
	return list, err
}

func (h *Handler) getPolicy(w http.ResponseWriter, c call) error {
	p, err := h.o.Applications.Policy(c.Context(), c.PathValue("application"), c.PathValue("policy"))
	if err != nil {
		return err
	}
	answerPolicy(w, http.StatusOK, p)
	return nil
}

func (h *Handler) createPolicy(w http.ResponseWriter, c call) error {
	o, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	in, err := readPolicy(o, false)
	if err != nil {
		return err
	}
	p, err := h.o.Applications.AddPolicy(c.Context(), c.PathValue("application"), in, c.actor)
	if err != nil {
		return at(policyPointer(err), err)
	}
	h.policyChanged(c, "created", p.ID)
	answerPolicy(w, http.StatusCreated, p)
	return nil
}

func (h *Handler) updatePolicy(w http.ResponseWriter, c call) error {
	o, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	in, err := readPolicy(o, true)
	if err != nil {
		return err
	}
	in.ID = c.PathValue("policy")
	p, err := h.o.Applications.UpdatePolicy(c.Context(), c.PathValue("application"), in, matching(c), c.actor)
	if err != nil {
		return at(policyPointer(err), err)
	}
	h.policyChanged(c, "updated", p.ID)
	answerPolicy(w, http.StatusOK, p)
	return nil
}

func (h *Handler) deletePolicy(w http.ResponseWriter, c call) error {
	force, err := truth(c.URL.Query(), "force")
	if err != nil {
		return err
	}
	id := c.PathValue("policy")
	if err := h.o.Applications.RemovePolicy(c.Context(), c.PathValue("application"), id, force, matching(c), c.actor); err != nil {
		return at("", err)
	}
	h.policyChanged(c, "deleted", id)
	succeed(w, http.StatusOK, identified{id}, nil, nil)
	return nil
}

func matching(c call) func(inventory.AttachedPolicy) error {
	return func(p inventory.AttachedPolicy) error { return checkMatch(c.Request, p.Version()) }
}

// answerPolicy answers with one policy, never with a message: the older client
// cannot read it then.
func answerPolicy(w http.ResponseWriter, status int, p inventory.AttachedPolicy) {
	w.Header().Set("ETag", etag(p.Version()))
	succeed(w, status, policyOf(p), nil, nil)
}

func (h *Handler) policyChanged(c call, what, id string) {
	h.o.Logger.Info("policy changed by the API", "change", what, "policy_id", id, "token", c.token.ID, "request_id", c.actor.RequestID)
}
