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

func newToken(e *env) *cobra.Command {
	return group("token", "Manage the credentials of the admin listener", newTokenCreate(e), newTokenList(e), newTokenRevoke(e))
}

// A tokenRequest holds the flags of `token create`.
type tokenRequest struct {
	name, item, expires string
	scopes              []string
}

func newTokenCreate(e *env) *cobra.Command {
	var r tokenRequest
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token; its secret is shown once",
		Example: `  certvigil token create --name pipeline --scope renew --expires 90d
  certvigil token create --name partner-ca --scope renew --item 3f1c9a   # for this item's next renewal
  TOKEN=$(certvigil token create --name admin --scope write --json | jq -r .token)`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error { return e.createToken(cmd, s, r) })
		},
	}
	cmd.Flags().StringVar(&r.name, "name", "", "`NAME` that says what it is for")
	cmd.Flags().StringSliceVar(&r.scopes, "scope", nil, "`SCOPE`: read, write (everything) or renew; repeatable")
	cmd.Flags().StringVar(&r.item, "item", "", "bind a renew token to this `ITEM`, for one renewal, also with a new key")
	cmd.Flags().StringVar(&r.expires, "expires", "", "`SPAN` it lives, e.g. 90d (default: until it is revoked)")
	return e.withJSON(cmd)
}

func (e *env) createToken(cmd *cobra.Command, s *store.Store, r tokenRequest) error {
	itemID, err := e.itemID(cmd, s, r.item)
	if err != nil {
		return err
	}
	expiresAt, err := e.expiry(r.expires)
	if err != nil {
		return err
	}
	token, secret, err := inventory.NewToken(r.name, r.scopes, itemID, expiresAt, e.now())
	if err != nil {
		return err
	}
	if err := s.CreateToken(cmd.Context(), token, actor()); err != nil {
		return err
	}
	shown := struct {
		inventory.Token
		Secret string `json:"token"`
	}{token, secret}
	return e.print(shown, func() {
		e.printf("%s\n", secret)
		e.warn([]string{"this is shown once; keep it as you would a password"})
	})
}

func (e *env) itemID(cmd *cobra.Command, s *store.Store, arg string) (string, error) {
	if arg == "" {
		return "", nil
	}
	ref, err := e.reference(arg)
	if err != nil {
		return "", err
	}
	item, err := s.Item(cmd.Context(), ref)
	return item.ID, err
}

func (e *env) expiry(span string) (*time.Time, error) {
	if span == "" {
		return nil, nil
	}
	d, err := config.ParseDuration(span)
	if err != nil {
		return nil, fault.New(fault.Usage, "expires", "--expires: %w", err).WithHint("write days or hours: 90d, 36h")
	}
	at := e.now().Add(d).UTC()
	return &at, nil
}

func newTokenList(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: "list", Short: "List the tokens, without their secrets", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				tokens, err := s.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				return e.print(orEmpty(tokens), func() { e.tokenTable(tokens) })
			})
		},
	})
}

func (e *env) tokenTable(tokens []inventory.Token) {
	var rows [][]string
	for _, t := range tokens {
		rows = append(rows, []string{short(t.ID), t.Name, strings.Join(t.Scopes, ","), orDash(short(t.ItemID)), when(t.ExpiresAt, "never"), when(t.LastUsedAt, "never")})
	}
	e.table("there is no token; make one by: certvigil token create", []string{"ID", "NAME", "SCOPES", "ITEM", "EXPIRES", "LAST USED"}, rows)
}

func when(t *time.Time, never string) string {
	if t == nil {
		return never
	}
	return stamp(*t)
}

func newTokenRevoke(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "Make a token worthless, by id or name", Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.RevokeToken(cmd.Context(), args[0], actor()); err != nil {
					return err
				}
				e.printf("revoked %s\n", args[0])
				return nil
			})
		},
	}
}
