package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func newAudit(e *env) *cobra.Command {
	return group("audit", "See who changed what", newAuditList(e))
}

func newAuditList(e *env) *cobra.Command {
	var f inventory.AuditFilter
	var since, until string
	cmd := &cobra.Command{
		Use: "list", Short: "List the changes, newest first", Args: usage(cobra.NoArgs),
		Long: `List the changes, newest first. With --json each has its state before and after, and
the id of the request that made it, as the log has it.

OBJECT is what the column of that name shows, an id or its first 6 digits or more, a
name, or a certificate's fingerprint or serial; what was removed is found too. WHO is
local, token, link, client or system, an id or its first digits, a user, or a token's
name. TIME is a date, an instant as in 2026-03-01T12:00:00Z, or a span before now.`,
		Example: `  certvigil audit list --json --limit 20
  certvigil audit list --object partner --since 30d
  certvigil audit list --actor pipeline --action item.renew`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.Since, err = e.instant("since", since); err != nil {
				return err
			}
			if f.Until, err = e.instant("until", until); err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error { return e.listAudit(cmd, s, f) })
		},
	}
	cmd.Flags().StringVar(&f.Object, "object", "", "only changes of this `OBJECT`")
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only changes by `WHO`")
	cmd.Flags().StringVar(&f.Action, "action", "", "only this `ACTION`, such as ca.add; ca is all that begin with \"ca.\"")
	cmd.Flags().StringVar(&since, "since", "", "only changes at this `TIME` or later, e.g. 7d")
	cmd.Flags().StringVar(&until, "until", "", "only changes before this `TIME`")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most `N` rows; 0 = all")
	return e.withJSON(cmd)
}

func (e *env) listAudit(cmd *cobra.Command, s *store.Store, f inventory.AuditFilter) error {
	entries, err := s.Audit(cmd.Context(), f)
	if err != nil {
		return err
	}
	none := "nothing was changed yet"
	if f != (inventory.AuditFilter{Limit: f.Limit}) {
		none = "there is no such change"
	}
	return e.print(orEmpty(entries), func() {
		var rows [][]string
		for _, a := range entries {
			rows = append(rows, []string{stamp(a.At), strings.Trim(a.ActorKind+":"+a.ActorID, ":"), a.Action, a.Object})
		}
		e.table(none, []string{"WHEN", "WHO", "WHAT", "OBJECT"}, rows)
	})
}

// instant reads a flag that names a time; zero when it is not given.
func (e *env) instant(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	span, err := config.ParseDuration(text)
	if err != nil {
		return time.Time{}, fault.New(fault.Usage, flag, "--%s %q is not a time", flag, text).
			WithHint("write a date (2026-03-01), an instant (2026-03-01T12:00:00Z), or a span before now (7d, 12h)")
	}
	return e.now().Add(-span).UTC(), nil
}
