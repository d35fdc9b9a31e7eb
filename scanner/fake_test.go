package scanner_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// A memory is an Inventory that keeps what a plan writes, as the store does.
type memory struct {
	mu             sync.Mutex
	items          map[string]*record
	deliveries     map[string]alert.Delivery
	alerts         map[string]alert.Alert
	key            string
	last           time.Time
	accepted       time.Time
	scans          []time.Time // the now of every successful scan
	reschedules    int
	placement      int64
	failing        error
	panicking      bool
	blocking       chan struct{} // when set, a scan waits until it is closed
	entered        chan struct{} // when set, a scan says here that it has begun
	failReschedule error
}

type record struct {
	alert.Candidate

	due *time.Time
}

func newMemory(items ...alert.Item) *memory {
	m := &memory{items: map[string]*record{}, deliveries: map[string]alert.Delivery{}, alerts: map[string]alert.Alert{}}
	for _, it := range items {
		m.add(it)
	}
	return m
}

func (m *memory) add(it alert.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[it.ID] = &record{Candidate: alert.Candidate{Item: it}, due: new(time.Time)}
}

func (m *memory) Scan(ctx context.Context, now time.Time, decide func([]alert.Candidate) alert.Plan) error {
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.panicking {
		panic("the inventory broke")
	}
	if m.failing != nil {
		return m.failing
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.write(decide(m.due(now)))
	m.last = now
	m.scans = append(m.scans, now)
	return nil
}

func (m *memory) wait() {
	m.mu.Lock()
	entered, blocking := m.entered, m.blocking
	m.mu.Unlock()
	if entered != nil {
		entered <- struct{}{}
	}
	if blocking != nil {
		<-blocking
	}
}

func (m *memory) Preview(_ context.Context, at time.Time, _ time.Duration) ([]alert.Candidate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.due(at), m.failing
}

// due orders by id, so that tests are repeatable.
func (m *memory) due(now time.Time) []alert.Candidate {
	var due []alert.Candidate
	for _, r := range m.items {
		if r.Item.Watch == alert.Active && r.due != nil && !r.due.After(now) {
			due = append(due, r.Candidate)
		}
	}
	slices.SortFunc(due, func(a, b alert.Candidate) int { return cmp.Compare(a.Item.ID, b.Item.ID) })
	return due
}

func (m *memory) write(p alert.Plan) {
	for _, a := range p.Alerts {
		m.alerts[a.ID] = a
		r := m.items[a.ItemID]
		r.Recorded = append(r.Recorded, alert.Mark{Rule: a.Rule, Threshold: a.Threshold})
	}
	for _, d := range p.Deliveries {
		m.deliveries[d.ID] = d
	}
	for _, t := range p.Told {
		r := m.items[t.ItemID]
		r.Told = slices.DeleteFunc(r.Told, func(o alert.Told) bool { return o.Channel == t.Channel && o.Recipient == t.Recipient })
		r.Told = append(r.Told, alert.Told{Channel: t.Channel, Recipient: t.Recipient, Threshold: t.Threshold})
	}
	for id, next := range p.Next {
		m.items[id].reschedule(next)
	}
}

func (r *record) reschedule(next time.Time) {
	r.due = nil
	if !next.IsZero() {
		r.due = &next
	}
}

func (m *memory) Reschedule(_ context.Context, key string, next func(alert.Candidate) time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failReschedule != nil {
		return m.failReschedule
	}
	if key == m.key {
		return nil
	}
	for _, r := range m.items {
		r.reschedule(next(r.Candidate))
	}
	m.key = key
	m.reschedules++
	return nil
}

func (m *memory) Placement(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.placement, nil
}

func (m *memory) LastScan(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, nil
}

func (m *memory) AcceptedClock(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accepted, nil
}

// set changes the inventory's behaviour while a scanner runs on it.
func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) scanCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.scans)
}

func (m *memory) sent() []alert.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.deliveries), func(a, b alert.Delivery) int { return cmp.Compare(a.ID, b.ID) })
}

var _ scanner.Inventory = (*memory)(nil)

const day = alert.Day

// end is when the items of the tests end.
var end = time.Date(2027, 3, 31, 12, 0, 0, 0, time.UTC)

// item returns a trusted, active certificate of a year.
func item(id string, changes ...func(*alert.Item)) alert.Item {
	it := alert.Item{
		ID: id, Kind: alert.KindClient, Trust: alert.Trusted, Watch: alert.Active, Epoch: 1,
		NotBefore: end.Add(-365 * day), NotAfter: end,
		Sources: []alert.Source{{Kind: alert.SourceUpload}},
	}
	for _, change := range changes {
		change(&it)
	}
	return it
}

// rule returns the documented default rule, told to one address.
func rule(name string, changes ...func(*scanner.Rule)) scanner.Rule {
	r := scanner.Rule{
		Name: name, Kinds: []alert.Kind{alert.KindCA, alert.KindClient, alert.KindServer, alert.KindCRL},
		Before:  []time.Duration{30 * day, 14 * day},
		Targets: []scanner.Target{{Channel: "mail", Recipients: []string{"oncall@example.com"}}},
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func before(thresholds ...time.Duration) func(*scanner.Rule) {
	return func(r *scanner.Rule) { r.Before = thresholds }
}

func targets(t ...scanner.Target) func(*scanner.Rule) {
	return func(r *scanner.Rule) { r.Targets = t }
}
