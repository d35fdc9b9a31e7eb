package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// An env is what a command works in.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	configFlag     string
	json           bool
	now            func() time.Time
}

// run carries out one command line and returns the exit code: 0 done, 1
// failed, 2 wrong use, 3 something is expiring.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	e.report(err)
	return fault.ExitCode(err)
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "certvigil",
		Short: "Guard applications with client certificates, and let none expire unnoticed",
		Long: `Certvigil guards HTTP applications with mutual TLS, and sees to it that no CA,
client certificate or server certificate it knows of expires unnoticed: alerts
30 and 14 days ahead by email, Slack or webhook, and renewals that are live at
once.`,
		Example: `  certvigil demo                                     # see all of it, without any set-up
  certvigil config check -c config.toml
  certvigil ca add --name partner --hostname orders.example.com ca.pem
  certvigil serve -c config.toml`,
		SilenceErrors: true, SilenceUsage: true,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVarP(&e.configFlag, "config", "c", "", "configuration `FILE` (default $CERTVIGIL_CONFIG, ./config.toml, /etc/certvigil/config.toml)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrongUse(cmd, err) })
	root.AddCommand(newServe(e), newDemo(e), newConfig(e), newCA(e), newCert(e), newCRL(e), newScan(e), newAlert(e), newDelivery(e),
		newChannel(e), newPolicy(e), newToken(e), newAudit(e), newDB(e), newVersion(e))
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = usage(cobra.NoArgs) // an unknown shell is wrong use, like any unknown command
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

// group is a command that only holds others; by itself it shows its help.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: usage(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(commands...)
	return g
}

// usage makes a wrong number of arguments a matter of wrong use (exit code 2).
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return wrongUse(cmd, err)
		}
		return nil
	}
}

// oneOf refuses a flag's value that is not one of its choices; "" is no choice
// made.
func oneOf(flag, value string, choices ...string) error {
	if value == "" || slices.Contains(choices, value) {
		return nil
	}
	return fault.New(fault.Usage, flag, "--%s %q is not one of %s", flag, value, strings.Join(choices, ", ")).
		WithHint("e.g. --%s %s", flag, choices[0])
}

func wrongUse(cmd *cobra.Command, err error) error {
	return fault.New(fault.Usage, "usage", "%w", err).WithHint("see: %s --help", cmd.CommandPath())
}

// report writes an error for the person at the terminal.
func (e *env) report(err error) {
	if err == nil || fault.Is(err, fault.Expiring) || fault.Is(err, fault.Denied) {
		return
	}
	_, _ = fmt.Fprintf(e.stderr, "error: %s\n", err)
	if hint := fault.Hint(err); hint != "" {
		_, _ = fmt.Fprintf(e.stderr, "hint: %s\n", hint)
	}
}

// withStore runs fn on the store that the configuration names, reading nothing
// of the configuration but [storage].
func (e *env) withStore(ctx context.Context, fn func(*store.Store) error) (err error) {
	path, err := config.Find(e.configFlag)
	if err != nil {
		return err
	}
	storage, err := config.LoadStorage(path)
	if err != nil {
		return err
	}
	s, err := app.OpenStore(ctx, storage, e.now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return fn(s)
}

// withService is withStore for the acts on what is stored.
func (e *env) withService(ctx context.Context, fn func(*inventory.Service, *store.Store) error) error {
	return e.withStore(ctx, func(s *store.Store) error { return fn(inventory.New(s, e.now), s) })
}

// withConfig is withStore for the commands that need the whole configuration.
func (e *env) withConfig(ctx context.Context, fn func(*config.Config, *store.Store) error) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	return e.withStore(ctx, func(s *store.Store) error { return fn(cfg, s) })
}

func (e *env) loadConfig() (*config.Config, error) {
	path, err := config.Find(e.configFlag)
	if err != nil {
		return nil, err
	}
	return config.Load(path, os.LookupEnv)
}

// outline is what the configuration says of applications and lists, as far as
// it can be read: a command on the store works without.
func (e *env) outline() config.Outline {
	path, err := config.Find(e.configFlag)
	if err != nil {
		return config.Outline{}
	}
	o, err := config.LoadOutline(path)
	if err != nil {
		return config.Outline{}
	}
	return o
}

// ambiguousNames warns of policies, of the configuration and of the API, that go
// by a name that several CAs may give.
func (e *env) ambiguousNames(ctx context.Context, s *store.Store) ([]string, error) {
	bundles, err := s.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := app.Guarded(ctx, e.outline().Applications, s)
	return app.AmbiguousNames(apps, bundles), err
}

// actor is who runs the command line, for the audit row.
func actor() inventory.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return inventory.Actor{Kind: inventory.ActorLocal, ID: name}
}
