package app

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// enforcerState joins what the configuration says and what the store trusts at
// a time. The lists that it could not read are those that cache had before.
func enforcerState(ctx context.Context, cfg *config.Config, s *store.Store, cache *listCache, now time.Time) (enforcer.State, error) {
	trust, err := s.Trust(ctx)
	if err != nil {
		return enforcer.State{}, err
	}
	lists, err := cache.load(ctx, trust.CRLs)
	if err != nil {
		return enforcer.State{}, err
	}
	keys, err := signingKeys(ctx, cfg, s, now)
	if err != nil {
		return enforcer.State{}, err
	}
	state := enforcer.State{
		Generation: trust.Generation, Revoked: set(trust.Revoked), RevokedKeys: set(trust.RevokedKeys), RevocationLists: lists,
		KeepStale: cfg.Enforcer.CRLStale == config.CRLKeep, Grace: cfg.Enforcer.CRLGrace.Duration,
		DefaultHostname: cfg.Enforcer.DefaultHostname, Issuer: cfg.Enforcer.Issuer, RequireEKU: cfg.Enforcer.RequireEKU,
		SessionTickets: cfg.Enforcer.SessionTickets, TrustedProxies: cfg.Enforcer.Proxies(), SigningKeys: keys,
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
	out := enforcer.Bundle{ID: b.ID, Name: b.Name, Hostnames: b.Hostnames, Constraints: enforcer.Constraints(b.Constraints)}
	for _, m := range b.Members {
		if m.Role == inventory.RoleAnchor {
			out.Anchors = append(out.Anchors, m.Certificate)
		} else {
			out.Intermediates = append(out.Intermediates, m.Certificate)
		}
	}
	return out
}

func set(texts []string) map[string]struct{} {
	out := make(map[string]struct{}, len(texts))
	for _, t := range texts {
		out[t] = struct{}{}
	}
	return out
}
