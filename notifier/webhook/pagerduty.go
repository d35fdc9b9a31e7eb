package webhook

import (
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// Limits of the Events API v2: a summary of 1024 characters, a dedup_key of
// 255, an event of 512 KB. What it says of itself elsewhere is kept short.
const (
	maxSummary = 1024
	maxSource  = 255
	// As many events go in one delivery as the API takes within a minute, with
	// room for others: what it refuses, it would refuse again.
	maxEvents = 100
)

// pagerDuty is the Events API v2 of PagerDuty. Whatever is told of one item
// bears the same dedup_key, so that "renewed" resolves the incident.
type pagerDuty struct {
	routingKey string
}

type pagerDutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action"`
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client,omitempty"`
	ClientURL  string            `json:"client_url,omitempty"`
	Payload    *pagerDutyPayload `json:"payload,omitempty"` // of a trigger
}

type pagerDutyPayload struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"`
	Timestamp time.Time `json:"timestamp"`
	Component string    `json:"component,omitempty"`
	Group     string    `json:"group,omitempty"`
	Class     string    `json:"class,omitempty"`
	Details   any       `json:"custom_details,omitempty"`
}

// pagerDutyDetails are the facts about one item.
type pagerDutyDetails struct {
	Advice      string            `json:"advice,omitempty"`
	Detail      string            `json:"detail,omitempty"`
	Kind        string            `json:"kind,omitempty"`
	Ends        *time.Time        `json:"ends,omitempty"`
	Left        string            `json:"left,omitempty"`
	Subject     string            `json:"subject,omitempty"`
	Issuer      string            `json:"issuer,omitempty"`
	Serial      string            `json:"serial,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Hostnames   []string          `json:"hostnames,omitempty"`
	Bundles     []string          `json:"bundles,omitempty"`
	UsedBy      string            `json:"used_by,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	RenewURL    string            `json:"renew_url,omitempty"`
}

// bodies are one trigger, for the one item or as the summary of several, and a
// resolve for each item that is renewed or revoked.
func (f pagerDuty) bodies(m notifier.Message) ([][]byte, error) {
	var open []alert.Entry
	var events []pagerDutyEvent
	for _, e := range m.Entries {
		switch {
		case m.Test:
		case !e.Alert.Resolves():
			open = append(open, e)
		case len(events) < maxEvents:
			events = append(events, pagerDutyEvent{RoutingKey: f.routingKey, Action: "resolve", DedupKey: e.Alert.Key()})
		}
	}
	switch {
	case len(open) == 1:
		events = append(events, f.trigger(m, open[0]))
	case len(open) > 1 || len(events) == 0:
		events = append(events, f.summary(m, open))
	}
	var bodies [][]byte
	for _, e := range events {
		b, err := templates.EncodeJSON(e)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, b)
	}
	return bodies, nil
}

func (f pagerDuty) event(m notifier.Message, dedupKey string, p pagerDutyPayload) pagerDutyEvent {
	p.Summary, p.Source, p.Group = templates.Cut(p.Summary, maxSummary), templates.Cut(p.Source, maxSource), templates.OneLine(m.Rule)
	return pagerDutyEvent{RoutingKey: f.routingKey, Action: "trigger", DedupKey: dedupKey, Client: "Certvigil", ClientURL: m.AdminURL, Payload: &p}
}

func (f pagerDuty) trigger(m notifier.Message, e alert.Entry) pagerDutyEvent {
	facts := m.Words().Describe(e)
	p := pagerDutyPayload{
		Summary: facts.Title, Source: m.AdminURL, Severity: facts.Severity, Timestamp: e.Alert.CreatedAt.UTC(),
		Class: typeOfAlert(e.Alert), Details: newPagerDutyDetails(facts),
	}
	if e.Item != nil {
		p.Component, p.Source = facts.Name, facts.Name
		if len(facts.Hostnames) > 0 {
			p.Source = facts.Hostnames[0]
		}
	}
	return f.event(m, facts.Key, p)
}

// summary tells of several items, or of none: a test. Nothing resolves it but
// a person, for it is about no one item.
func (f pagerDuty) summary(m notifier.Message, open []alert.Entry) pagerDutyEvent {
	m.Entries = open
	words := m.Words()
	p := pagerDutyPayload{
		Summary: words.Headline(), Source: m.AdminURL, Severity: words.Severity(), Timestamp: m.CreatedAt.UTC(), Class: typeOf(m),
	}
	if len(open) > 0 {
		p.Details = map[string]any{"items": words.Lines()}
	}
	return f.event(m, m.ID, p)
}

func newPagerDutyDetails(f templates.Entry) pagerDutyDetails {
	d := pagerDutyDetails{
		Advice: f.Advice, Detail: f.Detail, Kind: f.Kind, Left: f.TimeLeft, Subject: f.Subject, Issuer: f.Issuer, Serial: f.Serial,
		Fingerprint: f.Fingerprint, Hostnames: f.Hostnames, Bundles: f.Bundles, UsedBy: f.UsedBy, Labels: f.Labels, RenewURL: f.RenewURL,
	}
	if !f.NotAfter.IsZero() {
		d.Ends = &f.NotAfter
	}
	return d
}
