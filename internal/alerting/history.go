package alerting

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Span selects what was sent; zero times do not bound.
type Span struct {
	Since, Before time.Time // exclusive
	Offset, Limit int
}

// SentEntries is how many entries of a message come with it; it may have more.
const SentEntries = 20

// A Sent is a message that was sent, with its most urgent entries, their items
// as they are now.
type Sent struct {
	Delivery alert.Delivery
	Entries  []alert.Entry // at most SentEntries
	Total    int           // entries of the message
}

// A Record is one line of the history.
type Record struct {
	ID            string // of the delivery
	PolicyID      string // "" when there is no policy of that name any more
	Name          string // of the policy
	Description   string
	AlertType     string // "" when it told of no item
	Body          string
	Mechanism     string // an address, or a destination's name
	MechanismType string // email, pagerduty or webhook
	Sent          time.Time
}

// History returns what was sent, the newest first, and how much there is in all.
func (s *Service) History(ctx context.Context, span Span) (records []Record, total int, err error) {
	sent, total, err := s.o.Store.SentDeliveries(ctx, span)
	if err != nil {
		return nil, 0, err
	}
	view, err := s.View(ctx)
	if err != nil {
		return nil, 0, err
	}
	records = make([]Record, len(sent))
	for i, m := range sent {
		records[i] = s.record(view, m)
	}
	return records, total, nil
}

func (s *Service) record(view View, m Sent) Record {
	d := m.Delivery
	r := Record{ID: d.ID, Name: d.Rule, Body: s.o.Body(m), Mechanism: d.Recipient, MechanismType: "webhook"}
	if d.SettledAt != nil {
		r.Sent = *d.SettledAt
	}
	if p, ok := find(view.Policies, func(p Policy) bool { return p.Name == d.Rule }); ok {
		r.PolicyID, r.Description = p.ID, p.Description
	}
	for _, e := range m.Entries {
		if e.Item != nil {
			r.AlertType = AlertType
		}
	}
	_, pages := find(view.PagerDuty, func(o Destination) bool { return o.Name == d.Channel })
	switch {
	case d.Recipient != d.Channel: // a channel of any other type is its only recipient
		r.MechanismType = "email"
	case pages:
		r.MechanismType = "pagerduty"
	}
	return r
}
