package notifier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/templates"
)

// A Config is one configured channel.
type Config struct {
	Name    string
	Channel Channel
	Hash    string // of the whole configuration, secrets too; must not disclose them
}

// A Route is a channel that a rule tells, with the recipients there.
type Route struct {
	Channel    string
	Recipients []string
}

// A Setup is the part of the options that a reload may change.
type Setup struct {
	Channels []Config
	Routes   map[string][]Route // by rule name; where its failures are announced
	Fallback []Route            // for failures that no other channel of the rule can tell
	RuleIDs  map[string]string  // by rule name; what formats call its id
	AdminURL string             // [admin] public_url, no trailing slash
}

// Metrics is told what happens. Each function may be nil, is called
// concurrently, and must not block.
type Metrics struct {
	// Attempt counts a settled attempt with its outcome and how long Send took.
	Attempt func(channel string, outcome alert.DeliveryState, took time.Duration)
	// Sent observes the time from a delivery's creation to its acceptance.
	Sent func(channel string, delay time.Duration)
	// Failing says whether the channel as a whole fails.
	Failing func(channel string, failing bool)
}

// Options configure a Notifier. Only Outbox is required.
type Options struct {
	Setup
	Outbox  Outbox
	Owner   string // names the leases of this process; default random
	Now     func() time.Time
	Rand    func() float64 // jitter in [0, 1)
	Logger  *slog.Logger
	Metrics Metrics
	// Held says whether the clock cannot be believed, so that nothing is sent
	// by it: a message would tell wrong times. Nil = never. Kick when it ends.
	Held func() bool
	// Links returns what a person without a token can do about an item, at
	// addresses below the admin URL, the most important first. Nil = nothing.
	Links func(adminURL string, item alert.Item) []templates.Link
	// Facts returns what is known of an item beyond itself, for the items that
	// a message spells out. Nil = nothing.
	Facts func(ctx context.Context, item alert.Item, now time.Time) (alert.Facts, error)

	SendTimeout time.Duration // of one Send; default 60 s
	Lease       time.Duration // of a claimed delivery; default 5 min
	Grace       time.Duration // for a Send in flight when stopping; default 8 s
	Poll        time.Duration // longest sleep of an idle worker; default 30 s
	Batch       int           // deliveries claimed at once; default 10
}

// How long the outbox may take, and how long when stopping.
const (
	outboxTimeout = 10 * time.Second
	outboxGrace   = 1500 * time.Millisecond
)

// A Notifier sends what the outbox holds. Its methods may be called
// concurrently.
type Notifier struct {
	opts Options

	failures sync.Mutex // held while a failure is concluded and settled

	mu      sync.Mutex
	setup   Setup
	workers map[string]*worker
	ctx     context.Context // of Run; nil before it and after it
	wg      sync.WaitGroup
}

// New returns a Notifier that does nothing until Run. It refuses options that
// contradict each other.
func New(o Options) (*Notifier, error) {
	if o.Outbox == nil {
		return nil, errors.New("notifier: no outbox given")
	}
	defaults(&o)
	if o.Lease <= o.SendTimeout+outboxTimeout {
		return nil, fmt.Errorf("notifier: the lease (%s) must outlive the send timeout (%s) and the time to settle (%s): else a message is sent twice",
			o.Lease, o.SendTimeout, outboxTimeout)
	}
	if err := o.Setup.validate(); err != nil {
		return nil, err
	}
	return &Notifier{opts: o, setup: o.Setup, workers: map[string]*worker{}}, nil
}

func defaults(o *Options) {
	if o.Owner == "" {
		o.Owner = rand.Text()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Held == nil {
		o.Held = func() bool { return false }
	}
	if o.Links == nil {
		o.Links = func(string, alert.Item) []templates.Link { return nil }
	}
	if o.Facts == nil {
		o.Facts = func(context.Context, alert.Item, time.Time) (alert.Facts, error) { return alert.Facts{}, nil }
	}
	if o.Rand == nil {
		o.Rand = mathrand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&o.SendTimeout, 60 * time.Second},
		{&o.Lease, 5 * time.Minute},
		{&o.Grace, 8 * time.Second},
		{&o.Poll, 30 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if o.Batch <= 0 {
		o.Batch = 10
	}
}

func (s Setup) validate() error {
	seen := map[string]bool{}
	for _, c := range s.Channels {
		switch {
		case c.Name == "" || c.Channel == nil:
			return fmt.Errorf("notifier: channel %q has no name or no implementation", c.Name)
		case seen[c.Name]:
			return fmt.Errorf("notifier: two channels are named %q", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// Run sends until ctx is done, and once only. Then nothing more is claimed; a
// Send in flight may finish within the grace time and is settled; what was
// claimed and not begun is given back.
func (n *Notifier) Run(ctx context.Context) error {
	n.mu.Lock()
	n.ctx = ctx
	n.apply()
	n.mu.Unlock()
	<-ctx.Done()
	n.mu.Lock()
	n.ctx = nil
	n.mu.Unlock()
	n.wg.Wait()
	return nil
}

// Kick wakes every worker: something new may be due.
func (n *Notifier) Kick() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		w.kick()
	}
}

// Reconfigure takes over another set-up while running. Channels whose hash is
// the same keep their worker; deliveries that wait for a changed one are tried
// at once. A Send in flight on a channel that changed or is gone may finish
// within the grace time. An error leaves everything as it was.
func (n *Notifier) Reconfigure(s Setup) error {
	if err := s.validate(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setup = s
	n.apply()
	return nil
}

// apply makes the workers match the set-up. The caller holds mu.
func (n *Notifier) apply() {
	if n.ctx == nil {
		return
	}
	wanted := map[string]Config{}
	for _, c := range n.setup.Channels {
		wanted[c.Name] = c
	}
	for name, w := range n.workers {
		if c, ok := wanted[name]; !ok || c.Hash != w.config.Hash {
			w.stop()
			delete(n.workers, name)
		}
	}
	for name, c := range wanted {
		if n.workers[name] == nil {
			n.workers[name] = n.start(c)
		}
	}
}

// start starts a worker. The caller holds mu and has seen that Run runs.
func (n *Notifier) start(c Config) *worker {
	ctx, stop := context.WithCancel(n.ctx)
	w := &worker{n: n, config: c, stop: stop, wake: make(chan struct{}, 1), log: n.opts.Logger.With("channel", c.Name)}
	n.wg.Go(func() {
		defer stop()
		w.run(ctx)
	})
	return w
}

// Drained kicks every worker and waits until each has nothing left that is
// due, or ctx is done. It returns nil when nothing is waiting on any channel,
// and else an error that names one which has deliveries waiting for a retry
// or to be mended.
func (n *Notifier) Drained(ctx context.Context) error {
	n.mu.Lock()
	idle := map[string]<-chan struct{}{}
	for name, w := range n.workers {
		idle[name] = w.idle()
		w.kick()
	}
	n.mu.Unlock()
	for name, done := range idle {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for channel %q: %w", name, ctx.Err())
		}
	}
	for name := range idle {
		next, err := n.opts.Outbox.NextAttempt(ctx, name)
		if err != nil {
			return fmt.Errorf("asking for the next attempt of channel %q: %w", name, err)
		}
		if !next.IsZero() {
			return fmt.Errorf("channel %q has deliveries waiting until %s", name, next.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func (n *Notifier) current() Setup {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.setup
}

// outlive returns a context that lasts for limit, but no longer than grace
// once parent is done: what has begun may end, and stopping is bounded.
func outlive(parent context.Context, limit, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), limit)
	stop := context.AfterFunc(parent, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}
