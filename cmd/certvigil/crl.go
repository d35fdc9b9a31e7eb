package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/fetch"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func newCRL(e *env) *cobra.Command {
	return group("crl", "Manage the revocation lists of CAs", newCRLAdd(e), newCRLList(e), newCRLRemove(e))
}

func newCRLAdd(e *env) *cobra.Command {
	var u inventory.CRLUpload
	var watch bool
	cmd := &cobra.Command{
		Use:   "add FILE|URL",
		Short: "Put a CA's revocation list in force, and tell whom it revokes",
		Long: `Put a CA's revocation list in force, in the place of its last one, and tell which
known certificates it revokes. Serial numbers that no known certificate has are
warned about: they may be misspelt. The list is PEM, DER or base64 of DER, which
is what "cfssl gencrl" prints; its issuer is a CA that was added before.

A list from a URL is fetched now, and by the daemon again before its next update.
A file is read once, unless --watch has the daemon read it again. A list that is
older than the one in force is refused.`,
		Example: `  certvigil crl add root.crl
  certvigil crl add --watch /etc/pki/partner.crl
  certvigil crl add http://pki.example.com/root.crl --json
  cfssl gencrl serials.txt ca.pem ca-key.pem | certvigil crl add -   # serials in decimal`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			u.Actor = actor()
			if err := e.readCRL(cmd.Context(), args[0], watch, &u); err != nil {
				return err
			}
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				report, err := s.AddCRL(cmd.Context(), u)
				if err != nil {
					return fmt.Errorf("adding %s: %w", redacted(args[0]), err)
				}
				e.warn(report.Warnings)
				return e.print(report, func() { e.addedCRL(report) })
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "have the daemon read the file again when it changes")
	cmd.Flags().BoolVar(&u.AcceptRollback, "accept-rollback", false, "let it be older than the list in force")
	return e.withJSON(cmd)
}

// readCRL gets a list from where the command line says, and notes where the
// daemon is to look for the next one.
func (e *env) readCRL(ctx context.Context, arg string, watch bool, u *inventory.CRLUpload) (err error) {
	if isURL(arg) {
		got, err := fetch.New(fetch.Options{Now: e.now}).Get(ctx, fetch.Request{URL: arg})
		u.Data, u.Source, u.ETag, u.LastModified = got.Body, arg, got.ETag, got.LastModified
		return err
	}
	if watch {
		if arg == "-" {
			return fault.New(fault.Usage, "watch", "standard input cannot be read again").WithHint("name a file or a URL, or leave --watch out")
		}
		if u.Source, err = filepath.Abs(arg); err != nil {
			return err
		}
	}
	u.Data, err = e.readUpTo(arg, 2*crl.MaxSize) // base64 is longer than what it stands for
	return err
}

func (e *env) addedCRL(r inventory.CRLReport) {
	if r.Created {
		e.printf("added the revocation list of %s (%s)\n", r.CRL.Item.Subject, r.CRL.Item.ID)
	} else {
		e.printf("the revocation list of %s (%s) is stored already\n", r.CRL.Item.Subject, r.CRL.Item.ID)
	}
	e.printf("number       %s\nentries      %d\nthis update  %s\nnext update  %s\n", number(r.CRL), r.CRL.Entries, stamp(r.CRL.ThisUpdate), e.ends(r.CRL.NextUpdate))
	e.printf("source       %s\n", orDash(redacted(r.CRL.Source)))
	e.printf("revokes      %d of the known certificates of its issuer\n", r.RevokesCount)
	const most = 20
	for i, it := range r.Revokes {
		if i == most {
			e.printf("             … and %d more\n", r.RevokesCount-most)
			break
		}
		e.printf("             %s %s %s\n", short(it.Fingerprint), it.Kind, it.Subject)
	}
}

func newCRLList(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:   "list",
		Short: "List the revocation lists in force",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				lists, err := s.CRLs(cmd.Context())
				if err != nil {
					return err
				}
				out := make([]listedCRL, len(lists))
				grace := e.outline().Grace
				for i, l := range lists {
					out[i] = listedCRL{l, stateOf(l, grace, e.now())}
				}
				return e.print(out, func() { e.crlTable(out) })
			})
		},
	})
}

// A listedCRL is a list with how it stands now.
type listedCRL struct {
	inventory.CRL
	State string `json:"state"`
}

// stateOf tells how a list stands: what has ended says more than what could not
// be fetched.
func stateOf(l inventory.CRL, grace time.Duration, now time.Time) string {
	dates := crl.List{ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}
	switch {
	case now.After(dates.InForceUntil(grace)):
		return "stale"
	case now.After(l.NextUpdate):
		return "past its end, in grace"
	case l.Failure != "":
		return "refresh failing"
	}
	return "current"
}

func (e *env) crlTable(lists []listedCRL) {
	var rows [][]string
	for _, l := range lists {
		state := l.State
		if l.Failure != "" {
			state += ": " + l.Failure
		}
		rows = append(rows, []string{
			short(l.Item.ID), l.Item.Subject, number(l.CRL), strconv.Itoa(l.Entries), e.ends(l.NextUpdate), orDash(redacted(l.Source)), state,
		})
	}
	e.table("no revocation list is in force; add one by: certvigil crl add FILE",
		[]string{"ID", "ISSUER", "NUMBER", "ENTRIES", "NEXT UPDATE", "SOURCE", "STATE"}, rows)
}

func newCRLRemove(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use:   "remove CRL",
		Short: "Take a revocation list out of force, by id or issuer",
		Long: `Take a revocation list out of force. Whom it alone revokes is admitted again
within a second, and it is refreshed no longer.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
				list, err := s.RemoveCRL(cmd.Context(), args[0], actor())
				if err != nil {
					return err
				}
				return e.print(list, func() { e.printf("removed the revocation list of %s (%s)\n", list.Item.Subject, list.Item.ID) })
			})
		},
	})
}

func number(l inventory.CRL) string {
	if l.Number == nil {
		return "–"
	}
	return l.Number.String()
}

func isURL(text string) bool { return strings.Contains(text, "://") }
