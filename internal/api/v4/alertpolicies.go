package v4

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/fault"
)

// An alertPolicy is an alerting policy as the reference shows it.
type alertPolicy struct {
	ID          string                 `json:"id"`
	Name        string                 `json:"name"`
	Description string                 `json:"description"`
	Enabled     bool                   `json:"enabled"`
	AlertType   string                 `json:"alert_type"`
	Mechanisms  map[string][]mechanism `json:"mechanisms"`
	Filters     map[string][]string    `json:"filters"`
	Created     *time.Time             `json:"created"` // null for one that the configuration declares
	Modified    *time.Time             `json:"modified"`
}

// A mechanism is somebody who is told: an address, or a destination.
type mechanism struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

func alertPolicyOf(view alerting.View, p alerting.Policy) alertPolicy {
	out := alertPolicy{
		ID: p.ID, Name: p.Name, Description: p.Description, Enabled: p.Enabled, AlertType: alerting.AlertType,
		Mechanisms: map[string][]mechanism{}, Filters: filtersOf(p.Filters), Created: given(p.CreatedAt), Modified: given(p.UpdatedAt),
	}
	for name, ids := range map[string][]string{"email": p.Mechanisms.Email, "webhooks": p.Mechanisms.Webhooks, "pagerduty": p.Mechanisms.PagerDuty} {
		for _, id := range ids {
			d, _ := view.Destination(id)
			out.Mechanisms[name] = append(out.Mechanisms[name], mechanism{id, d.Name})
		}
	}
	return out
}

// given is nil for the zero time.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// filtersOf writes filters as the reference does: arrays of strings.
func filtersOf(f alerting.Filters) map[string][]string {
	out := map[string][]string{}
	for _, k := range f.Kinds {
		out["kinds"] = append(out["kinds"], string(k))
	}
	for _, b := range f.Before {
		out["before"] = append(out["before"], alert.FormatSpan(b))
	}
	for _, label := range slices.Sorted(maps.Keys(f.Labels)) {
		out["labels"] = append(out["labels"], label+"="+f.Labels[label])
	}
	return out
}

func (h *Handler) listAlertPolicies(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	list := make([]alertPolicy, len(view.Policies))
	for i, p := range view.Policies {
		list[i] = alertPolicyOf(view, p)
	}
	return answerAll(w, c, list)
}

func (h *Handler) getAlertPolicy(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	p, ok := view.Policy(c.PathValue("policy"))
	if !ok {
		return alerting.NoPolicy(c.PathValue("policy"))
	}
	w.Header().Set("ETag", etag(p.Version()))
	succeed(w, http.StatusOK, alertPolicyOf(view, p), nil, nil)
	return nil
}

func (h *Handler) createAlertPolicy(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	for _, name := range []string{"name", "alert_type", "mechanisms"} {
		if body.given(name) == nil {
			return missing(body.place(name))
		}
	}
	change, err := readAlertPolicy(body)
	if err != nil {
		return err
	}
	p, err := h.o.Alerting.CreatePolicy(c.Context(), change, c.actor)
	if err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "policy created", p.ID)
	w.Header().Set("ETag", etag(p.Version()))
	succeed(w, http.StatusCreated, identified{p.ID}, nil, nil)
	return nil
}

// updateAlertPolicy leaves what is left out as it is: what the newer client
// does not send it says nothing about.
func (h *Handler) updateAlertPolicy(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	change, err := readAlertPolicy(body)
	if err != nil {
		return err
	}
	check := func(p alerting.Policy) error { return checkMatch(c.Request, p.Version()) }
	p, err := h.o.Alerting.UpdatePolicy(c.Context(), c.PathValue("policy"), change, check, c.actor)
	if err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "policy updated", p.ID)
	w.Header().Set("ETag", etag(p.Version()))
	succeed(w, http.StatusOK, identified{p.ID}, nil, nil)
	return nil
}

func (h *Handler) deleteAlertPolicy(w http.ResponseWriter, c call) error {
	id := c.PathValue("policy")
	check := func(p alerting.Policy) error { return checkMatch(c.Request, p.Version()) }
	if err := h.o.Alerting.DeletePolicy(c.Context(), id, check, c.actor); err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "policy deleted", id)
	succeed(w, http.StatusOK, identified{id}, nil, nil)
	return nil
}

func (h *Handler) changedAlerting(c call, what, id string) {
	h.o.Logger.Info("alerting changed by the API", "change", what, "id", id, "token", c.token.ID, "request_id", c.actor.RequestID)
}

func readAlertPolicy(body object) (c alerting.PolicyChange, err error) {
	if err := checkAlertType(body); err != nil {
		return c, err
	}
	if err := refuseGiven(body, "alert_interval", "conditions"); err != nil {
		return c, err
	}
	if c.Name, err = body.optional("name"); err != nil {
		return c, err
	}
	if c.Description, err = body.optional("description"); err != nil {
		return c, err
	}
	if body.given("enabled") != nil {
		enabled, err := body.flag("enabled")
		if err != nil {
			return c, err
		}
		c.Enabled = &enabled
	}
	if body.given("mechanisms") != nil {
		m, err := readMechanisms(body)
		if err != nil {
			return c, err
		}
		c.Mechanisms = &m
	}
	if _, there := body.fields["filters"]; there { // null: none, as the older client says it
		f, err := readFilters(body)
		if err != nil {
			return c, err
		}
		c.Filters = &f
	}
	return c, nil
}

func checkAlertType(body object) error {
	kind, given, err := body.text("alert_type")
	if err == nil && given && kind != alerting.AlertType {
		err = at(body.place("alert_type"), fault.New(fault.Invalid, "alert_type", "the alert type %.80q is not one of this product", kind).
			WithHint("use %s, which covers CAs, client and server certificates and revocation lists", alerting.AlertType))
	}
	return err
}

// refuseGiven refuses what would make a policy something else than this product
// carries out. Nothing, in whatever form, asks for nothing.
func refuseGiven(body object, names ...string) error {
	for _, name := range names {
		switch raw := strings.Join(strings.Fields(string(body.given(name))), ""); raw {
		case "", `""`, "{}", "[]":
		default:
			return at(body.place(name), fault.New(fault.Invalid, "unsupported", "%s is not supported", name).WithHint("leave it out: each threshold is told once"))
		}
	}
	return nil
}

func readMechanisms(body object) (m alerting.Mechanisms, err error) {
	o, err := readObject(body.given("mechanisms"), body.place("mechanisms"))
	if err != nil {
		return m, err
	}
	lists := map[string]*[]string{"email": &m.Email, "webhooks": &m.Webhooks, "pagerduty": &m.PagerDuty}
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if lists[name] == nil {
			return m, at(o.place(name), fault.New(fault.Invalid, "mechanism", "%.40q is not a mechanism", name).WithHint("use email, webhooks or pagerduty"))
		}
		if *lists[name], err = readIDs(o, name); err != nil {
			return m, err
		}
	}
	return m, nil
}

// readIDs reads an array of objects with an id.
func readIDs(o object, name string) ([]string, error) {
	elements, err := o.list(name)
	if err != nil {
		return nil, err
	}
	var ids []string
	for i, raw := range elements {
		e, err := readObject(raw, o.place(name)+"/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		id, _, err := e.text("id")
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, missing(e.place("id"))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// readFilters reads our filters. One that this product does not have would
// narrow the policy if it did: it is refused, unless it is empty.
func readFilters(body object) (f alerting.Filters, err error) {
	raw := body.given("filters")
	if raw == nil {
		return f, nil
	}
	o, err := readObject(raw, body.place("filters"))
	if err != nil {
		return f, err
	}
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		texts, err := o.texts(name)
		if err != nil {
			return f, err
		}
		for i, text := range texts {
			if err := addFilter(&f, name, text); err != nil {
				return f, at(o.place(name)+"/"+strconv.Itoa(i), err)
			}
		}
	}
	return f, nil
}

func addFilter(f *alerting.Filters, name, text string) error {
	switch name {
	case "kinds":
		f.Kinds = append(f.Kinds, alert.Kind(text))
	case "before":
		span, err := alert.ParseSpan(text)
		if err != nil {
			return fault.New(fault.Invalid, "before", "%w", err).WithHint(`write it as "30d" or "36h"`)
		}
		f.Before = append(f.Before, span)
	case "labels":
		label, value, ok := strings.Cut(text, "=")
		if !ok || label == "" {
			return fault.New(fault.Invalid, "labels", "%.100q is not name=value", text).WithHint(`write it as "team=payments"`)
		}
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		f.Labels[label] = value
	default:
		return fault.New(fault.Invalid, "unsupported", "the filter %.40q is not supported", name).WithHint("use kinds, before or labels, or leave it out")
	}
	return nil
}

// optional returns a string, nil if it is not given.
func (o object) optional(name string) (*string, error) {
	text, given, err := o.text(name)
	if !given || err != nil {
		return nil, err
	}
	return &text, nil
}

// texts returns an array of strings; what is not given has none.
func (o object) texts(name string) ([]string, error) {
	elements, err := o.list(name)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(elements))
	for i, raw := range elements {
		if texts[i], err = readText(raw, o.place(name)+"/"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
