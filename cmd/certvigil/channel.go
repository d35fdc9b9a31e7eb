package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/store"
)

func newChannel(e *env) *cobra.Command {
	return group("channel", "See and test the channels", newChannelList(e), newChannelTest(e))
}

// A shownChannel is a channel as people and programs see it.
type shownChannel struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Status   string    `json:"status"` // ok, failing, or unused: it never accepted a message
	Failing  bool      `json:"failing"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	LastSent time.Time `json:"last_sent,omitzero"`
	Waiting  int       `json:"waiting"`
}

func newChannelList(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: "list", Short: "List the channels and whether they work", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error {
				all, err := app.Channels(cmd.Context(), cfg, s)
				if err != nil {
					return err
				}
				statuses, err := s.ChannelStatuses(cmd.Context())
				if err != nil {
					return err
				}
				waiting, err := s.Waiting(cmd.Context())
				if err != nil {
					return err
				}
				channels := make([]shownChannel, 0, len(all))
				var rows [][]string
				for _, c := range all {
					shown := showChannel(c, statuses[c.Name], waiting[c.Name].Count)
					channels = append(channels, shown)
					rows = append(rows, []string{c.Name, c.Type, health(shown), stamp(shown.LastSent), count(shown.Waiting)})
				}
				return e.print(channels, func() {
					e.table("no channel is configured", []string{"NAME", "TYPE", "STATUS", "LAST SENT", "WAITING"}, rows)
				})
			})
		},
	})
}

func showChannel(c app.Channel, s alert.ChannelStatus, waiting int) shownChannel {
	status := "ok"
	switch {
	case s.Failing:
		status = "failing"
	case s.LastSent.IsZero():
		status = "unused"
	}
	return shownChannel{c.Name, c.Type, status, s.Failing, s.Reason, s.Since, s.LastSent, waiting}
}

func health(c shownChannel) string {
	switch c.Status {
	case "failing":
		return fmt.Sprintf("failing since %s: %s", stamp(c.Since), c.Reason)
	case "unused":
		return "never used"
	}
	return c.Status
}

func newChannelTest(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Send a real example message through a channel",
		Long: `Send a real example message, marked as a test, to every recipient of a channel,
by the same path as alerts, and print the conversation: "> " precedes what is said,
"< " what is answered, "* " what happens in between. Secrets are cut out. It is not
stored and not retried.`,
		Example: `  certvigil channel test oncall-mail`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := e.loadConfig()
			if err != nil {
				return err
			}
			ctx := app.Overhear(cmd.Context(), func(line string) { e.printf("%s\n", line) })
			open := func(fn func(*store.Store) error) error { return e.withStore(cmd.Context(), fn) }
			return app.TestChannel(ctx, cfg, open, args[0], e.now, func(to string) { e.printf("sent to %s\n", to) })
		},
	}
}
