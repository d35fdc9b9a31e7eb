package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func newCA(e *env) *cobra.Command {
	return group("ca", "Manage the CAs that vouch for clients", newCAAdd(e), newCAList(e), newCAShow(e), newCAConfirm(e), newCADecline(e), newCARemove(e))
}

func newCAAdd(e *env) *cobra.Command {
	var u inventory.Upload
	var limits caLimits
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Store a CA and associate hostnames",
		Long: `Store a CA: a PEM file with one to six CA certificates, the intermediates first.
Clients with a certificate of this CA are known on the associated hostnames from
then on; a running daemon notices within a second. The same file again under the
same name adds hostnames, and changes the limits when any is given.

A CA may be trusted for less than all that it can sign. With --permit-san every
alternative name of a client must fit one of the patterns, and it needs one; with
--permit-cn its common name must. In a pattern, which is the whole name, "*" is
any run of characters: within one label of a DNS name (dns:, which may be left
out), one segment of a URI (uri:), one side of a mail address (email:), anything
in a common name. Addresses are written as ip:192.0.2.0/24. The limits that are
given take the place of all that are stored.`,
		Example: `  certvigil ca add --name "Access Testing CA" --hostname orders.example.com ca.pem
  certvigil ca add --name vendor --hostname orders.example.com --permit-san '*.vendor.example' \
    --permit-cn 'device-*' --max-leaf-lifetime 90d vendor.pem
  cat intermediate.pem root.pem | certvigil ca add --name partner --hostname '*.example.com' -`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if u.Data, err = e.readInput(args[0]); err != nil {
				return err
			}
			if u.Constraints, err = limits.constraints(); err != nil {
				return err
			}
			u.Reference, u.Actor = args[0], actor()
			return e.withService(cmd.Context(), func(s *inventory.Service, st *store.Store) error {
				b, created, warnings, err := s.AddCA(cmd.Context(), u)
				if err != nil {
					return fmt.Errorf("adding %s: %w", args[0], err)
				}
				ambiguous, err := e.ambiguousNames(cmd.Context(), st)
				if err != nil {
					return err
				}
				e.warn(warnings)
				e.warn(ambiguous)
				return e.print(b, func() { e.addedBundle(b, created) })
			})
		},
	}
	cmd.Flags().StringVar(&u.Name, "name", "", "`NAME` of the bundle (default: the certificate's common name)")
	cmd.Flags().StringArrayVar(&u.Hostnames, "hostname", nil, "`HOST` whose clients it vouches for, exact or *.example.com; repeatable")
	labelFlag(cmd, &u.Labels)
	limits.flags(cmd)
	return e.withJSON(cmd)
}

// labelFlag gives a command the flag --label.
func labelFlag(cmd *cobra.Command, labels *map[string]string) {
	cmd.Flags().StringToStringVar(labels, "label", nil, "`KEY=VALUE` that alert rules can match; repeatable")
	cmd.Flags().Lookup("label").DefValue = "" // none, which the library shows as []
}

func (e *env) addedBundle(b inventory.Bundle, created bool) {
	if created {
		e.printf("added %q (%s)\n", b.Name, b.ID)
	} else {
		e.printf("%q (%s) is stored already\n", b.Name, b.ID)
	}
	e.showBundle(b)
}

func (e *env) showBundle(b inventory.Bundle) {
	e.printf("hostnames    %s\n", orDash(strings.Join(b.Hostnames, ", ")))
	e.printf("expires      %s\n", e.ends(b.ExpiresOn()))
	if c := b.Constraints; !c.Empty() {
		e.printf("permits SAN  %s\npermits CN   %s\n", orAny(c.PermitSAN), orAny(c.PermitCN))
		if c.MaxLeafLifetime > 0 {
			e.printf("leaf life    at most %s\n", alert.FormatThreshold(c.MaxLeafLifetime))
		}
	}
	for _, m := range b.Members {
		e.printf("\n%-12s %s\n", m.Role, m.Item.Subject)
		e.itemLines(m.Item)
	}
}

func newCAList(e *env) *cobra.Command {
	var proposed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the CAs, or those that were proposed",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withService(cmd.Context(), func(service *inventory.Service, s *store.Store) error {
				if proposed {
					return e.listProposals(cmd, service)
				}
				bundles, err := s.Bundles(cmd.Context())
				if err != nil {
					return err
				}
				ambiguous, err := e.ambiguousNames(cmd.Context(), s)
				if err != nil {
					return err
				}
				e.warn(ambiguous)
				return e.print(orEmpty(bundles), func() { e.bundleTable(bundles) })
			})
		},
	}
	cmd.Flags().BoolVar(&proposed, "proposed", false, "list the renewals that wait to be confirmed")
	return e.withJSON(cmd)
}

func (e *env) bundleTable(bundles []inventory.Bundle) {
	var rows [][]string
	for _, b := range bundles {
		rows = append(rows, []string{short(b.ID), b.Name, orDash(strings.Join(b.Hostnames, ",")), e.ends(b.ExpiresOn()), short(b.Fingerprint())})
	}
	e.table("no CA is stored; add one by: certvigil ca add FILE", []string{"ID", "NAME", "HOSTNAMES", "EXPIRES", "FINGERPRINT"}, rows)
}

func (e *env) listProposals(cmd *cobra.Command, s *inventory.Service) error {
	proposals, err := s.Proposals(cmd.Context())
	if err != nil {
		return err
	}
	return e.print(orEmpty(proposals), func() {
		var rows [][]string
		for _, p := range proposals {
			rows = append(rows, []string{p.Fingerprint, p.Bundle, p.Subject, stamp(p.NotAfter), p.ProposedBy, stamp(p.ExpiresAt)})
		}
		e.table("no CA is proposed", []string{"FINGERPRINT", "BUNDLE", "SUBJECT", "ENDS", "PROPOSED BY", "WAITS UNTIL"}, rows)
	})
}

func newCAShow(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:     "show CA",
		Short:   "Show a CA, by name or id",
		Example: `  certvigil ca show "Access Testing CA" --json`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				b, err := s.Bundle(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return e.print(b, func() {
					e.printf("name         %s\nid           %s\n", b.Name, b.ID)
					e.showBundle(b)
				})
			})
		},
	})
}

func newCAConfirm(e *env) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Trust a CA that was proposed as a renewal",
		Long: `Trust a CA that was proposed as a renewal. Compare the fingerprint with what its
owner told you by another way before you confirm it: from then on, whoever holds
its key can issue clients that are admitted.`,
		Example: `  certvigil ca list --proposed
  certvigil ca confirm --fingerprint 3f1c…`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fingerprint == "" {
				return noFingerprint()
			}
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				done, err := s.Confirm(cmd.Context(), "", fingerprint, actor())
				if err != nil {
					return err
				}
				return e.print(done, func() { e.showRenewal(done) })
			})
		},
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "whole SHA-256 `FINGERPRINT` of the proposed CA")
	return e.withJSON(cmd)
}

func newCADecline(e *env) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "decline",
		Short: "Delete a CA that was proposed as a renewal",
		Long: `Delete a CA that was proposed as a renewal. It was trusted nowhere, and the alerts
of the CA that it was to replace go on. One that nobody confirms or declines goes
by itself after 30 days.`,
		Example: `  certvigil ca list --proposed
  certvigil ca decline --fingerprint 3f1c…`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fingerprint == "" {
				return noFingerprint()
			}
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				p, err := s.Decline(cmd.Context(), "", fingerprint, actor())
				if err != nil {
					return err
				}
				return e.print(p, func() { e.printf("declined %s, which was proposed for %s\n", p.Fingerprint, orDash(p.Bundle)) })
			})
		},
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "whole SHA-256 `FINGERPRINT` of the proposed CA")
	return e.withJSON(cmd)
}

func noFingerprint() error {
	return fault.New(fault.Usage, "fingerprint", "no fingerprint is given").WithHint("give --fingerprint, as `certvigil ca list --proposed` shows it")
}

func newCARemove(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:   "remove CA",
		Short: "Trust a CA no longer, by name or id",
		Long:  "Remove a CA. Its clients are refused within a second, on open connections too.",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				b, err := s.RemoveCA(cmd.Context(), args[0], actor())
				if err != nil {
					return err
				}
				return e.print(b, func() { e.printf("removed %q (%s)\n", b.Name, b.ID) })
			})
		},
	})
}

// showRenewal tells what a renewal did, and what is left to do.
func (e *env) showRenewal(r inventory.Renewal) {
	e.showOutcome(r)
	for _, d := range r.Difference {
		if d.Field == "validity" && !d.Loss {
			continue // what a renewal is for
		}
		e.printf("%-12s %s → %s\n", strings.ReplaceAll(d.Field, "_", " "), orDash(d.Before), orDash(d.After))
	}
	for _, d := range r.Difference {
		if d.Loss {
			e.warn([]string{d.Warning})
		}
	}
}

func (e *env) showOutcome(r inventory.Renewal) {
	switch r.Status {
	case inventory.StatusProposed:
		e.printf("proposed %s in place of %s; it is trusted nowhere yet\n", r.Proposal.Fingerprint, short(r.Replaces.Fingerprint))
		e.printf("compare the fingerprint with its owner, then: certvigil ca confirm --fingerprint %s\n", r.Proposal.Fingerprint)
		return
	case inventory.StatusPending:
		e.printf("stored %s; it takes the place of %s on %s\n", short(r.Item.Fingerprint), short(r.Replaces.Fingerprint), stamp(r.Item.NotBefore))
	default:
		e.printf("renewed %s by %s, which ends %s\n", short(r.Replaces.Fingerprint), short(r.Item.Fingerprint), e.ends(r.Item.NotAfter))
	}
	if r.Item.Kind == alert.KindCA {
		e.printf("the old CA stays trusted until it ends (%s) or its bundle is removed\n", stamp(r.Replaces.NotAfter))
	}
}

func orAny(patterns []string) string {
	if len(patterns) == 0 {
		return "any"
	}
	return strings.Join(patterns, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
