package inventory

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
)

// A Presented is a server certificate that the configuration names, and from
// which file.
type Presented struct {
	Path        string
	Certificate *x509.Certificate
}

// Present takes in the server certificates that the configuration names. What
// replaced another in the same file supersedes it, unless that one is still
// presented from elsewhere: replacing the file is how a server certificate is
// renewed. One that somebody ignores stays ignored. What cannot be taken in, as
// one that is revoked here, keeps nothing else from it.
func (s *Service) Present(ctx context.Context, all []Presented, actor Actor) error {
	known, err := s.store.Items(ctx, ItemFilter{Kind: alert.KindServer})
	if err != nil {
		return err
	}
	var errs []error
	for _, old := range known {
		next, ok := replacement(old, all)
		if !ok {
			continue
		}
		_, err := s.store.Replace(ctx, Replacement{
			OldItemID: old.ID, Certificate: next.Certificate, Pending: next.Certificate.NotBefore.After(s.now()),
			Source: s.source(alert.SourceConfig, next.Path), Actor: actor, Action: "server.replace",
		})
		errs = append(errs, err)
	}
	for _, p := range all {
		errs = append(errs, s.present(ctx, known, p, actor))
	}
	return errors.Join(errs...)
}

// present makes sure that a presented certificate is watched.
func (s *Service) present(ctx context.Context, known []alert.Item, p Presented, actor Actor) error {
	fingerprint := cert.Fingerprint(p.Certificate)
	i := slices.IndexFunc(known, func(it alert.Item) bool { return it.Fingerprint == fingerprint })
	if i >= 0 && known[i].Watch == alert.Superseded {
		return s.store.SetWatch(ctx, known[i].ID, alert.Active, actor) // somebody went back to it
	}
	if i >= 0 && known[i].Trust != alert.Removed && fromFile(known[i], p.Path) {
		return nil
	}
	_, _, err := s.store.AddItem(ctx, NewItem{Kind: alert.KindServer, Certificate: p.Certificate, Source: s.source(alert.SourceConfig, p.Path), Actor: actor})
	return err
}

// replacement returns what is presented now from a file that presented old, if
// old itself is presented no more.
func replacement(old alert.Item, all []Presented) (Presented, bool) {
	if old.Watch != alert.Active && old.Watch != alert.Ignored || old.Trust != alert.Trusted {
		return Presented{}, false
	}
	if slices.ContainsFunc(all, func(p Presented) bool { return cert.Fingerprint(p.Certificate) == old.Fingerprint }) {
		return Presented{}, false
	}
	i := slices.IndexFunc(all, func(p Presented) bool { return fromFile(old, p.Path) })
	if i < 0 {
		return Presented{}, false
	}
	return all[i], true
}

func fromFile(it alert.Item, path string) bool {
	return slices.ContainsFunc(it.Sources, func(src alert.Source) bool {
		return src.Kind == alert.SourceConfig && src.Reference == path
	})
}
