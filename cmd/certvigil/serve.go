package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

func newServe(e *env) *cobra.Command {
	var logFormat, logLevel string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: guard, scan, alert, take renewals",
		Long: `Run the daemon. SIGHUP reads the configuration again, and applies it whole or not
at all; SIGTERM ends it within 10 seconds without losing a delivery. Changes made
by other commands on the same store are noticed within a second.`,
		Example: `  certvigil serve -c /etc/certvigil/config.toml
  certvigil serve --log-format json --log-level debug`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(e, logFormat, logLevel)
			if err != nil {
				return err
			}
			path, err := config.Find(e.configFlag)
			if err != nil {
				return err
			}
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			return serve(cmd.Context(), app.Options{ConfigPath: path, Getenv: os.LookupEnv, Logger: logger, Now: e.now}, hangups)
		},
	}
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	cmd.Flags().StringVar(&logLevel, "log-level", "info", "`LEVEL` of the log: debug, info, warn or error")
	return cmd
}

// serve runs the daemon until ctx ends or a part of it fails.
func serve(ctx context.Context, o app.Options, hangups <-chan os.Signal) error {
	a, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	if err := a.Start(); err != nil {
		return err
	}
	for {
		select {
		case <-hangups:
			_ = a.Reload(ctx) // it logs what came of it and keeps the old configuration when it cannot
		case <-ctx.Done():
			return a.Stop()
		case err := <-a.Failed():
			_ = a.Stop()
			return err
		}
	}
}

func newLogger(e *env, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fault.New(fault.Usage, "log_level", "--log-level %q is not one of debug, info, warn, error", level).WithHint("e.g. --log-level debug")
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(e.stderr, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(e.stderr, options)), nil
	}
	return nil, fault.New(fault.Usage, "log_format", "--log-format %q is not one of text, json", format).WithHint("e.g. --log-format json")
}
