package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

func newAlert(e *env) *cobra.Command {
	return group("alert", "See what is told, and say that it is taken care of", newAlertList(e), newAlertExplain(e), newAlertAck(e), newAlertSnooze(e))
}

// A shownAlert is an alert as programs read it.
type shownAlert struct {
	alert.Alert
	Threshold string `json:"threshold"`
}

func newAlertList(e *env) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the alerts, newest first", Args: usage(cobra.NoArgs),
		Long: `List the alerts, newest first. A covered alert was not sent: a tighter threshold
was told in its place, or everybody had been told already.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				alerts, err := s.Alerts(cmd.Context(), limit)
				if err != nil {
					return err
				}
				shown := make([]shownAlert, len(alerts))
				var rows [][]string
				for i, a := range alerts {
					shown[i] = shownAlert{a, alert.FormatThreshold(a.Threshold)}
					rows = append(rows, []string{short(a.ID), stamp(a.CreatedAt), string(a.Event), a.Rule, shown[i].Threshold, covered(a), about(cmd.Context(), s, a)})
				}
				return e.print(shown, func() {
					e.table("there was nothing to tell yet", []string{"ALERT", "WHEN", "EVENT", "RULE", "AT", "SENT", "SUBJECT"}, rows)
				})
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most `N` alerts")
	return e.withJSON(cmd)
}

// about names what an alert is about, as people know it.
func about(ctx context.Context, s *store.Store, a alert.Alert) string {
	if item, err := s.Item(ctx, a.ItemID); err == nil {
		return item.Subject
	}
	return a.Subject
}

func covered(a alert.Alert) string {
	if a.Covered {
		return "covered"
	}
	return "yes"
}
