package main

import (
	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

func newDelivery(e *env) *cobra.Command {
	return group("delivery", "See what was sent, and try again", newDeliveryList(e), newDeliveryShow(e), newDeliveryRetry(e))
}

func newDeliveryList(e *env) *cobra.Command {
	var state, channel string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the deliveries, newest first", Args: usage(cobra.NoArgs),
		Example: `  certvigil delivery list --state dead`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("state", state, "pending", "sending", "retrying", "sent", "dead", "cancelled"); err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				deliveries, err := s.Deliveries(cmd.Context(), store.DeliveryFilter{State: alert.DeliveryState(state), Channel: channel, Limit: limit})
				if err != nil {
					return err
				}
				return e.print(orEmpty(deliveries), func() {
					var rows [][]string
					for _, d := range deliveries {
						rows = append(rows, []string{short(d.ID), stamp(d.CreatedAt), d.Channel, d.Recipient, string(d.State), count(d.Attempts), count(len(d.AlertIDs)), orDash(d.LastError)})
					}
					e.table("there is no delivery", []string{"DELIVERY", "WHEN", "CHANNEL", "RECIPIENT", "STATE", "ATTEMPTS", "ALERTS", "LAST ERROR"}, rows)
				})
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: pending, sending, retrying, sent, dead or cancelled")
	cmd.Flags().StringVar(&channel, "channel", "", "only of this `CHANNEL`")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most `N` deliveries")
	return e.withJSON(cmd)
}

// A shownDelivery is a delivery with its attempts.
type shownDelivery struct {
	alert.Delivery
	History []alert.Attempt `json:"history"`
}

func newDeliveryShow(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: "show DELIVERY", Short: "Show a delivery with each of its attempts", Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				d, attempts, err := s.Delivery(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return e.print(shownDelivery{d, orEmpty(attempts)}, func() { e.showDelivery(d, attempts) })
			})
		},
	})
}

func (e *env) showDelivery(d alert.Delivery, attempts []alert.Attempt) {
	e.printf("id           %s\nchannel      %s\nrecipient    %s\nrule         %s\nstate        %s\ncreated      %s\n",
		d.ID, d.Channel, d.Recipient, d.Rule, d.State, stamp(d.CreatedAt))
	for _, id := range d.AlertIDs {
		e.printf("alert        %s\n", id)
	}
	for _, a := range attempts {
		e.printf("attempt      %s %s %s\n", stamp(a.At), a.Outcome, a.Error)
	}
	if d.State == alert.StatePending || d.State == alert.StateRetrying {
		e.printf("next attempt %s\n", stamp(d.NextAttemptAt))
	}
}

func newDeliveryRetry(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "retry DELIVERY", Short: "Try a dead or waiting delivery again at once", Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.RetryDelivery(cmd.Context(), args[0], e.now(), actor()); err != nil {
					return err
				}
				e.printf("%s is due now\n", args[0])
				return nil
			})
		},
	}
}
