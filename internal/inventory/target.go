package inventory

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// renewalTarget finds the item that a new certificate is to replace.
func (s *Service) renewalTarget(ctx context.Context, fresh *x509.Certificate, ref string) (alert.Item, *x509.Certificate, error) {
	candidates, err := s.candidates(ctx, fresh, ref)
	if err != nil {
		return alert.Item{}, nil, err
	}
	matching := sameIdentity(candidates, fresh)
	if ref != "" && len(candidates) == 1 {
		matching = candidates // named outright: the rules of succession say what differs
	}
	if len(matching) != 1 {
		return alert.Item{}, nil, notOne(fresh, matching)
	}
	if err := checkKind(matching[0]); err != nil {
		return alert.Item{}, nil, err
	}
	current, err := s.store.Certificate(ctx, matching[0].ID)
	return matching[0], current, err
}

func (s *Service) candidates(ctx context.Context, fresh *x509.Certificate, ref string) ([]alert.Item, error) {
	if ref != "" {
		return s.named(ctx, ref)
	}
	kind := alert.KindClient
	if fresh.IsCA {
		kind = alert.KindCA
	}
	return s.store.Items(ctx, ItemFilter{Kind: kind, Watch: alert.Active, Subject: cert.SubjectDN(fresh)})
}

// named returns the one item, or the active items of the one bundle, that ref
// names.
func (s *Service) named(ctx context.Context, ref string) ([]alert.Item, error) {
	item, err := s.store.Item(ctx, ref)
	if err == nil {
		return []alert.Item{item}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	b, err := s.store.Bundle(ctx, ref)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "item", "no item or bundle is named %q", ref).WithField("item").
			WithHint("see what is stored by: certvigil cert list")
	}
	if err != nil {
		return nil, err
	}
	var items []alert.Item
	for _, m := range b.Members {
		if m.Item.Watch == alert.Active {
			items = append(items, m.Item)
		}
	}
	return items, nil
}

// sameIdentity keeps the items with the certificate's subject, SANs and issuer.
func sameIdentity(items []alert.Item, fresh *x509.Certificate) []alert.Item {
	sans := set(cert.SANs(fresh))
	var out []alert.Item
	for _, it := range items {
		if it.Subject == cert.SubjectDN(fresh) && it.Issuer == cert.IssuerDN(fresh) && slices.Equal(set(it.SANs), sans) {
			out = append(out, it)
		}
	}
	return out
}

func set(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func checkKind(it alert.Item) error {
	switch it.Kind {
	case alert.KindCA, alert.KindClient:
		return nil
	case alert.KindCRL:
		return fault.New(fault.Conflict, "kind", "a revocation list is renewed by adding its next issue").WithHint("certvigil crl add FILE")
	default:
		return fault.New(fault.Conflict, "kind", "a %s certificate is renewed by replacing its files", it.Kind).
			WithHint("replace the certificate and key where they are served; the daemon reads them again on SIGHUP")
	}
}

func notOne(fresh *x509.Certificate, matching []alert.Item) error {
	what := fmt.Sprintf("subject %s, issuer %s", cert.SubjectDN(fresh), cert.IssuerDN(fresh))
	if len(matching) == 0 {
		return fault.New(fault.Conflict, "no_candidate", "no active item has the identity of the new certificate (%s)", what).WithField("item").
			WithHint("name the item that it replaces: ?item=ID, or certvigil cert renew ID FILE")
	}
	var ids []string
	for _, it := range matching {
		ids = append(ids, fmt.Sprintf("%s (ends %s)", it.ID, it.NotAfter.UTC().Format("2006-01-02")))
	}
	return fault.New(fault.Conflict, "several_candidates", "%d active items have the identity of the new certificate (%s): %s", len(matching), what, strings.Join(ids, ", ")).
		WithField("item").WithHint("name the item that it replaces: ?item=ID, or certvigil cert renew ID FILE")
}
