package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

func newDelivery(e *env) *cobra.Command {
	return group("delivery", "See what was sent, and try again", newDeliveryList(e), newDeliveryShow(e), newDeliveryRetry(e), newDeliveryCancel(e))
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
		e.printf("attempt      %s %s\n", stamp(a.At), result(a))
	}
	if d.State == alert.StatePending || d.State == alert.StateRetrying {
		e.printf("next attempt %s\n", stamp(d.NextAttemptAt))
	}
}

// result is what came of an attempt, in words.
func result(a alert.Attempt) string {
	switch a.Outcome {
	case alert.StateSent:
		return "accepted"
	case alert.StatePending:
		return "not counted: " + a.Error
	case alert.StateRetrying:
		return "failed: " + a.Error
	}
	return string(a.Outcome) + ": " + a.Error
}

// An aim is what an act on deliveries is about: one by name, or many by flags.
type aim struct {
	channel string
	dead    bool
}

// check refuses an act on everything, and one that is aimed in two ways.
func (a aim) check(cmd *cobra.Command, args []string) error {
	switch many := a.channel != "" || a.dead; {
	case len(args) > 1 || len(args) == 1 && many:
		return wrongUse(cmd, errors.New("name one delivery, or choose by flags"))
	case len(args) == 0 && !many:
		return wrongUse(cmd, errors.New("no delivery is named"))
	}
	return nil
}

func (a aim) filter() store.DeliveryFilter {
	f := store.DeliveryFilter{Channel: a.channel}
	if a.dead {
		f.State = alert.StateDead
	}
	return f
}

func newDeliveryRetry(e *env) *cobra.Command {
	var a aim
	cmd := &cobra.Command{
		Use: "retry [DELIVERY]", Short: "Try dead or waiting deliveries again at once",
		Long: `Try a delivery that is dead or waits again at once, with the whole schedule of
retries before it; or all those of a channel, or all that are dead. What tells
only of items that were renewed meanwhile is cancelled instead.`,
		Example: `  certvigil delivery retry 0d33b2f1c9a4
  certvigil delivery retry --dead
  certvigil delivery retry --channel oncall-mail`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.check(cmd, args); err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				if len(args) == 0 {
					n, err := s.RetryDeliveries(cmd.Context(), a.filter(), e.now(), actor())
					return e.acted(n, "due now", err)
				}
				if err := s.RetryDelivery(cmd.Context(), args[0], e.now(), actor()); err != nil {
					return err
				}
				e.printf("%s is due now\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&a.channel, "channel", "", "all of this `CHANNEL`")
	cmd.Flags().BoolVar(&a.dead, "dead", false, "all that are dead")
	return cmd
}

func newDeliveryCancel(e *env) *cobra.Command {
	var a aim
	cmd := &cobra.Command{
		Use: "cancel [DELIVERY]", Short: "Give up deliveries that wait",
		Long: `Give up a delivery that waits, or all that wait for a channel: such as one that is
configured no longer. Their recipients are not told, and neither is anybody else
in their place.`,
		Example: `  certvigil delivery cancel 0d33b2f1c9a4
  certvigil delivery cancel --channel old-mail`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.check(cmd, args); err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				if len(args) == 0 {
					n, err := s.CancelDeliveries(cmd.Context(), a.filter(), actor())
					return e.acted(n, "cancelled", err)
				}
				if err := s.CancelDelivery(cmd.Context(), args[0], actor()); err != nil {
					return err
				}
				e.printf("%s is cancelled\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&a.channel, "channel", "", "all that wait for this `CHANNEL`")
	return cmd
}

// acted tells what became of many deliveries.
func (e *env) acted(n int64, state string, err error) error {
	if err != nil {
		return err
	}
	switch n {
	case 0:
		e.printf("there is no such delivery\n")
	case 1:
		e.printf("1 delivery is %s\n", state)
	default:
		e.printf("%d deliveries are %s\n", n, state)
	}
	return nil
}
