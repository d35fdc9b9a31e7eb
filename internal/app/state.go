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
	state := declared(cfg)
	applySettings(state.Applications, cfg.Applications, trust.Settings)
	state.Generation, state.SigningKeys = trust.Generation, keys
	state.Revoked, state.RevokedKeys, state.RevocationLists = set(trust.Revoked), set(trust.RevokedKeys), lists
	for _, b := range trust.Bundles {
		state.Bundles = append(state.Bundles, bundle(b))
	}
	for i := range state.Applications {
		app := &state.Applications[i]
		if app.AUD, err = s.Audience(ctx, app.ID); err != nil {
			return enforcer.State{}, err
		}
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
