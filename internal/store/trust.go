package store

import (
	"context"
	"slices"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A TrustSnapshot is all that the store says about trust at one instant.
type TrustSnapshot struct {
	Generation int64
	// Bundles by name, with those members alone whose trust is trusted. One
	// may be left with none: its hostnames then admit nobody.
	Bundles []inventory.Bundle
	Revoked []string // fingerprints of revoked certificates, sorted
	// RevokedKeys are SHA-256 of the public keys with which every certificate
	// is denied, in lower-case hex, sorted.
	RevokedKeys []string
	CRLs        []inventory.CRL // the lists in force; CRLData has their content
	Settings    []inventory.HostnameSetting
	Access      inventory.Access // what the API guards
}

// Trust returns what is trusted and what is revoked, read at one instant.
func (s *Store) Trust(ctx context.Context) (TrustSnapshot, error) {
	var snapshot TrustSnapshot
	err := s.read(ctx, "reading what is trusted", func(t *tx) (err error) {
		if snapshot.Generation, err = t.metaInt(ctx, metaGeneration); err != nil {
			return err
		}
		if snapshot.Bundles, err = s.bundles(ctx, t, `ORDER BY name`); err != nil {
			return err
		}
		snapshot.Revoked, err = collect(ctx, t, scanText, `SELECT DISTINCT fingerprint FROM items
			WHERE trust <> 'trusted' AND trust = 'revoked' AND kind <> 'crl' ORDER BY fingerprint`)
		if err != nil {
			return err
		}
		if snapshot.RevokedKeys, err = collect(ctx, t, scanText, `SELECT spki_hash FROM revoked_keys ORDER BY spki_hash`); err != nil {
			return err
		}
		if snapshot.CRLs, err = t.crlsInForce(ctx); err != nil {
			return err
		}
		if snapshot.Settings, err = t.hostnameSettings(ctx); err != nil {
			return err
		}
		snapshot.Access, err = t.access(ctx)
		return err
	})
	for i := range snapshot.Bundles {
		b := &snapshot.Bundles[i]
		b.Members = slices.DeleteFunc(b.Members, func(m inventory.Member) bool { return m.Item.Trust != alert.Trusted })
	}
	return snapshot, err
}
