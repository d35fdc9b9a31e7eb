package v4

import (
	"context"
	"net/http"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Alerting keeps alerting policies and webhook destinations. It may be called
// concurrently. Its errors are faults, whose field is a path into the body; any
// other error is internal.
type Alerting interface {
	View(ctx context.Context) (alerting.View, error)
	CreatePolicy(ctx context.Context, c alerting.PolicyChange, actor inventory.Actor) (alerting.Policy, error)
	UpdatePolicy(ctx context.Context, id string, c alerting.PolicyChange, check func(alerting.Policy) error, actor inventory.Actor) (alerting.Policy, error)
	DeletePolicy(ctx context.Context, id string, check func(alerting.Policy) error, actor inventory.Actor) error
	CreateDestination(ctx context.Context, c alerting.DestinationChange, actor inventory.Actor) (alerting.Destination, error)
	UpdateDestination(ctx context.Context, id string, c alerting.DestinationChange, check func(alerting.Destination) error, actor inventory.Actor) (alerting.Destination, error)
	DeleteDestination(ctx context.Context, id string, check func(alerting.Destination) error, actor inventory.Actor) ([]alerting.Policy, error)
	History(ctx context.Context, span alerting.Span) (records []alerting.Record, total int, err error)
}

// routeAlerting registers what is of accounts alone.
func (h *Handler) routeAlerting() {
	const base, read, write = "accounts/{scope}/alerting/v3/", inventory.ScopeRead, inventory.ScopeWrite
	h.route(base+"policies", operation{http.MethodGet, read, h.listAlertPolicies}, operation{http.MethodPost, write, h.createAlertPolicy})
	h.route(base+"policies/{policy}",
		operation{http.MethodGet, read, h.getAlertPolicy}, operation{http.MethodPut, write, h.updateAlertPolicy}, operation{http.MethodDelete, write, h.deleteAlertPolicy})
	h.route(base+"destinations/webhooks", operation{http.MethodGet, read, h.listDestinations}, operation{http.MethodPost, write, h.createDestination})
	h.route(base+"destinations/webhooks/{destination}",
		operation{http.MethodGet, read, h.getDestination}, operation{http.MethodPut, write, h.updateDestination}, operation{http.MethodDelete, write, h.deleteDestination})
	h.route(base+"destinations/pagerduty", operation{http.MethodGet, read, h.listPagerDuty}, operation{http.MethodDelete, write, refusePagerDuty})
	h.route(base+"destinations/pagerduty/connect", operation{http.MethodPost, write, refusePagerDuty})
	h.route(base+"destinations/pagerduty/connect/{token}", operation{http.MethodGet, write, refusePagerDuty})
	h.route(base+"destinations/eligible", operation{http.MethodGet, read, h.eligible})
	h.route(base+"available_alerts", operation{http.MethodGet, read, availableAlerts})
	h.route(base+"history", operation{http.MethodGet, read, h.history})
}

// An identified is the answer to a change.
type identified struct {
	ID string `json:"id"`
}

// A filterOption says what a policy's filters may hold, as the reference does.
type filterOption struct {
	Key    string        `json:"Key"`
	Range  string        `json:"Range"`
	Op     string        `json:"ComparisonOperator"`
	Values []filterValue `json:"AvailableValues"` // nil = any
}

type filterValue struct {
	ID          string `json:"ID"`
	Description string `json:"Description"`
}

type availableAlert struct {
	DisplayName   string         `json:"display_name"`
	Type          string         `json:"type"`
	Description   string         `json:"description"`
	FilterOptions []filterOption `json:"filter_options"`
}

func availableAlerts(w http.ResponseWriter, _ call) error {
	const any, equal = "0-n", "=="
	succeed(w, http.StatusOK, map[string][]availableAlert{"SSL/TLS": {{
		DisplayName: "Access mTLS Certificate Expiration Alert", Type: alerting.AlertType,
		Description: "CAs, client certificates, server certificates and revocation lists that end soon, by default 30 and 14 days ahead",
		FilterOptions: []filterOption{
			{"kinds", any, equal, []filterValue{
				{"ca", "certification authorities"}, {"client", "client certificates"}, {"server", "server certificates"}, {"crl", "revocation lists"},
			}},
			{Key: "before", Range: any, Op: equal},
			{Key: "labels", Range: any, Op: equal},
		},
	}}}, nil, nil)
	return nil
}

type eligibility struct {
	Eligible bool   `json:"eligible"`
	Ready    bool   `json:"ready"`
	Type     string `json:"type"`
}

// eligible answers in v6's shape; v0 reads another one.
func (h *Handler) eligible(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	succeed(w, http.StatusOK, map[string][]eligibility{
		"email":     {{true, view.Transport != "", "email"}},
		"pagerduty": {{len(view.PagerDuty) > 0, len(view.PagerDuty) > 0, "pagerduty"}},
		"webhooks":  {{true, true, "webhook"}},
	}, nil, nil)
	return nil
}

type pagerDuty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (h *Handler) listPagerDuty(w http.ResponseWriter, c call) error {
	view, err := h.o.Alerting.View(c.Context())
	if err != nil {
		return err
	}
	list := []pagerDuty{}
	for _, d := range view.PagerDuty {
		list = append(list, pagerDuty{d.ID, d.Name})
	}
	succeed(w, http.StatusOK, list, nil, nil)
	return nil
}

func refusePagerDuty(http.ResponseWriter, call) error {
	return at("", fault.New(fault.Unprocessable, "pagerduty_connect", "PagerDuty is not connected, and not taken away, by this API").
		WithHint(`declare it in the configuration file: a [[channel]] of type "webhook" with format = "pagerduty"`))
}

// answerAll answers with a whole list, since the clients ask for it once; with
// a page of it whoever asks for one.
func answerAll[T any](w http.ResponseWriter, c call, list []T) error {
	query, info := c.URL.Query(), &resultInfo{Page: 1, PerPage: len(list), Count: len(list), TotalCount: len(list), TotalPages: 1}
	if query.Has("page") || query.Has("per_page") {
		var err error
		if list, info, err = page(query, list); err != nil {
			return err
		}
	}
	succeed(w, http.StatusOK, list, nil, info)
	return nil
}
