package notifier

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/templates"
)

// A conclusion is what an attempt leads to.
type conclusion struct {
	outcome alert.Outcome
	err     error // nil when sent
	hold    bool  // the rest of the batch waits until outcome.NextAttemptAt
	failing bool  // the channel fails
	mended  bool  // the channel did fail and works again
}

// decided reports whether the counterpart gave an answer that counts.
func (v verdict) decided() bool { return v.permanent || v.failing || v.limited }

// interrupted is the conclusion of an attempt that stopping cut off: whether
// the message arrived is unknown, so it goes again and is not counted.
func (w *worker) interrupted(v verdict) conclusion {
	now := w.n.opts.Now()
	return conclusion{
		outcome: alert.Outcome{State: alert.StatePending, At: now, NextAttemptAt: now, Error: "interrupted by stopping", Uncertain: v.uncertain},
		hold:    true,
	}
}

// conclude turns the result of an attempt into its outcome.
func (w *worker) conclude(ctx context.Context, job alert.Job, err error) conclusion {
	now := w.n.opts.Now()
	status, statusErr := w.n.opts.Outbox.Channel(ctx, w.config.Name)
	if statusErr != nil {
		// Without the old status an attempt is still settled; the channel's
		// own record then waits for the next one.
		w.log.Error("channel status not available", "error", statusErr)
	}
	v := verdictOf(err)
	c := conclusion{err: err, outcome: alert.Outcome{At: now, Uncertain: v.uncertain}}
	if err != nil {
		c.outcome.Error = words(err)
	}
	switch {
	case err == nil:
		c.outcome.State = alert.StateSent
	case v.failing, status.Failing && !v.permanent:
		w.wait(ctx, &c, job, status, v)
		return c
	case v.permanent:
		w.bury(ctx, &c, job)
	case v.limited:
		w.resume = now.Add(limitWait(v.after, w.n.opts.Rand()))
		c.outcome.State, c.outcome.NextAttemptAt, c.hold = alert.StatePending, w.resume, true
	default:
		w.retry(ctx, &c, job)
	}
	// An answer about the message means that the channel itself works.
	if status.Failing {
		c.mended = true
		c.outcome.Channel = &alert.ChannelStatus{}
	}
	return c
}

// wait lets the delivery and all others of the channel wait, uncounted, for
// the next probe, and announces the failure when it is new.
func (w *worker) wait(ctx context.Context, c *conclusion, job alert.Job, old alert.ChannelStatus, v verdict) {
	now := c.outcome.At
	status := old
	if !old.Failing {
		status = alert.ChannelStatus{Failing: true, Since: now}
		c.outcome.Notice = w.channelNotice(ctx, job, c.outcome.Error, now)
	}
	status.Reason = c.outcome.Error
	status.Probes++
	pause := ProbeBackoff(status.Probes, w.n.opts.Rand())
	if v.limited {
		pause = max(pause, limitWait(v.after, 0))
	}
	status.RetryAt = now.Add(pause)
	c.outcome.State, c.outcome.NextAttemptAt = alert.StatePending, now
	c.outcome.Channel = &status
	c.hold, c.failing = true, true
}

// retry schedules the next attempt, or buries the delivery after the last.
func (w *worker) retry(ctx context.Context, c *conclusion, job alert.Job) {
	pause, ok := Backoff(job.Delivery.Attempts+1, w.n.opts.Rand())
	if !ok {
		w.bury(ctx, c, job)
		return
	}
	c.outcome.State, c.outcome.NextAttemptAt = alert.StateRetrying, c.outcome.At.Add(pause)
}

func (w *worker) bury(ctx context.Context, c *conclusion, job alert.Job) {
	c.outcome.State = alert.StateDead
	c.outcome.Notice = w.deathNotice(ctx, job, c.outcome.Error, c.outcome.At)
}

// words is an error's text as it is stored and shown.
func words(err error) string { return templates.Cut(templates.OneLine(err.Error()), maxWords) }

// maxWords is how much of an error is kept.
const maxWords = 500

// report logs and counts an attempt once it is settled.
func (w *worker) report(job alert.Job, c conclusion, took time.Duration) {
	m, out := w.n.opts.Metrics, c.outcome
	log := w.log.With("delivery", job.Delivery.ID, "rule", job.Delivery.Rule, "attempt", job.Delivery.Attempts+1)
	if m.Attempt != nil {
		m.Attempt(w.config.Name, out.State, took)
	}
	if m.Failing != nil && (c.failing || c.mended) {
		m.Failing(w.config.Name, c.failing)
	}
	if c.mended {
		w.log.Info("channel works again")
	}
	switch {
	case out.State == alert.StateSent:
		if m.Sent != nil {
			m.Sent(w.config.Name, out.At.Sub(job.Delivery.CreatedAt))
		}
		log.Info("delivery sent", "alerts", len(job.Entries), "took", took)
	case out.State == alert.StateDead:
		log.Error("delivery dead", "error", out.Error)
	case c.failing:
		log.Error("channel failing", "error", out.Error, "retry_at", out.Channel.RetryAt, "since", out.Channel.Since)
	default:
		log.Warn("delivery postponed", "error", out.Error, "next_attempt_at", out.NextAttemptAt)
	}
}
