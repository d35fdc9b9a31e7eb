package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/store"
)

func newChannel(e *env) *cobra.Command {
	return group("channel", "See and test the channels", newChannelList(e), newChannelTest(e))
}

// A shownChannel is a channel as people and programs see it.
type shownChannel struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"`
	Failing bool      `json:"failing"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

func newChannelList(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: "list", Short: "List the channels and whether they work", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error {
				channels := make([]shownChannel, 0, len(cfg.Channels))
				var rows [][]string
				for _, c := range cfg.Channels {
					status, err := s.Channel(cmd.Context(), c.Name)
					if err != nil {
						return err
					}
					shown := shownChannel{c.Name, c.Type, status.Failing, status.Reason, status.Since}
					channels = append(channels, shown)
					rows = append(rows, []string{c.Name, c.Type, health(shown)})
				}
				return e.print(channels, func() { e.table("no channel is configured", []string{"NAME", "TYPE", "STATUS"}, rows) })
			})
		},
	})
}

func health(c shownChannel) string {
	if c.Failing {
		return fmt.Sprintf("failing since %s: %s", stamp(c.Since), c.Reason)
	}
	return "ok"
}

func newChannelTest(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Send a real example message through a channel",
		Long: `Send a real example message, marked as a test, to every recipient of a channel,
by the same path as alerts. It is not stored and not retried.`,
		Example: `  certvigil channel test oncall-mail`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := e.loadConfig()
			if err != nil {
				return err
			}
			return app.TestChannel(cmd.Context(), cfg, args[0], e.now, func(to string) { e.printf("sent to %s\n", to) })
		},
	}
}
