package inventory

import (
	"context"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// A Proposed is a proposal with what whoever decides on it has to know.
type Proposed struct {
	Proposal
	Difference []cert.Difference `json:"difference"` // in what it differs from the CA it would replace
}

// Proposals returns the proposals that wait, the oldest first.
func (s *Service) Proposals(ctx context.Context) ([]Proposed, error) {
	waiting, err := s.waiting(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Proposed, len(waiting))
	for i, p := range waiting {
		current, err := s.store.Certificate(ctx, p.ItemID)
		if err != nil {
			return nil, err
		}
		all, err := s.compare(ctx, current, p.Certificate)
		if err != nil {
			return nil, err
		}
		out[i] = Proposed{p, changed(all)}
	}
	return out, nil
}

// waiting leaves out what has expired and was not deleted yet.
func (s *Service) waiting(ctx context.Context) ([]Proposal, error) {
	all, err := s.store.Proposals(ctx)
	now := s.now()
	return slices.DeleteFunc(all, func(p Proposal) bool { return now.After(p.ExpiresAt) }), err
}

func (s *Service) propose(ctx context.Context, p plan, actor Actor) (Renewal, error) {
	all, err := s.compare(ctx, p.current, p.fresh)
	if err != nil {
		return Renewal{}, err
	}
	proposal, err := s.store.Propose(ctx, p.old.ID, p.fresh, actor)
	if err != nil {
		return Renewal{}, err
	}
	return Renewal{
		Status: StatusProposed, Replaces: p.old, Proposal: &proposal, Difference: changed(all),
		Next: "an administrator compares the fingerprint with the CA's owner, then: certvigil ca confirm --fingerprint " + proposal.Fingerprint,
	}, nil
}

// Confirm takes a proposed CA, named by its whole SHA-256 fingerprint (colons,
// spaces and case do not matter), into the place it was proposed for. The rules of
// succession hold as they do now: a proposal may have waited for long. id
// tells apart proposals of one CA for several places; "" = there is one.
func (s *Service) Confirm(ctx context.Context, id, fingerprint string, actor Actor) (Renewal, error) {
	p, err := s.proposal(ctx, id, fingerprint)
	if err != nil {
		return Renewal{}, err
	}
	old, err := s.store.Item(ctx, p.ItemID)
	if err != nil {
		return Renewal{}, err
	}
	current, err := s.store.Certificate(ctx, old.ID)
	if err != nil {
		return Renewal{}, err
	}
	if err := s.checkRenewal(ctx, old, current, p.Certificate, Authority{Write: true}); err != nil {
		return Renewal{}, err
	}
	return s.replace(ctx, old, p.Certificate, Replacement{
		Source: s.uploadSource("proposal " + p.ID), Actor: actor, Action: "ca.confirm", ProposalID: p.ID,
	})
}

// Decline deletes a proposal, named as for Confirm, and returns it. The same
// CA may be proposed again.
func (s *Service) Decline(ctx context.Context, id, fingerprint string, actor Actor) (Proposal, error) {
	p, err := s.proposal(ctx, id, fingerprint)
	if err != nil {
		return Proposal{}, err
	}
	return p, s.store.RemoveProposal(ctx, p.ID, actor)
}

// proposal returns the one of a fingerprint. Where a CA is proposed for several
// places, its fingerprint does not say which one is meant: whoever proposes
// must not choose where a confirmation counts.
func (s *Service) proposal(ctx context.Context, id, fingerprint string) (Proposal, error) {
	wanted := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(fingerprint, ":", "")), ""))
	all, err := s.waiting(ctx)
	if err != nil {
		return Proposal{}, err
	}
	if id != "" {
		if all = slices.DeleteFunc(all, func(p Proposal) bool { return p.ID != id }); len(all) == 0 {
			return Proposal{}, fault.New(fault.NotFound, "no_proposal", "there is no proposal %q", id).
				WithHint("see those that wait by: certvigil ca list --proposed, or GET /proposals")
		}
		if all[0].Fingerprint != wanted {
			return Proposal{}, fault.New(fault.Unprocessable, "fingerprint", "the fingerprint is not that of this proposal").
				WithField("fingerprint").WithHint("give the whole SHA-256 fingerprint that the CA's owner told you, and compare it with the proposal's")
		}
	}
	all = slices.DeleteFunc(all, func(p Proposal) bool { return p.Fingerprint != wanted })
	switch len(all) {
	case 0:
		return Proposal{}, fault.New(fault.NotFound, "proposal", "no proposed CA has the fingerprint %q", fingerprint).
			WithField("fingerprint").WithHint("see the whole fingerprints by: certvigil ca list --proposed")
	case 1:
		return all[0], nil
	}
	return Proposal{}, fault.New(fault.Conflict, "several_proposals", "the CA %s is proposed in the place of %d others, of the bundles %q and %q among them",
		wanted, len(all), all[0].Bundle, all[1].Bundle).
		WithField("fingerprint").WithHint("renew the one that is meant: certvigil cert renew ITEM FILE")
}
