package app

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// keyBits is the size of the RSA keys that sign JWTs.
const keyBits = 2048

// enforcerState joins what the configuration says and what the store trusts.
func enforcerState(ctx context.Context, cfg *config.Config, s *store.Store) (enforcer.State, error) {
	trust, err := s.Trust(ctx)
	if err != nil {
		return enforcer.State{}, err
	}
	keys, err := signingKeys(ctx, s)
	if err != nil {
		return enforcer.State{}, err
	}
	state := enforcer.State{
		Generation: trust.Generation, Revoked: map[string]struct{}{}, DefaultHostname: cfg.Enforcer.DefaultHostname, Issuer: cfg.Enforcer.Issuer,
		RequireEKU: cfg.Enforcer.RequireEKU, SessionTickets: cfg.Enforcer.SessionTickets, TrustedProxies: cfg.Enforcer.Proxies(), SigningKeys: keys,
	}
	for _, fingerprint := range trust.Revoked {
		state.Revoked[fingerprint] = struct{}{}
	}
	for _, b := range trust.Bundles {
		state.Bundles = append(state.Bundles, bundle(b))
	}
	for _, c := range cfg.Enforcer.Certificates {
		state.Certificates = append(state.Certificates, c.Pair)
	}
	for _, a := range cfg.Applications {
		app := application(a)
		if app.AUD, err = s.Audience(ctx, app.ID); err != nil {
			return enforcer.State{}, err
		}
		state.Applications = append(state.Applications, app)
	}
	return state, nil
}

func bundle(b inventory.Bundle) enforcer.Bundle {
	out := enforcer.Bundle{ID: b.ID, Name: b.Name, Hostnames: b.Hostnames}
	for _, m := range b.Members {
		if m.Role == inventory.RoleAnchor {
			out.Anchors = append(out.Anchors, m.Certificate)
		} else {
			out.Intermediates = append(out.Intermediates, m.Certificate)
		}
	}
	return out
}

// signingKeys returns the keys of the JWTs, and makes the first one.
func signingKeys(ctx context.Context, s *store.Store) ([]enforcer.SigningKey, error) {
	stored, err := s.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		if err := addSigningKey(ctx, s); err != nil {
			return nil, fmt.Errorf("making a signing key: %w", err)
		}
		if stored, err = s.SigningKeys(ctx); err != nil {
			return nil, err
		}
	}
	keys := make([]enforcer.SigningKey, 0, len(stored))
	for _, k := range stored {
		parsed, err := x509.ParsePKCS8PrivateKey(k.DER)
		if err != nil {
			return nil, fmt.Errorf("reading the signing key %s: %w", k.KID, err)
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("the signing key %s is no RSA key", k.KID)
		}
		keys = append(keys, enforcer.SigningKey{KID: k.KID, Key: key})
	}
	return keys, nil
}

func addSigningKey(ctx context.Context, s *store.Store) error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	kid := sha256.Sum256(public)
	return s.AddSigningKey(ctx, hex.EncodeToString(kid[:]), der)
}
