package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func newAlertAck(e *env) *cobra.Command {
	var by string
	var undo bool
	cmd := &cobra.Command{
		Use: "ack ITEM", Short: "Say that somebody takes care of an item", Args: usage(cobra.ExactArgs(1)),
		Long: `Say that somebody takes care of an item. The reminders of the thresholds that it has
reached end, and nobody else is told of those. The next threshold is told all the
same, and says who acknowledged: an item that is forgotten must not expire in
silence. To silence an item for good: certvigil cert ignore ITEM.
` + itemHelp,
		Example: `  certvigil alert ack 0c0a81d5
  certvigil alert ack --by "Ana, platform team" client.pem
  certvigil alert ack --undo 0c0a81d5`,
		RunE: e.handling(func(cmd *cobra.Command, h app.Handler, ref string) (inventory.Handled, error) {
			if undo {
				return h.Resume(cmd.Context(), ref, actor())
			}
			return h.Acknowledge(cmd.Context(), ref, by, actor())
		}),
	}
	cmd.Flags().StringVar(&by, "by", "", "`NAME` to show in later messages; default the user of this machine")
	cmd.Flags().BoolVar(&undo, "undo", false, "take an acknowledgement or a snooze back")
	return e.withJSON(cmd)
}

func newAlertSnooze(e *env) *cobra.Command {
	var by, span string
	cmd := &cobra.Command{
		Use: "snooze ITEM", Short: "Be told of an item again later", Args: usage(cobra.ExactArgs(1)),
		Long: `Be told of an item again later. A snooze ends at the next threshold of any rule, or 48
hours before the item's end, whichever is first; after that it lasts 24 hours at
most. When it ends, whoever the last threshold tells is told again.
` + itemHelp,
		Example: `  certvigil alert snooze 0c0a81d5 --for 3d`,
		RunE: e.handling(func(cmd *cobra.Command, h app.Handler, ref string) (inventory.Handled, error) {
			length, err := config.ParseDuration(span)
			if err != nil {
				return inventory.Handled{}, fault.New(fault.Usage, "for", "--for: %w", err).WithHint("write days or hours: 3d, 12h")
			}
			return h.Snooze(cmd.Context(), ref, by, length, actor())
		}),
	}
	cmd.Flags().StringVar(&by, "by", "", "`NAME` to show in later messages; default the user of this machine")
	cmd.Flags().StringVar(&span, "for", "24h", "how long, at most: `SPAN`, e.g. 3d")
	return e.withJSON(cmd)
}

// handling runs what somebody says about an item, and shows what follows.
func (e *env) handling(say func(*cobra.Command, app.Handler, string) (inventory.Handled, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ref, err := e.reference(args[0])
		if err != nil {
			return err
		}
		return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error {
			h, err := app.NewHandler(cmd.Context(), cfg, s, e.now)
			if err != nil {
				return err
			}
			done, err := say(cmd, h, ref)
			if err != nil {
				return err
			}
			return e.print(done, func() { e.showHandled(done) })
		})
	}
}

func (e *env) showHandled(done inventory.Handled) {
	e.printf("%s\n", done.Item.Subject)
	if h := done.Item.Handling; h != nil {
		e.printf("%s\n", h.Words())
	} else {
		e.printf("neither acknowledged nor snoozed\n")
	}
	next := "nothing more is told of it before it is renewed"
	if done.Next != nil {
		next = "told of next at " + stamp(*done.Next)
	}
	e.printf("%s\n", next)
}

func newAlertExplain(e *env) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "explain ITEM", Short: "Say what is told of an item, where and when, and why not", Args: usage(cobra.ExactArgs(1)),
		Long: `Say what is told of an item, where and when, and why not: which rule is not about
it and for what reason, who was told already, what was acknowledged or snoozed, and
which channels fail.
` + itemHelp,
		Example: `  certvigil alert explain 0c0a81d5
  certvigil alert explain client.pem --at 2027-01-31T00:00:00Z`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := e.reference(args[0])
			if err != nil {
				return err
			}
			now, err := scanRequest{at: at, dryRun: true}.instant(e.now())
			if err != nil {
				return err
			}
			return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error {
				explained, err := app.ExplainAlerts(cmd.Context(), cfg, s, ref, now)
				if err != nil {
					return err
				}
				return e.print(explained, func() { e.showExplained(explained, now) })
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "as if it were this `TIME` (RFC 3339)")
	return e.withJSON(cmd)
}

func (e *env) showExplained(x app.Explained, now time.Time) {
	e.printf("%s, ends %s (%s)\n", x.Item.Subject, stamp(x.Item.NotAfter), alert.FormatLeft(x.Item.NotAfter, now))
	if x.Unwatched != "" {
		e.printf("nothing is told: %s\n", x.Unwatched)
		return
	}
	if x.Item.Handling != nil {
		e.printf("%s: later thresholds are told all the same\n", x.Item.Handling.Words())
	}
	for _, r := range x.Rules {
		if r.Mismatch != "" {
			e.printf("\nrule %q: not, %s\n", r.Rule, r.Mismatch)
			continue
		}
		e.printf("\nrule %q:\n", r.Rule)
		var rows [][]string
		for _, t := range r.Tellings {
			why := t.Why
			if reason, failing := x.Failing[t.Channel]; failing {
				why += fmt.Sprintf(" (the channel fails: %s)", reason)
			}
			rows = append(rows, []string{t.Before, stamp(t.At), t.Channel, t.Recipient, t.State, why})
		}
		e.table("nobody", []string{"AT", "WHEN", "CHANNEL", "RECIPIENT", "STATE", "WHY"}, rows)
		e.printf("reminders: %s%s\n", r.Reminds, nextReminder(r.Reminder))
	}
}

func nextReminder(at *time.Time) string {
	if at == nil {
		return ""
	}
	return "; the next at " + stamp(*at)
}
