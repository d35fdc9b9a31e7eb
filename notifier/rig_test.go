package notifier_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

// A sender is a channel made of a function; it keeps what it was given.
type sender struct {
	send func(ctx context.Context, m notifier.Message) error
	mu   sync.Mutex
	got  []notifier.Message
}

func (s *sender) Send(ctx context.Context, m notifier.Message) error {
	s.mu.Lock()
	s.got = append(s.got, m)
	s.mu.Unlock()
	if s.send == nil {
		return nil
	}
	return s.send(ctx, m)
}

func (s *sender) messages() []notifier.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]notifier.Message(nil), s.got...)
}

func always(err error) *sender {
	return &sender{send: func(context.Context, notifier.Message) error { return err }}
}

// hang never answers until it is cut off.
func hang() *sender {
	return &sender{send: func(ctx context.Context, _ notifier.Message) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

type rig struct {
	t      *testing.T
	outbox *memoryOutbox
	n      *notifier.Notifier
	stop   func() // ends Run and waits for it
}

func config(name string, s notifier.Channel) notifier.Config {
	return notifier.Config{Name: name, Channel: s, Hash: name + "-1"}
}

// start runs a notifier in a synctest bubble.
func start(t *testing.T, o notifier.Options) *rig {
	t.Helper()
	outbox := &memoryOutbox{}
	if o.Outbox == nil {
		o.Outbox = outbox
	}
	o.AdminURL = "https://certvigil.example.com"
	o.Rand = func() float64 { return 0.5 }
	n, err := notifier.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &rig{t: t, outbox: outbox, n: n, stop: stop}
}

// add enqueues a delivery that is due now.
func (r *rig) add(id, channel string) {
	r.outbox.Add(alert.Delivery{
		ID: id, Channel: channel, Recipient: channel, Rule: "default", State: alert.StatePending,
		NextAttemptAt: time.Now(), CreatedAt: time.Now(),
	})
}

// pass lets time pass in the bubble.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) kick() {
	r.n.Kick()
	synctest.Wait()
}

func (r *rig) wantState(id string, want alert.DeliveryState) {
	r.t.Helper()
	if got := r.outbox.Delivery(id).State; got != want {
		r.t.Fatalf("delivery %s is %s, want %s (%s)", id, got, want, r.outbox.Delivery(id).LastError)
	}
}
