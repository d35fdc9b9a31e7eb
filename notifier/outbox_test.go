package notifier_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

// A memoryOutbox is a notifier.Outbox in memory. Its zero value is empty.
type memoryOutbox struct {
	mu       sync.Mutex
	rows     []*row
	channels map[string]alert.ChannelStatus
	hashes   map[string]string
	notices  []alert.Notice
	down     error
	calls    int
}

type row struct {
	delivery alert.Delivery
	entries  []alert.Entry
	owner    string
	until    time.Time
	outcomes []alert.Outcome
	renewed  bool
}

// Add puts deliveries into the outbox, each telling of one sample item.
func (o *memoryOutbox) Add(deliveries ...alert.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range deliveries {
		entry := notifiertest.Entry(notifiertest.Item(alert.KindCA, d.ID, alert.Day), 14*alert.Day, alert.EventExpiring)
		o.rows = append(o.rows, &row{delivery: d, entries: []alert.Entry{entry}})
	}
}

// Break makes every call return err until it is called with nil.
func (o *memoryOutbox) Break(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = err
}

// Calls returns how often the outbox was asked for anything.
func (o *memoryOutbox) Calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}

// Delivery returns a delivery as it stands.
func (o *memoryOutbox) Delivery(id string) alert.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.find(id); r != nil {
		return r.delivery
	}
	return alert.Delivery{}
}

// Outcomes returns what was settled of a delivery, in order.
func (o *memoryOutbox) Outcomes(id string) []alert.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.find(id); r != nil {
		return slices.Clone(r.outcomes)
	}
	return nil
}

// Notices returns the announcements in order.
func (o *memoryOutbox) Notices() []alert.Notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.notices)
}

// Count returns how many deliveries of a channel are in a state.
func (o *memoryOutbox) Count(channel string, state alert.DeliveryState) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.rows {
		if r.delivery.Channel == channel && r.delivery.State == state {
			n++
		}
	}
	return n
}

// Renew says that what a delivery tells of was renewed: it is cancelled when it
// is claimed next.
func (o *memoryOutbox) Renew(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.find(id); r != nil {
		r.renewed = true
	}
}

// Steal takes the lease of a delivery over, as another replica would.
func (o *memoryOutbox) Steal(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.find(id); r != nil {
		r.owner = "another replica"
	}
}

// Claim implements notifier.Outbox.
func (o *memoryOutbox) Claim(_ context.Context, owner, channel string, now, until time.Time, n int) ([]alert.Job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls++; o.down != nil {
		return nil, o.down
	}
	if status := o.channels[channel]; status.Failing {
		if now.Before(status.RetryAt) {
			return nil, nil
		}
		n = 1
	}
	var jobs []alert.Job
	for _, r := range o.rows {
		if r.renewed && r.due(now) {
			r.delivery.State = alert.StateCancelled
		}
		if len(jobs) < n && r.delivery.Channel == channel && r.due(now) {
			r.delivery.State, r.owner, r.until = alert.StateSending, owner, until
			jobs = append(jobs, alert.Job{Delivery: r.delivery, Entries: r.entries})
		}
	}
	return jobs, nil
}

func (r *row) due(now time.Time) bool {
	switch r.delivery.State {
	case alert.StatePending, alert.StateRetrying:
		return !r.delivery.NextAttemptAt.After(now)
	case alert.StateSending:
		return !r.until.After(now)
	}
	return false
}

// Settle implements notifier.Outbox.
func (o *memoryOutbox) Settle(_ context.Context, owner, id string, out alert.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls++; o.down != nil {
		return o.down
	}
	r := o.find(id)
	if r == nil || r.delivery.State != alert.StateSending || r.owner != owner {
		return fault.New(fault.Conflict, "lease", "the lease is lost")
	}
	r.outcomes = append(r.outcomes, out)
	r.owner = ""
	r.delivery.State, r.delivery.NextAttemptAt, r.delivery.LastError = out.State, out.NextAttemptAt, out.Error
	if out.State != alert.StatePending {
		r.delivery.Attempts++
	}
	if out.Channel != nil {
		o.set(r.delivery.Channel, *out.Channel)
	}
	if out.Notice != nil {
		o.notices = append(o.notices, *out.Notice)
		for _, d := range out.Notice.Deliveries {
			o.rows = append(o.rows, &row{delivery: d, entries: []alert.Entry{{Alert: out.Notice.Alert}}})
		}
	}
	return nil
}

func (o *memoryOutbox) set(channel string, s alert.ChannelStatus) {
	if o.channels == nil {
		o.channels = map[string]alert.ChannelStatus{}
	}
	o.channels[channel] = s
}

// Channel implements notifier.Outbox.
func (o *memoryOutbox) Channel(_ context.Context, channel string) (alert.ChannelStatus, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.channels[channel], o.down
}

// Configured implements notifier.Outbox.
func (o *memoryOutbox) Configured(_ context.Context, channel, hash string, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls++; o.down != nil {
		return o.down
	}
	if o.hashes == nil {
		o.hashes = map[string]string{}
	}
	if o.hashes[channel] == hash {
		return nil
	}
	o.hashes[channel] = hash
	if status := o.channels[channel]; status.Failing {
		status.RetryAt = now
		o.set(channel, status)
	}
	for _, r := range o.rows {
		if r.delivery.Channel == channel && (r.delivery.State == alert.StatePending || r.delivery.State == alert.StateRetrying) {
			r.delivery.NextAttemptAt = now
		}
	}
	return nil
}

// NextAttempt implements notifier.Outbox.
func (o *memoryOutbox) NextAttempt(_ context.Context, channel string) (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls++; o.down != nil {
		return time.Time{}, o.down
	}
	var next time.Time
	for _, r := range o.rows {
		at := r.delivery.NextAttemptAt
		switch {
		case r.delivery.Channel != channel:
			continue
		case r.delivery.State == alert.StateSending:
			at = r.until
		case r.delivery.State != alert.StatePending && r.delivery.State != alert.StateRetrying:
			continue
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if status := o.channels[channel]; status.Failing && !next.IsZero() && next.Before(status.RetryAt) {
		next = status.RetryAt
	}
	return next, nil
}

func (o *memoryOutbox) find(id string) *row {
	for _, r := range o.rows {
		if r.delivery.ID == id {
			return r
		}
	}
	return nil
}
