package notifier

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/templates"
)

// A worker sends the deliveries of one channel, one after the other.
type worker struct {
	n      *Notifier
	config Config
	stop   context.CancelFunc
	wake   chan struct{} // of capacity 1
	log    *slog.Logger

	// resume is until when a limit of the counterpart holds everything back.
	// Only run's goroutine uses it.
	resume time.Time

	mu      sync.Mutex
	waiters []chan struct{} // closed when a whole pass found nothing due
	ended   bool            // run has returned
}

func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// idle returns a channel that is closed after a pass, begun from now on, that
// found nothing due, or when the worker stops.
func (w *worker) idle() <-chan struct{} {
	done := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		close(done)
	} else {
		w.waiters = append(w.waiters, done)
	}
	return done
}

// release closes the waiters that were there when a pass began.
func (w *worker) release(count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, done := range w.waiters[:count] {
		close(done)
	}
	w.waiters = w.waiters[count:]
}

// end closes all waiters for good.
func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, done := range w.waiters {
		close(done)
	}
	w.waiters = nil
}

func (w *worker) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiters)
}

func (w *worker) run(ctx context.Context) {
	defer w.end()
	failures := 0
	configured := false
	for ctx.Err() == nil {
		waiting := w.waiting()
		more, err := false, error(nil)
		if !configured {
			err = w.configure(ctx)
			configured = err == nil
		}
		if err == nil {
			more, err = w.pass(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			failures++
			w.log.Error("outbox not available", "error", err, "failures", failures)
			w.sleep(ctx, min(time.Second<<min(failures-1, 5), w.n.opts.Poll), nil)
		case more:
			failures = 0
		default:
			failures = 0
			w.release(waiting)
			w.rest(ctx)
		}
	}
}

// configure tells the outbox the channel's configuration, so that what waits
// for a mended channel goes at once.
func (w *worker) configure(ctx context.Context) error {
	ctx, cancel := outlive(ctx, outboxTimeout, outboxGrace)
	defer cancel()
	if err := w.n.opts.Outbox.Configured(ctx, w.config.Name, w.config.Hash, w.n.opts.Now()); err != nil {
		return fmt.Errorf("recording the channel's configuration: %w", err)
	}
	return nil
}

// rest sleeps until there is something to do, or to look whether there is.
func (w *worker) rest(ctx context.Context) {
	now, wait := w.n.opts.Now(), w.n.opts.Poll
	if w.resume.After(now) {
		w.sleep(ctx, min(w.resume.Sub(now), wait), w.wake)
		return
	}
	next, err := w.n.opts.Outbox.NextAttempt(ctx, w.config.Name)
	switch {
	case err != nil && ctx.Err() == nil:
		w.log.Error("outbox not available", "error", err)
	case err == nil && !next.IsZero():
		// What is due and could not be claimed is leased elsewhere: no spinning.
		wait = min(max(next.Sub(now), time.Second), wait)
	}
	w.sleep(ctx, wait, w.wake)
}

// sleep waits for d, for wake or for ctx.
func (*worker) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// fresh is how long what was claimed is taken to hold: behind a slow message of
// the same batch it is claimed again, so that what was renewed meanwhile is not
// told any longer.
const fresh = 2 * time.Second

// pass claims a batch and sends it. It reports whether to look again at once.
func (w *worker) pass(ctx context.Context) (more bool, err error) {
	o := &w.n.opts
	now := o.Now()
	if w.resume.After(now) || o.Held() {
		return false, nil
	}
	until := now.Add(o.Lease)
	jobs, err := w.claim(ctx, now, until)
	if err != nil {
		return false, err
	}
	for i, job := range jobs {
		// What was claimed long ago may hold no longer, and the lease must last
		// as long as one more attempt may take.
		stale := i > 0 && o.Now().Sub(now) >= fresh
		expiring := o.Now().Add(o.SendTimeout + outboxTimeout).After(until)
		if ctx.Err() != nil || stale || expiring {
			w.giveBack(ctx, jobs[i:], o.Now())
			break
		}
		if hold, at := w.deliver(ctx, job); hold {
			w.giveBack(ctx, jobs[i+1:], at)
			break
		}
	}
	return len(jobs) > 0, nil
}

// claim is not cut off in the middle: a lease that was granted and not heard
// of would block its delivery until it ends.
func (w *worker) claim(ctx context.Context, now, until time.Time) ([]alert.Job, error) {
	ctx, cancel := outlive(ctx, outboxTimeout, outboxGrace)
	defer cancel()
	jobs, err := w.n.opts.Outbox.Claim(ctx, w.n.opts.Owner, w.config.Name, now, until, w.n.opts.Batch)
	if err != nil {
		return nil, fmt.Errorf("claiming deliveries: %w", err)
	}
	return jobs, nil
}

// deliver makes one attempt and settles it. It reports whether the rest of the
// batch has to wait, and until when.
func (w *worker) deliver(ctx context.Context, job alert.Job) (hold bool, until time.Time) {
	begun := w.n.opts.Now()
	sendCtx, cancel := outlive(ctx, w.n.opts.SendTimeout, w.n.opts.Grace)
	err := w.send(sendCtx, job, begun)
	cut := err != nil && ctx.Err() != nil && sendCtx.Err() != nil
	cancel()

	if err != nil {
		// Two channels that fail at once must not each be announced on the other.
		w.n.failures.Lock()
		defer w.n.failures.Unlock()
	}
	settleCtx, cancel := outlive(ctx, outboxTimeout, outboxGrace)
	defer cancel()
	var c conclusion
	if v := verdictOf(err); cut && !v.decided() {
		c = w.interrupted(v)
	} else {
		c = w.conclude(settleCtx, job, err)
	}
	w.settle(settleCtx, job, c.outcome)
	if c.outcome.Notice != nil {
		w.n.Kick() // an announcement goes at once
	}
	w.report(job, c, w.n.opts.Now().Sub(begun))
	return c.hold, c.outcome.NextAttemptAt
}

// send calls the channel; a panic there counts as a transient error.
func (w *worker) send(ctx context.Context, job alert.Job, now time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("channel panicked", "delivery", job.Delivery.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = MayHaveArrived(fmt.Errorf("panic in the channel: %v", p))
		}
	}()
	d, setup := job.Delivery, w.n.current()
	return w.config.Channel.Send(ctx, Message{
		ID: d.ID, Channel: d.Channel, Recipient: d.Recipient, Rule: d.Rule, RuleID: setup.RuleIDs[d.Rule], Entries: job.Entries,
		Attempt: d.Attempts + 1, CreatedAt: d.CreatedAt, Now: now, AdminURL: setup.AdminURL,
		Links: w.n.links(setup.AdminURL, job.Entries), Facts: w.facts(ctx, job.Entries, now),
	})
}

// facts are those of the entries that are spelled out. A message goes without
// what cannot be read.
func (w *worker) facts(ctx context.Context, entries []alert.Entry, now time.Time) map[string]alert.Facts {
	facts := map[string]alert.Facts{}
	for _, e := range entries[:min(len(entries), templates.Spelled)] {
		if e.Item == nil {
			continue
		}
		known, err := w.n.opts.Facts(ctx, *e.Item, now)
		if err != nil {
			w.log.Warn("reading what depends on an item; the message goes without", "item", e.Item.ID, "error", err)
			break
		}
		facts[e.Item.ID] = known
	}
	return facts
}

// links are those of the entries that are spelled out.
func (n *Notifier) links(adminURL string, entries []alert.Entry) map[string][]templates.Link {
	links := map[string][]templates.Link{}
	for _, e := range entries[:min(len(entries), templates.Spelled)] {
		if e.Item == nil {
			continue
		}
		if list := n.opts.Links(adminURL, *e.Item); len(list) > 0 {
			links[e.Item.ID] = list
		}
	}
	return links
}

// giveBack returns claimed deliveries that were not begun.
func (w *worker) giveBack(ctx context.Context, jobs []alert.Job, at time.Time) {
	ctx, cancel := outlive(ctx, outboxTimeout, outboxGrace)
	defer cancel()
	for _, job := range jobs {
		w.settle(ctx, job, alert.Outcome{State: alert.StatePending, At: w.n.opts.Now(), NextAttemptAt: at})
	}
}

// settle writes an outcome, again and again while the outbox is out of order
// and ctx lasts. An outcome that is lost means that the message goes twice.
func (w *worker) settle(ctx context.Context, job alert.Job, out alert.Outcome) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := w.n.opts.Outbox.Settle(ctx, w.n.opts.Owner, job.Delivery.ID, out)
		switch {
		case err == nil:
			return
		case fault.Is(err, fault.Conflict):
			w.log.Warn("lease lost before settling", "delivery", job.Delivery.ID, "state", out.State)
			return
		case ctx.Err() != nil:
			w.log.Error("delivery not settled", "delivery", job.Delivery.ID, "state", out.State, "error", err)
			return
		}
		w.sleep(ctx, wait, nil)
	}
}
