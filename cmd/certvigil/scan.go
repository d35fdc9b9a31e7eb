package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/scanner"
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
		if err := s.AcceptClock(cmd.Context(), e.now()); err != nil {
			return err
		}
	}
	sc, err := app.NewScanner(cfg, s, e.now)
	if err != nil {
		return err
	}
	if r.dryRun {
		_, tellings, err := sc.Preview(cmd.Context(), at)
		if err != nil {
			return err
		}
		return e.showTellings(tellings, at)
	}
	done, err := sc.Scan(cmd.Context())
	if err != nil {
		return err
	}
	counts := map[string]int{"candidates": done.Candidates, "alerts": done.Alerts, "deliveries": done.Deliveries}
	return e.print(counts, func() {
		e.printf("scanned: %d items due for a look, %d alerts recorded, %d messages handed to the outbox\n", done.Candidates, done.Alerts, done.Deliveries)
	})
}

// A shownTelling is one line of a dry run.
type shownTelling struct {
	ItemID    string    `json:"item_id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject"`
	NotAfter  time.Time `json:"not_after"`
	Rule      string    `json:"rule"`
	Threshold string    `json:"threshold"`
	Channel   string    `json:"channel"`
	Recipient string    `json:"recipient"`
}

func (e *env) showTellings(tellings []scanner.Telling, at time.Time) error {
	shown := make([]shownTelling, 0, len(tellings))
	var rows [][]string
	for _, t := range tellings {
		s := shownTelling{
			t.Item.ID, string(t.Item.Kind), t.Item.Subject, t.Item.NotAfter,
			t.Alert.Rule, alert.FormatThreshold(t.Alert.Threshold), t.Channel, t.Recipient,
		}
		shown = append(shown, s)
		rows = append(rows, []string{alert.FormatLeft(s.NotAfter, at), s.Kind, s.Subject, s.Rule, s.Threshold, s.Channel, s.Recipient})
	}
	return e.print(shown, func() {
		e.table("nothing would be sent at "+stamp(at), []string{"ENDS", "KIND", "SUBJECT", "RULE", "AT", "CHANNEL", "RECIPIENT"}, rows)
	})
}

func count(n int) string { return strconv.Itoa(n) }
