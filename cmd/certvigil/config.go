package main

import (
	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
)

func newConfig(e *env) *cobra.Command {
	return group("config", "Check the configuration", newConfigCheck(e))
}

func newConfigCheck(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and every file it names, and change nothing",
		Long: `Check the configuration and every file it names. Every problem is told with its
line, key and remedy; warnings do not fail the check. Where the store is there to
read, it is warned about policies that take any of several CAs' word for a name, and
about what the API made beside which the daemon will not load the file.`,
		Example: `  certvigil config check -c /etc/certvigil/config.toml`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.loadConfig()
			if err != nil {
				return err
			}
			if err := app.CheckConfig(cfg); err != nil {
				return err
			}
			e.warn(cfg.Warnings)
			e.warn(app.StoredWarnings(cmd.Context(), cfg))
			e.printf("%s is in order (applications: %d, channels: %d, alert rules: %d)\n", cfg.File, len(cfg.Applications), len(cfg.Channels), len(cfg.Alerts))
			return nil
		},
	}
}
