package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/store"
)

func newAudit(e *env) *cobra.Command {
	return group("audit", "See who changed what", newAuditList(e))
}

func newAuditList(e *env) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the changes, newest first", Args: usage(cobra.NoArgs),
		Example: `  certvigil audit list --json --limit 20`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				entries, err := s.Audit(cmd.Context(), limit)
				if err != nil {
					return err
				}
				return e.print(orEmpty(entries), func() {
					var rows [][]string
					for _, a := range entries {
						rows = append(rows, []string{stamp(a.At), strings.Trim(a.ActorKind+":"+a.ActorID, ":"), a.Action, a.Object})
					}
					e.table("nothing was changed yet", []string{"WHEN", "WHO", "WHAT", "OBJECT"}, rows)
				})
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most `N` rows")
	return e.withJSON(cmd)
}
