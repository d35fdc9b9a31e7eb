package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// drainTimeout is how long a heartbeat waits for a scan's deliveries.
const drainTimeout = 2 * time.Minute

// heartbeat pings the configured URL once the scan's deliveries are settled,
// or URL/fail when they or the scan are not: whoever listens is alarmed by
// silence too.
func (a *App) heartbeat(ctx context.Context, r scanner.Result) {
	a.mu.Lock()
	to := a.cfg.Scanner.HeartbeatURL.Reveal()
	a.mu.Unlock()
	if to == "" {
		return
	}
	a.wg.Go(func() {
		drain, cancel := context.WithTimeout(ctx, drainTimeout)
		err := r.Err
		if err == nil {
			err = a.notifier.Drained(drain)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.log.Warn("sending the heartbeat as failed", "error", err)
			to = failURL(to)
		}
		if err := ping(ctx, to); err != nil {
			a.log.Warn("sending the heartbeat", "error", err)
		}
	})
}

// failURL is where a failure is told: below the path, whatever follows it.
func failURL(heartbeat string) string {
	u, err := url.Parse(heartbeat)
	if err != nil {
		return "" // the configuration takes none such; ping says so
	}
	return u.JoinPath("fail").String()
}

var errHeartbeatURL = errors.New("scanner.heartbeat_url is no URL")

// A statusError is the status of an answer that is not a success.
type statusError int

// Error names the status.
func (e statusError) Error() string {
	return fmt.Sprintf("the answer was %d %s", int(e), http.StatusText(int(e)))
}

// heartbeatClient bounds what a ping may take.
var heartbeatClient = &http.Client{Timeout: 15 * time.Second}

// ping makes one GET. Its error does not bear the URL, which is a secret.
func ping(ctx context.Context, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return errHeartbeatURL
	}
	answer, err := heartbeatClient.Do(req)
	if err != nil {
		return notifier.TransportError(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 != 2 {
		return statusError(answer.StatusCode) // the reason beside it may echo the URL
	}
	return nil
}
