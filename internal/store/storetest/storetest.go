// Package storetest holds every store to the same behaviour: the real ones,
// whatever their database, and fakes.
package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// A Storer is all that the product asks of a store.
type Storer interface {
	inventory.Store
	scanner.Inventory
	notifier.Outbox
	alerting.Store

	Facts(ctx context.Context, item alert.Item, now time.Time) (alert.Facts, error)
	RecordSightings(ctx context.Context, list []inventory.Sighting) error
	AddItems(ctx context.Context, list []inventory.NewItem) (created int, err error)
	Groups(ctx context.Context) ([]store.Group, error)
	Trust(ctx context.Context) (store.TrustSnapshot, error)
	Generation(ctx context.Context) (int64, error)
	DataVersion(ctx context.Context) (int64, error)
	Alerting(ctx context.Context) (alerting.Stored, error)
	AlertingGeneration(ctx context.Context) (int64, error)
	HasDue(ctx context.Context, now time.Time) (bool, error)
	Handle(ctx context.Context, itemID string, h *alert.Handling, actor inventory.Actor) error
	Candidate(ctx context.Context, itemID string) (alert.Candidate, error)
	Report(ctx context.Context, channel string, period time.Time, n alert.Notice) (handed bool, err error)
	Reported(ctx context.Context, channel string) (time.Time, error)
	Ending(ctx context.Context, before time.Time, limit int) (items []alert.Item, all int, err error)
	SeenHosts(ctx context.Context) ([]string, error)
	NextEnding(ctx context.Context) (time.Time, error)
	AcceptClock(ctx context.Context, at time.Time, actor inventory.Actor) error
	Alerts(ctx context.Context, limit int) ([]alert.Alert, error)
	Deliveries(ctx context.Context, f store.DeliveryFilter) ([]alert.Delivery, error)
	Delivery(ctx context.Context, ref string) (alert.Delivery, []alert.Attempt, error)
	RetryDelivery(ctx context.Context, ref string, now time.Time, actor inventory.Actor) error
	RetryDeliveries(ctx context.Context, f store.DeliveryFilter, now time.Time, actor inventory.Actor) (int64, error)
	CancelDelivery(ctx context.Context, ref string, actor inventory.Actor) error
	CancelDeliveries(ctx context.Context, f store.DeliveryFilter, actor inventory.Actor) (int64, error)
	ChannelStatuses(ctx context.Context) (map[string]alert.ChannelStatus, error)
	Waiting(ctx context.Context) (map[string]store.Backlog, error)
	DeliveryCounts(ctx context.Context) (map[alert.DeliveryState]int, error)
	Installation(ctx context.Context) (string, error)
	CountEnding(ctx context.Context, edges []time.Time) (map[alert.Kind][]int, error)
	Recover(ctx context.Context) error
	ExpireProposals(ctx context.Context, before time.Time) error
	CreateToken(ctx context.Context, token inventory.Token, actor inventory.Actor) error
	Tokens(ctx context.Context) ([]inventory.Token, error)
	TokenByHash(ctx context.Context, hash []byte) (inventory.Token, error)
	TouchToken(ctx context.Context, id string, at time.Time) error
	RevokeToken(ctx context.Context, ref string, actor inventory.Actor) error
	Audit(ctx context.Context, f inventory.AuditFilter) ([]inventory.AuditEntry, error)
	Audience(ctx context.Context, applicationID string) (string, error)
	SigningKeys(ctx context.Context) ([]store.SigningKey, error)
	AddSigningKey(ctx context.Context, kid string, der []byte, actor inventory.Actor) error
	RemoveSigningKey(ctx context.Context, kid string, actor inventory.Actor) error
	KeyRotation(ctx context.Context) (time.Duration, error)
	SetKeyRotation(ctx context.Context, every time.Duration, actor inventory.Actor) error
	CRLs(ctx context.Context) ([]inventory.CRL, error)
	CRLData(ctx context.Context, itemID string) ([]byte, error)
	NoteCRLRefresh(ctx context.Context, itemID string, r inventory.CRLRefresh) error
	SlackThread(ctx context.Context, channel, conversation, itemID string) (ts string, err error)
	BeginSlackThread(ctx context.Context, channel, conversation, itemID, ts string) error
	Purge(ctx context.Context, before time.Time) error
	Check(ctx context.Context) ([]string, error)
}

// Open returns an empty store that goes by the given clock and is closed with
// the test.
type Open func(t *testing.T, now func() time.Time) Storer

// Start is when the tests begin.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Run carries out the suite, each test on a store of its own, which must be
// sound at its end.
func Run(t *testing.T, open Open) {
	for _, group := range []map[string]func(*world){
		overTests, handlingTests, reportTests,
		bundleTests, itemTests, renewalTests, scanTests, claimTests, settleTests, recordTests, redeliveryTests, crlTests,
		trustTests, endingTests, changeTests, sightingTests, inUseTests, alertingTests, threadTests, accessTests, auditTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := &world{T: t, now: Start}
				w.Storer = open(t, func() time.Time { return w.now })
				test(w)
				problems, err := w.Check(t.Context())
				w.ok(err)
				if len(problems) > 0 {
					t.Errorf("the store is not sound: %s", strings.Join(problems, "; "))
				}
			})
		}
	}
}

// actor is who acts in the tests.
var actor = inventory.Actor{Kind: inventory.ActorLocal, ID: "alice", RequestID: "req-1"}

// A world is a store with a clock that stands still unless it is moved.
type world struct {
	*testing.T
	Storer
	now time.Time
}

func (w *world) ctx() context.Context { return w.Context() }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) fails(err error, kind fault.Kind, rule string) {
	w.Helper()
	if !fault.Is(err, kind) || rule != "" && fault.Rule(err) != rule {
		w.Fatalf("got the error %v (%s), want %s (%s)", err, fault.Rule(err), kind.Title(), rule)
	}
}

// ca makes a CA that is valid now and ends so many days from now.
func (w *world) ca(name string, days int, more ...certtest.Option) *certtest.Certificate {
	return certtest.NewCA(append([]certtest.Option{
		certtest.CommonName(name), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(time.Duration(days)*alert.Day)),
	}, more...)...)
}

// renewed makes the CA's successor, valid from the given time for 400 days.
func (w *world) renewed(ca *certtest.Certificate, from time.Time) *certtest.Certificate {
	return ca.Renew(certtest.Validity(from, from.Add(400*alert.Day)))
}

func upload(reference string) alert.Source {
	return alert.Source{Kind: alert.SourceUpload, Reference: reference}
}

func newBundle(name string, hostnames []string, certs ...*certtest.Certificate) inventory.NewBundle {
	b := inventory.NewBundle{Name: name, Hostnames: hostnames, Source: upload(name + ".pem"), Actor: actor}
	for _, c := range certs {
		role := inventory.RoleIntermediate
		if c.Issuer == nil {
			role = inventory.RoleAnchor
		}
		b.Certificates, b.Roles = append(b.Certificates, c.Certificate), append(b.Roles, role)
	}
	return b
}

// addBundle adds a bundle that must be new.
func (w *world) addBundle(name string, hostnames []string, certs ...*certtest.Certificate) inventory.Bundle {
	w.Helper()
	b, created, err := w.AddBundle(w.ctx(), newBundle(name, hostnames, certs...))
	w.ok(err)
	if !created {
		w.Fatalf("the bundle %s is not new", name)
	}
	return b
}

func newItem(c *certtest.Certificate) inventory.NewItem {
	return inventory.NewItem{Kind: alert.KindClient, Certificate: c.Certificate, Source: upload("client.pem"), Actor: actor}
}

// addClient adds a client certificate that ends so many days from now.
func (w *world) addClient(name string, days int) alert.Item {
	w.Helper()
	c := certtest.SelfSigned(certtest.CommonName(name), certtest.Validity(w.now.Add(-alert.Day), w.now.Add(time.Duration(days)*alert.Day)))
	item, _, err := w.AddItem(w.ctx(), newItem(c))
	w.ok(err)
	return item
}

func (w *world) item(ref string) alert.Item {
	w.Helper()
	item, err := w.Item(w.ctx(), ref)
	w.ok(err)
	return item
}

func (w *world) generation() int64 {
	w.Helper()
	generation, err := w.Generation(w.ctx())
	w.ok(err)
	return generation
}

// bumps checks whether an act raises the trust generation.
func (w *world) bumps(want bool, act func()) {
	w.Helper()
	before := w.generation()
	act()
	if got := w.generation() > before; got != want {
		w.Errorf("the trust generation was raised: %t, want %t", got, want)
	}
}

// actions returns what the audit trail tells, oldest first.
func (w *world) actions() []string {
	w.Helper()
	entries, err := w.Audit(w.ctx(), inventory.AuditFilter{})
	w.ok(err)
	actions := make([]string, len(entries))
	for i, e := range entries {
		actions[len(entries)-1-i] = e.Action
	}
	return actions
}

// tell is a decision that tells one channel's recipient of all it is given, in
// one digest, and is through with them.
func (w *world) tell(channel string) func([]alert.Candidate) alert.Plan {
	return func(candidates []alert.Candidate) alert.Plan {
		plan := alert.Plan{Next: map[string]time.Time{}}
		var ids []string
		for _, c := range candidates {
			a := expiring(c.Item, w.now)
			ids = append(ids, a.ID)
			plan.Alerts = append(plan.Alerts, a)
			plan.Told = append(plan.Told, alert.ToldMark{
				ItemID: c.Item.ID, Epoch: c.Item.Epoch, Channel: channel, Recipient: channel, Threshold: a.Threshold,
			})
			plan.Next[c.Item.ID] = time.Time{}
		}
		plan.Deliveries = []alert.Delivery{alert.NewDelivery(channel, channel, "default", ids, w.now)}
		return plan
	}
}

func expiring(item alert.Item, now time.Time) alert.Alert {
	const threshold = 30 * alert.Day
	return alert.Alert{
		ID:      alert.ID(item.ID, item.Epoch, "default", threshold, alert.EventExpiring),
		Subject: item.ID, ItemID: item.ID, Epoch: item.Epoch, Rule: "default", Threshold: threshold,
		Event: alert.EventExpiring, CreatedAt: now,
	}
}

// scan scans now, and returns what was due.
func (w *world) scan(decide func([]alert.Candidate) alert.Plan) []alert.Candidate {
	w.Helper()
	var seen []alert.Candidate
	w.ok(w.Scan(w.ctx(), w.now, func(candidates []alert.Candidate) alert.Plan {
		seen = candidates
		return decide(candidates)
	}))
	return seen
}

// queue makes n deliveries of a channel, each about a client of its own, one
// second apart.
func (w *world) queue(channel string, n int) []alert.Item {
	w.Helper()
	var items []alert.Item
	for range n {
		items = append(items, w.addClient("client", 20))
		w.scan(w.tell(channel))
		w.now = w.now.Add(time.Second)
	}
	return items
}

func (w *world) claim(owner, channel string, n int) []alert.Job {
	w.Helper()
	jobs, err := w.Claim(w.ctx(), owner, channel, w.now, w.now.Add(time.Minute), n)
	w.ok(err)
	return jobs
}

// one claims the one delivery that there must be.
func (w *world) one(owner, channel string) alert.Job {
	w.Helper()
	jobs := w.claim(owner, channel, 1)
	if len(jobs) != 1 {
		w.Fatalf("%d deliveries were leased, want 1", len(jobs))
	}
	return jobs[0]
}

func (w *world) settle(owner, id string, out alert.Outcome) {
	w.Helper()
	out.At = w.now
	w.ok(w.Settle(w.ctx(), owner, id, out))
}

func (w *world) delivery(id string) alert.Delivery {
	w.Helper()
	d, _, err := w.Delivery(w.ctx(), id)
	w.ok(err)
	return d
}

func (w *world) deliveries() []alert.Delivery {
	w.Helper()
	list, err := w.Deliveries(w.ctx(), store.DeliveryFilter{})
	w.ok(err)
	return list
}
