package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// newCertRevoke is `cert revoke`, or `cert unrevoke` when revoked is false.
func newCertRevoke(e *env, use, short, long string, revoked bool) *cobra.Command {
	trust := alert.Trusted
	if revoked {
		trust = alert.Revoked
	}
	cmd := newCertAct(e, use, short, func(s *inventory.Service, cmd *cobra.Command, ref string) (alert.Item, error) {
		return s.SetTrust(cmd.Context(), ref, trust, actor())
	})
	cmd.Long = long + "\n" + itemHelp
	one := cmd.RunE
	var byKey bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !byKey {
			return one(cmd, args)
		}
		return e.withService(cmd.Context(), func(s *inventory.Service, _ *store.Store) error {
			key, err := e.keyOf(cmd, s, args[0])
			if err != nil {
				return err
			}
			done, err := s.RevokeKey(cmd.Context(), key, revoked, actor())
			if err != nil {
				return err
			}
			return e.print(done, func() { e.showKey(done) })
		})
	}
	cmd.Flags().BoolVar(&byKey, "key", false, "every certificate with the same key, known or not")
	return cmd
}

// keyOf returns the hash of the key of a certificate in a file, which nobody
// need have stored, or of an item.
func (e *env) keyOf(cmd *cobra.Command, s *inventory.Service, arg string) (string, error) {
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return s.KeyOf(cmd.Context(), arg)
	}
	c, err := e.readCertificate(arg)
	if err != nil {
		return "", err
	}
	return cert.KeyHash(c), nil
}

func (e *env) showKey(k inventory.KeyTrust) {
	state := "revoked"
	if !k.Revoked {
		state = "not revoked"
	}
	e.printf("key          %s\nstate        %s\nknown        %d with that key\n", k.Key, state, len(k.Items))
	for _, it := range k.Items {
		e.printf("             %s %s %s (%s)\n", short(it.Fingerprint), it.Kind, it.Subject, it.Trust)
	}
}
