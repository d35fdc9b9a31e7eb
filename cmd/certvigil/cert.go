package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func newCert(e *env) *cobra.Command {
	remove := func(s *inventory.Service, cmd *cobra.Command, ref string) (alert.Item, error) {
		return s.SetTrust(cmd.Context(), ref, alert.Removed, actor())
	}
	return group("cert", "Manage the certificates that are watched", newCertAdd(e), newCertList(e), newCertShow(e), newCertRenew(e), newCertIgnore(e),
		newCertRevoke(e, "revoke ITEM", "Deny a certificate, without any revocation list", revokeHelp, true),
		newCertRevoke(e, "unrevoke ITEM", "Take a revocation back", unrevokeHelp, false),
		newCertAct(e, "remove ITEM", "Watch a client or server certificate no longer", remove))
}

const (
	itemHelp   = "ITEM is a UUID, a fingerprint or a unique prefix of it, a serial, or a PEM file."
	revokeHelp = `Deny a certificate, without any revocation list. It is refused within a second, on
open connections too, and no alert speaks of it any longer. With --key, every
certificate with the same key is denied, also one that is not known here: ITEM
may then be the PEM file of a certificate that nobody has stored.`
	unrevokeHelp = `Take a revocation back. With --key, that of a key and of the known certificates
that have it. What a CA's revocation list names stays denied.`
)

func newCertAdd(e *env) *cobra.Command {
	var u inventory.Upload
	var kind string
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Watch a client or server certificate",
		Example: `  certvigil cert add client.pem
  certvigil cert add --kind server --label team=payments shop.pem`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if u.Data, err = e.readInput(args[0]); err != nil {
				return err
			}
			u.Reference, u.Actor = args[0], actor()
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				item, created, err := s.AddCertificate(cmd.Context(), alert.Kind(kind), u)
				if err != nil {
					return fmt.Errorf("adding %s: %w", args[0], err)
				}
				e.warn(s.Remarks(alert.Kind(kind), u.Data))
				return e.print(item, func() {
					if created {
						e.printf("added\n")
					} else {
						e.printf("stored already\n")
					}
					e.showItem(item)
				})
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", string(alert.KindClient), "`KIND`: client or server")
	labelFlag(cmd, &u.Labels)
	return e.withJSON(cmd)
}

func newCertList(e *env) *cobra.Command {
	var filter inventory.ItemFilter
	var kind, watch, expiring string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List everything that is watched, the most urgent first",
		Long: `List everything that is watched, the most urgent first. With --expiring, what
was renewed, revoked or is ignored is left out, unless --watch asks for it.`,
		Example: `  certvigil cert list --expiring 90d --kind client --json
  certvigil cert list --expiring 30d --exit-code   # exits with 3 when there is any`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(oneOf("kind", kind, "ca", "client", "server", "crl"), oneOf("watch", watch, "active", "pending", "superseded", "ignored")); err != nil {
				return err
			}
			filter.Kind, filter.Watch = alert.Kind(kind), alert.Watch(watch)
			if expiring != "" {
				span, err := config.ParseDuration(expiring)
				if err != nil {
					return fault.New(fault.Usage, "expiring", "--expiring: %w", err).WithHint("write days or hours: 90d, 36h")
				}
				filter.ExpiringBefore = e.now().Add(span)
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error { return e.listItems(cmd, s, filter, exitCode) })
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "only of this `KIND`: ca, client, server or crl")
	cmd.Flags().StringVar(&watch, "watch", "", "only in this `STATE`: active, pending, superseded or ignored")
	cmd.Flags().StringVar(&expiring, "expiring", "", "only what ends within this `SPAN`, e.g. 90d")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when the list is not empty")
	return e.withJSON(cmd)
}

func (e *env) listItems(cmd *cobra.Command, s *store.Store, filter inventory.ItemFilter, exitCode bool) error {
	items, err := s.Items(cmd.Context(), filter)
	if err != nil {
		return err
	}
	items = slices.DeleteFunc(items, func(it alert.Item) bool { return !listed(it, filter) })
	if err := e.print(orEmpty(items), func() { e.itemTable(items) }); err != nil {
		return err
	}
	if exitCode && len(items) > 0 {
		return fault.New(fault.Expiring, "expiring", "%d are expiring", len(items))
	}
	return nil
}

// listed leaves out what was removed and, of what is expiring, what nobody has
// to mind any more: it was renewed, revoked, is ignored, or was only seen and is
// in use no longer.
func listed(it alert.Item, filter inventory.ItemFilter) bool {
	switch {
	case it.Trust == alert.Removed:
		return false
	case filter.ExpiringBefore.IsZero() || filter.Watch != "":
		return true
	}
	return it.Trust == alert.Trusted && (it.Watched() || it.Watch == alert.Pending) && !it.Outlived()
}

func (e *env) itemTable(items []alert.Item) {
	var rows [][]string
	for _, it := range items {
		state := string(it.Watch)
		if it.Trust != alert.Trusted {
			state += "," + string(it.Trust)
		}
		rows = append(rows, []string{short(it.Fingerprint), string(it.Kind), state, e.ends(it.NotAfter), orDash(strings.Join(it.Bundles, ",")), it.Subject})
	}
	e.table("nothing is listed", []string{"FINGERPRINT", "KIND", "STATE", "ENDS", "BUNDLES", "SUBJECT"}, rows)
}

func newCertShow(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:   "show ITEM",
		Short: "Show one item, by id, fingerprint, serial or PEM file",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := e.reference(args[0])
			if err != nil {
				return err
			}
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				item, err := s.Item(cmd.Context(), ref)
				if err != nil {
					return err
				}
				lists, err := inventory.New(s, nil).Listed(cmd.Context(), item, s)
				if err != nil {
					return err
				}
				return e.print(shownItem{item, lists}, func() {
					e.showItem(item)
					for _, l := range lists {
						e.printf("revoked by   the list of %s (from %s)\n", l.Item.Subject, stamp(l.ThisUpdate))
					}
				})
			})
		},
	})
}

// A shownItem is an item with the revocation lists that name it.
type shownItem struct {
	alert.Item

	RevokedBy []inventory.CRL `json:"revoked_by,omitempty"`
}

func (e *env) showItem(it alert.Item) {
	e.printf("subject      %s\n", it.Subject)
	e.itemLines(it)
	e.printf("bundles      %s\n", orDash(strings.Join(it.Bundles, ", ")))
	e.printf("hostnames    %s\n", orDash(strings.Join(it.Hostnames, ", ")))
	for _, src := range it.Sources {
		e.printf("source       %s %s (last seen %s, %s)\n", src.Kind, src.Reference, stamp(src.LastSeen), times(src.Count))
	}
	if it.Handling != nil {
		e.printf("handling     %s\n", it.Handling.Words())
	}
	if it.ReplacedBy != "" {
		e.printf("replaced by  %s\n", it.ReplacedBy)
	}
	if it.UsedAt != nil {
		e.printf("in use       all the same, seen last at %s\n", stamp(*it.UsedAt))
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (e *env) itemLines(it alert.Item) {
	e.printf("id           %s\nkind         %s\nissuer       %s\nserial       %s\nfingerprint  %s\n", it.ID, it.Kind, it.Issuer, it.Serial, it.Fingerprint)
	e.printf("valid from   %s\nends         %s\nstate        %s, %s\n", stamp(it.NotBefore), e.ends(it.NotAfter), it.Trust, it.Watch)
}

func newCertRenew(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:   "renew ITEM FILE",
		Short: "Put a renewed certificate in the place of a CA or client certificate",
		Long: `Put a renewed certificate in the place of a CA or client certificate: same
subject and alternative names, later end. Alerts for the old one end, unless it
stays in use. A renewed CA is live at once beside the old one, which stays
trusted until it ends.`,
		Example: `  certvigil cert renew 3f1c9a ca-2027.pem
  certvigil cert renew partner ca-2027.pem   # the CA that was added as partner
  certvigil cert renew old-client.pem new-client.pem`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := e.reference(args[0])
			if err != nil {
				return err
			}
			data, err := e.readInput(args[1])
			if err != nil {
				return err
			}
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				done, err := s.Renew(cmd.Context(), inventory.RenewRequest{
					Data: data, ItemRef: ref, Authority: inventory.Authority{Write: true}, Reference: args[1], Actor: actor(),
				})
				if err != nil {
					return fmt.Errorf("renewing by %s: %w", args[1], err)
				}
				return e.print(done, func() { e.showRenewal(done) })
			})
		},
	})
}

func newCertIgnore(e *env) *cobra.Command {
	var undo bool
	cmd := newCertAct(e, "ignore ITEM", "Send no alerts for an item; its trust stays", func(s *inventory.Service, cmd *cobra.Command, ref string) (alert.Item, error) {
		return s.Ignore(cmd.Context(), ref, undo, actor())
	})
	cmd.Flags().BoolVar(&undo, "undo", false, "watch it again, from the first threshold on")
	return cmd
}

// newCertAct is a command that changes one item and shows it.
func newCertAct(e *env, use, shortHelp string, act func(*inventory.Service, *cobra.Command, string) (alert.Item, error)) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: use, Short: shortHelp, Args: usage(cobra.ExactArgs(1)),
		Long: shortHelp + ".\n" + itemHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := e.reference(args[0])
			if err != nil {
				return err
			}
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				item, err := act(s, cmd, ref)
				if err != nil {
					return err
				}
				return e.print(item, func() { e.showItem(item) })
			})
		},
	})
}
