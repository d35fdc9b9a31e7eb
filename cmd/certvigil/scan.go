package main

import (
	"cmp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
)

// A scanRequest holds the flags of `scan`.
type scanRequest struct {
	dryRun, acceptClock bool
	at                  string
}

func newScan(e *env) *cobra.Command {
	var r scanRequest
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Look through the inventory now, or see what a scan would send",
		Long: `Look through the inventory now. Whatever is due is handed to the outbox, which a
running daemon sends within a second; without a daemon it waits for one.

With --dry-run nothing is written: it prints what would be sent where, now or at
another time.`,
		Example: `  certvigil scan
  certvigil scan --dry-run --at 2027-01-31T00:00:00Z
  certvigil scan --accept-clock   # the clock is right, although it jumped`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := r.instant(e.now())
			if err != nil {
				return err
			}
			return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error { return e.scan(cmd, cfg, s, r, at) })
		},
	}
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "print what would be sent, and write nothing")
	cmd.Flags().StringVar(&r.at, "at", "", "with --dry-run: as if it were this `TIME` (RFC 3339)")
	cmd.Flags().BoolVar(&r.acceptClock, "accept-clock", false, "confirm that the clock is right, after it jumped")
	return e.withJSON(cmd)
}

func (r scanRequest) instant(now time.Time) (time.Time, error) {
	switch {
	case r.at == "":
		return now, nil
	case !r.dryRun:
		return now, fault.New(fault.Usage, "at", "--at is for --dry-run only").WithHint("add --dry-run")
	}
	at, err := time.Parse(time.RFC3339, r.at)
	if err != nil {
		return now, fault.New(fault.Usage, "at", "--at %q is no RFC 3339 time", r.at).WithHint("write e.g. 2027-01-31T00:00:00Z")
	}
	return at.UTC(), nil
}

func (e *env) scan(cmd *cobra.Command, cfg *config.Config, s *store.Store, r scanRequest, at time.Time) error {
	if r.acceptClock {
		if err := s.AcceptClock(cmd.Context(), e.now(), actor()); err != nil {
			return err
		}
	}
	if r.dryRun {
		tellings, err := app.Preview(cmd.Context(), cfg, s, at)
		if err != nil {
			return err
		}
		return e.print(tellings, func() { e.tellingTable(tellings, at) })
	}
	done, err := app.Scan(cmd.Context(), cfg, s, e.now)
	if err != nil {
		return err
	}
	return e.print(done, func() {
		e.printf("scanned: %d items due for a look, %d alerts recorded, %d messages handed to the outbox\n", done.Candidates, done.Alerts, done.Deliveries)
	})
}

func (e *env) tellingTable(tellings []app.Telling, at time.Time) {
	var rows [][]string
	for _, t := range tellings {
		rows = append(rows, []string{alert.FormatLeft(t.NotAfter, at), string(t.Kind), t.Subject, t.Rule, cmp.Or(t.Threshold, string(t.Event)), t.Channel, t.Recipient})
	}
	e.table("nothing would be sent at "+stamp(at), []string{"ENDS", "KIND", "SUBJECT", "RULE", "AT", "CHANNEL", "RECIPIENT"}, rows)
}

func count(n int) string { return strconv.Itoa(n) }
