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
	stored, err := storedApplications(cfg, trust.Access.Applications)
	if err != nil {
		return enforcer.State{}, err
	}
	state := declared(cfg)
	if err := giveAudiences(ctx, s, state.Applications); err != nil {
		return enforcer.State{}, err
	}
	state.Applications = append(state.Applications, stored...)
	keys, err := signingKeys(ctx, cfg, s, overlap(state.Applications), now)
	if err != nil {
		return enforcer.State{}, err
	}
	applySettings(state.Applications, cfg.Applications, trust.Settings)
	state.Generation, state.SigningKeys = trust.Generation, keys
	state.Revoked, state.RevokedKeys, state.RevocationLists = set(trust.Revoked), set(trust.RevokedKeys), lists
	for _, b := range trust.Bundles {
		state.Bundles = append(state.Bundles, bundle(b))
	}
	return state, nil
}

// giveAudiences gives declared applications their AUD; those of the API are
// stored with theirs.
func giveAudiences(ctx context.Context, s *store.Store, apps []enforcer.Application) (err error) {
	for i := range apps {
		if apps[i].AUD, err = s.Audience(ctx, apps[i].ID); err != nil {
			return err
		}
	}
	return nil
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
