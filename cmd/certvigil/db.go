package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
)

func newDB(e *env) *cobra.Command {
	return group("db", "Look after the database", newDBMigrate(e), newDBBackup(e), newDBCheck(e))
}

func newDBMigrate(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the schema up to this version (serve does so too)", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error { // opening migrates
				version, err := s.SchemaVersion(cmd.Context())
				if err == nil {
					e.printf("the schema is at version %d\n", version)
				}
				return err
			})
		},
	}
}

func newDBBackup(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write a consistent copy of the database, also while the daemon runs", Args: usage(cobra.ExactArgs(1)),
		Long: `Write a consistent copy of the database to a new file, also while the daemon
runs. Keep the key file (storage.key_file) with it: without it the sealed keys
in the copy cannot be opened.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.Backup(cmd.Context(), args[0]); err != nil {
					return err
				}
				e.printf("wrote %s\n", args[0])
				return nil
			})
		},
	}
}

func newDBCheck(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the database for damage and broken rules", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				problems, err := s.Check(cmd.Context())
				if err != nil {
					return err
				}
				if len(problems) > 0 {
					return fault.New(fault.Internal, "damaged", "the database has %d problems:\n  %s", len(problems), strings.Join(problems, "\n  ")).
						WithHint("restore the last backup, or ask for help with this list")
				}
				if err := e.warnRestored(cmd.Context(), s); err != nil {
					return err
				}
				e.printf("the database is in order\n")
				return nil
			})
		},
	}
}

// warnRestored says what a store that was restored sends again.
func (e *env) warnRestored(ctx context.Context, s *store.Store) error {
	made, err := s.RestoredFrom(ctx)
	if err != nil || made.IsZero() {
		return err
	}
	waiting, err := s.Waiting(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, b := range waiting {
		n += b.Count
	}
	e.warn([]string{fmt.Sprintf("the store was restored from a backup of %s: what was sent since then may go again, under the ids that it had "+
		"(%d deliveries that waited then; what came due since: certvigil scan --dry-run)", stamp(made), n)})
	return nil
}
