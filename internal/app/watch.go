package app

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/scanner"
)

const (
	// watchInterval keeps what other processes commit from taking longer than
	// a second to count.
	watchInterval = 250 * time.Millisecond
	retainEvery   = 24 * time.Hour
)

// A watcher remembers what the daemon has taken in of the store.
type watcher struct {
	version    int64
	generation int64
	accepted   time.Time
	warned     bool
	ending     time.Time // when the next end of a watch is to be told; zero = none
}

// watch takes in what any process commits: trust at once, uploads by a scan,
// deliveries by a kick.
func (a *App) watch(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	w := watcher{generation: -1, accepted: a.accepted}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			notifyWatchdog()
			a.look(ctx, &w)
		}
	}
}

// look does nothing while nothing was committed. What it could not take in it
// tries again at the next tick; until then the last good state is in force.
func (a *App) look(ctx context.Context, w *watcher) {
	version, err := a.store.DataVersion(ctx)
	if err == nil && version == w.version && !a.owesTrust() && !w.endingDue(a.o.Now()) {
		return
	}
	if err == nil {
		err = a.takeIn(ctx, w)
	}
	if err == nil {
		w.version, w.warned = version, false
		return
	}
	if ctx.Err() == nil && !w.warned {
		w.warned = true
		a.log.Error("taking in a change of the store; the last good state stays in force", "error", err)
	}
}

func (a *App) takeIn(ctx context.Context, w *watcher) error {
	generation, err := a.store.Generation(ctx)
	if err != nil {
		return err
	}
	if generation != w.generation || a.owesTrust() {
		if err := a.applyAgain(ctx); err != nil {
			return err
		}
		w.generation = generation
		a.log.Info("applied what is trusted", "generation", generation)
	}
	accepted, err := a.store.AcceptedClock(ctx)
	if err != nil {
		return err
	}
	if w.ending, err = a.store.NextEnding(ctx); err != nil {
		return err
	}
	due, err := a.store.HasDue(ctx, a.o.Now())
	if err != nil {
		return err
	}
	if !accepted.Equal(w.accepted) { // an earlier one takes back the word given on a clock that ran ahead
		a.clock.reset(a.o.Now())
		w.accepted, due = accepted, true
	}
	if w.endingDue(a.o.Now()) {
		w.ending = time.Time{} // the scan, or what it waits for, commits: then it is looked up again
	}
	if due {
		a.scanner.Kick()
	}
	a.notifier.Kick()
	return a.rotateKeys(ctx)
}

// endingDue reports whether the end of a watch is to be told by now: it comes
// due without a commit.
func (w *watcher) endingDue(now time.Time) bool { return !w.ending.IsZero() && !now.Before(w.ending) }

// owesTrust reports whether a reload that was taken back left something to do.
func (a *App) owesTrust() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.overdue
}

func (a *App) applyAgain(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.applyTrust(ctx, a.cfg)
	a.overdue = a.overdue && err != nil
	return err
}

// scanned follows every scan that was carried out.
func (a *App) scanned(ctx context.Context, r scanner.Result) {
	if r.Err != nil {
		a.metrics.ScanFailed(r.Panicked)
	} else {
		a.clock.confirm(r.At)
		a.metrics.Scan(r.At, r.Took)
		a.report(ctx, r.At)
		a.notifier.Kick() // for what was found, and for what waited while the clock was not believed
		a.forgetRestore(ctx)
	}
	a.heartbeat(ctx, r)
}

// retain deletes what is older than the retention, and proposals that nobody
// confirmed, once a day.
func (a *App) retain(ctx context.Context) error {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		a.mu.Lock()
		retention := a.cfg.Storage.Retention.Duration
		a.mu.Unlock()
		if err := a.store.Purge(ctx, a.o.Now().Add(-retention)); err != nil && ctx.Err() == nil {
			a.log.Error("deleting what is older than the retention", "error", err)
		}
		if err := a.store.ExpireProposals(ctx, a.o.Now().Add(-inventory.ProposalLife)); err != nil && ctx.Err() == nil {
			a.log.Error("deleting proposals that nobody confirmed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// notifyWatchdog tells systemd that the daemon is alive, where it asks.
func notifyWatchdog() {
	if interval, err := daemon.SdWatchdogEnabled(false); err == nil && interval > 0 {
		notifySystemd(daemon.SdNotifyWatchdog)
	}
}
