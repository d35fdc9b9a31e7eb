package v4

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/inventory"
)

// An ApplicationReader looks at applications and policies, also at those that
// the configuration declares. It may be called concurrently.
type ApplicationReader interface {
	Applications(ctx context.Context) ([]inventory.Application, error)
	Application(ctx context.Context, id string) (inventory.Application, error)
	// Policies returns the reusable ones, with the names of the applications
	// that have them.
	Policies(ctx context.Context) ([]inventory.Policy, map[string][]string, error)
	// Policy returns one that an application has, or a reusable one without.
	Policy(ctx context.Context, applicationID, id string) (inventory.AttachedPolicy, error)
}

// An ApplicationEditor changes applications, each time whole or not at all. It
// may be called concurrently. Its errors are faults; any other error is
// internal.
type ApplicationEditor interface {
	Add(ctx context.Context, a inventory.Application, policies []inventory.PolicyInput, actor inventory.Actor) (inventory.Application, error)
	Update(ctx context.Context, id string, change func(*inventory.Application) error, policies *[]inventory.PolicyInput, actor inventory.Actor) (inventory.Application, error)
	Remove(ctx context.Context, id string, check func(inventory.Application) error, actor inventory.Actor) error
}

// A PolicyEditor changes policies: those of an application, or reusable ones
// without. It is otherwise as an ApplicationEditor.
type PolicyEditor interface {
	AddPolicy(ctx context.Context, applicationID string, in inventory.PolicyInput, actor inventory.Actor) (inventory.AttachedPolicy, error)
	UpdatePolicy(ctx context.Context, applicationID string, in inventory.PolicyInput, check func(inventory.AttachedPolicy) error, actor inventory.Actor) (inventory.AttachedPolicy, error)
	RemovePolicy(ctx context.Context, applicationID, id string, force bool, check func(inventory.AttachedPolicy) error, actor inventory.Actor) error
}

// Applications is all of it.
type Applications interface {
	ApplicationReader
	ApplicationEditor
	PolicyEditor
}

// routeApplications registers what is about applications and policies.
func (h *Handler) routeApplications(base string) {
	read, write := inventory.ScopeRead, inventory.ScopeWrite
	h.route(base+"access/apps",
		operation{http.MethodGet, read, h.listApplications}, operation{http.MethodPost, write, h.createApplication})
	h.route(base+"access/apps/{application}",
		operation{http.MethodGet, read, h.getApplication}, operation{http.MethodPut, write, h.updateApplication}, operation{http.MethodDelete, write, h.deleteApplication})
	for _, name := range []string{"revoke_tokens", "revoke-tokens"} { // v6's spelling, and v0's
		h.route(base+"access/apps/{application}/"+name, operation{http.MethodPost, write, h.revokeTokens})
	}
	for _, policies := range []string{"access/apps/{application}/policies", "access/policies"} {
		h.route(base+policies,
			operation{http.MethodGet, read, h.listPolicies}, operation{http.MethodPost, write, h.createPolicy})
		h.route(base+policies+"/{policy}",
			operation{http.MethodGet, read, h.getPolicy}, operation{http.MethodPut, write, h.updatePolicy}, operation{http.MethodDelete, write, h.deletePolicy})
	}
}

func (h *Handler) listApplications(w http.ResponseWriter, c call) error {
	query := c.URL.Query()
	exact, err := truth(query, "exact")
	if err != nil {
		return err
	}
	all, err := h.o.Applications.Applications(c.Context())
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(a inventory.Application) bool { return !matchesQuery(a, query, exact) })
	part, info, err := page(query, all)
	if err != nil {
		return err
	}
	list := make([]application, len(part))
	for i, a := range part {
		list[i] = applicationOf(a, nil)
	}
	succeed(w, http.StatusOK, list, nil, info)
	return nil
}

// matchesQuery reports whether an application is among those that are asked
// for, by parts of its name and domains unless exact.
func matchesQuery(a inventory.Application, query url.Values, exact bool) bool {
	matches := func(wanted string, texts ...string) bool {
		return wanted == "" || slices.ContainsFunc(texts, func(text string) bool {
			return text == wanted || !exact && strings.Contains(strings.ToLower(text), strings.ToLower(wanted))
		})
	}
	domains := make([]string, len(a.Places))
	for i, p := range a.Places {
		domains[i] = p.String()
	}
	return matches(query.Get("name"), a.Name) && matches(query.Get("domain"), domains...) &&
		matches(query.Get("search"), append(domains, a.Name)...) && (query.Get("aud") == "" || query.Get("aud") == a.AUD)
}

func (h *Handler) getApplication(w http.ResponseWriter, c call) error {
	a, err := h.o.Applications.Application(c.Context(), c.PathValue("application"))
	if err != nil {
		return err
	}
	h.answerApplication(w, c, http.StatusOK, a)
	return nil
}

func (h *Handler) createApplication(w http.ResponseWriter, c call) error {
	body, err := readApplication(w, c)
	if err != nil {
		return err
	}
	var a inventory.Application
	body.apply(&a)
	var policies []inventory.PolicyInput
	if body.policies != nil {
		policies = *body.policies
	}
	if a, err = h.o.Applications.Add(c.Context(), a, policies, c.actor); err != nil {
		return at(body.pointerOf(err), err)
	}
	h.applicationChanged(c, "created", a.ID)
	h.answerApplication(w, c, http.StatusCreated, a)
	return nil
}

func (h *Handler) updateApplication(w http.ResponseWriter, c call) error {
	body, err := readApplication(w, c)
	if err != nil {
		return err
	}
	change := func(a *inventory.Application) error {
		if err := checkMatch(c.Request, a.Version()); err != nil {
			return err
		}
		body.apply(a)
		return nil
	}
	a, err := h.o.Applications.Update(c.Context(), c.PathValue("application"), change, body.policies, c.actor)
	if err != nil {
		return at(body.pointerOf(err), err)
	}
	h.applicationChanged(c, "updated", a.ID)
	h.answerApplication(w, c, http.StatusOK, a)
	return nil
}

func (h *Handler) deleteApplication(w http.ResponseWriter, c call) error {
	id := c.PathValue("application")
	check := func(a inventory.Application) error { return checkMatch(c.Request, a.Version()) }
	if err := h.o.Applications.Remove(c.Context(), id, check, c.actor); err != nil {
		return at("", err)
	}
	h.applicationChanged(c, "deleted", id)
	succeed(w, http.StatusOK, identified{id}, nil, nil)
	return nil
}

// revokeTokens has nothing to revoke: what the reference does at its edge is
// always so here, where no token admits anybody.
func (h *Handler) revokeTokens(w http.ResponseWriter, c call) error {
	if _, err := h.o.Applications.Application(c.Context(), c.PathValue("application")); err != nil {
		return err
	}
	succeed(w, http.StatusOK, struct{}{}, []string{
		"there was nothing to revoke: no token admits anybody here, each request is judged by its certificate; to keep a client out, revoke that: certvigil cert revoke",
	}, nil)
	return nil
}

// answerApplication answers with one application. What is worth a look goes into
// the object: the older client cannot read an answer with messages.
func (h *Handler) answerApplication(w http.ResponseWriter, c call, status int, a inventory.Application) {
	var warnings []string
	if !a.Declared { // the log tells of those when they are loaded
		warnings = append(inertRemarks(a), h.o.ApplicationRemarks(c.Context(), a)...)
	}
	w.Header().Set("ETag", etag(a.Version()))
	succeed(w, status, applicationOf(a, warnings), nil, nil)
}

func (h *Handler) applicationChanged(c call, what, id string) {
	h.o.Logger.Info("application changed by the API", "change", what, "application_id", id, "token", c.token.ID, "request_id", c.actor.RequestID)
}
