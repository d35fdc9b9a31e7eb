package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// stopTimeout is how long requests in flight may take when stopping: it leaves
// time to close everything within 10 seconds.
const stopTimeout = 8 * time.Second

// Stop ends the daemon: no new work is begun, requests and deliveries in
// flight may finish, within 10 seconds. It is idempotent.
func (a *App) Stop() error {
	a.stopped.Do(func() {
		notifySystemd(daemon.SdNotifyStopping)
		a.log.Info("stopping")
		a.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		var listeners sync.WaitGroup
		listeners.Go(func() { a.drained("enforcer", a.enforcer.Shutdown(ctx)) })
		listeners.Go(func() { a.drained("admin", a.admin.shutdown(ctx)) })
		listeners.Wait()
		a.wg.Wait()
		a.stopErr = a.close()
		a.log.Info("stopped")
	})
	return a.stopErr
}

// drained logs that a listener's requests had to be cut off: clients that hold
// a connection for long are no failure of the daemon.
func (a *App) drained(listener string, err error) {
	if err != nil {
		a.log.Warn("cut off what was in flight", "listener", listener, "error", err)
	}
}

// close closes what was opened, last first.
func (a *App) close() error {
	a.cancel()
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i].close(); err != nil {
			errs = append(errs, fmt.Errorf("closing the %s: %w", a.closers[i].name, err))
		}
	}
	a.closers = nil
	return errors.Join(errs...)
}

// notifySystemd tells systemd, where it started us, how the daemon fares.
func notifySystemd(state string) {
	_, _ = daemon.SdNotify(false, state) // without systemd there is nobody to tell
}
