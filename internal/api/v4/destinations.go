package v4

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/certvigil/certvigil/internal/alerting"
)

// A destination is a webhook destination as the reference shows it: without its
// secret.
type destination struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Type        string     `json:"type"`
	URL         string     `json:"url"`
	CreatedAt   *time.Time `json:"created_at"` // null for one that the configuration declares
	LastSuccess *time.Time `json:"last_success"`
	LastFailure *time.Time `json:"last_failure"`
}

func destinationOf(d alerting.Destination) destination {
	return destination{d.ID, d.Name, d.Type, d.ShownURL(), given(d.CreatedAt), d.LastSuccess, d.LastFailure}
}

func (h *Handler) listDestinations(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	list := make([]destination, len(view.Destinations))
	for i, d := range view.Destinations {
		list[i] = destinationOf(d)
	}
	return answerAll(w, c, list)
}

func (h *Handler) getDestination(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	d, ok := view.Destination(c.PathValue("destination"))
	if !ok {
		return alerting.NoDestination(c.PathValue("destination"))
	}
	w.Header().Set("ETag", etag(d.Version()))
	succeed(w, http.StatusOK, destinationOf(d), nil, nil)
	return nil
}

func (h *Handler) createDestination(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	for _, name := range []string{"name", "url"} {
		if body.given(name) == nil {
			return missing(body.place(name))
		}
	}
	change, err := readDestination(body)
	if err != nil {
		return err
	}
	d, err := h.o.Alerting.CreateDestination(c.Context(), change, c.actor)
	if err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "destination created", d.ID)
	answerDestination(w, http.StatusCreated, d)
	return nil
}

func (h *Handler) updateDestination(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	change, err := readDestination(body)
	if err != nil {
		return err
	}
	check := func(d alerting.Destination) error { return checkMatch(c.Request, d.Version()) }
	d, err := h.o.Alerting.UpdateDestination(c.Context(), c.PathValue("destination"), change, check, c.actor)
	if err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "destination updated", d.ID)
	answerDestination(w, http.StatusOK, d)
	return nil
}

func answerDestination(w http.ResponseWriter, status int, d alerting.Destination) {
	var warnings []string
	if u, err := url.Parse(d.Endpoint.URL); err == nil && u.Scheme == "http" {
		warnings = append(warnings, "the destination is posted to over http: whoever is on the way reads the messages and the secret")
	}
	w.Header().Set("ETag", etag(d.Version()))
	succeed(w, status, identified{d.ID}, warnings, nil)
}

// deleteDestination takes the destination from the policies that name it, as
// the reference does, and says of which nobody is left.
func (h *Handler) deleteDestination(w http.ResponseWriter, c call) error {
	id := c.PathValue("destination")
	check := func(d alerting.Destination) error { return checkMatch(c.Request, d.Version()) }
	policies, err := h.o.Alerting.DeleteDestination(c.Context(), id, check, c.actor)
	if err != nil {
		return at("", err)
	}
	h.changedAlerting(c, "destination deleted", id)
	var warnings []string
	for _, p := range policies {
		text := "the policy %q tells this destination no longer"
		if m := p.Mechanisms; len(m.Email)+len(m.Webhooks)+len(m.PagerDuty) == 1 {
			text = "the policy %q tells nobody any more: name another destination or an address there"
		}
		warnings = append(warnings, fmt.Sprintf(text, p.Name))
	}
	succeed(w, http.StatusOK, identified{id}, warnings, nil)
	return nil
}

func readDestination(body object) (c alerting.DestinationChange, err error) {
	if c.Name, err = body.optional("name"); err != nil {
		return c, err
	}
	if c.URL, err = body.optional("url"); err != nil {
		return c, err
	}
	c.Secret, _, err = body.text("secret")
	return c, err
}
