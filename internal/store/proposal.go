package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// How many proposals may wait for one item, in all and from one proposer:
// whoever may only renew must not fill the store, nor bury an honest proposal,
// nor keep others from making theirs by one token or link.
const (
	maxProposals    = 20
	maxProposalsOne = 5
)

// Propose stores a proposal; the same one again is returned as it stands. It
// returns fault.Conflict when too many wait for the item.
func (s *Store) Propose(ctx context.Context, itemID string, c *x509.Certificate, actor inventory.Actor) (inventory.Proposal, error) {
	var proposal inventory.Proposal
	err := s.write(ctx, "proposing a certificate", func(t *tx) error {
		item, err := t.item(ctx, itemID)
		if err != nil {
			return err
		}
		id, now := uuid.NewString(), s.now()
		if err := t.expireProposals(ctx, now, now.Add(-inventory.ProposalLife)); err != nil {
			return err
		}
		inserted, err := t.exec(ctx, `INSERT INTO proposals (id, item_id, fingerprint, der, proposed_by, created_at)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, itemID, cert.Fingerprint(c), c.Raw, actor.Kind+":"+actor.ID, now.UnixMilli())
		if err != nil {
			return err
		}
		if inserted == 1 {
			if err := t.checkProposals(ctx, itemID, actor.Kind+":"+actor.ID); err != nil {
				return err
			}
			after := describe(item.Kind, c)
			after["proposal"] = id
			if err := t.audit(ctx, now, actor, change{action: "item.propose", object: "item:" + itemID, after: after}); err != nil {
				return err
			}
		}
		proposals, err := t.proposals(ctx, `WHERE p.item_id = ? AND p.fingerprint = ?`, itemID, cert.Fingerprint(c))
		if err == nil {
			proposal = proposals[0]
		}
		return err
	})
	return proposal, err
}

func (t *tx) checkProposals(ctx context.Context, itemID, proposer string) error {
	var all, own int
	err := t.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN proposed_by = ? THEN 1 END) FROM proposals WHERE item_id = ?`, proposer, itemID).Scan(&all, &own)
	if err != nil || all <= maxProposals && own <= maxProposalsOne {
		return err
	}
	return fault.New(fault.Conflict, "proposals", "%d certificates are proposed already in the place of item %s, %d of them in this way", all-1, itemID, own-1).
		WithHint("an administrator confirms or declines them (certvigil ca list --proposed), or renews the CA with a token of scope write")
}

// ExpireProposals deletes the proposals that were made before the given time.
func (s *Store) ExpireProposals(ctx context.Context, before time.Time) error {
	return s.write(ctx, "letting proposals expire", func(t *tx) error {
		return t.expireProposals(ctx, s.now(), before)
	})
}

func (t *tx) expireProposals(ctx context.Context, now, before time.Time) error {
	old, err := t.proposals(ctx, `WHERE p.created_at < ?`, before.UnixMilli())
	for _, p := range old {
		err = errors.Join(err, t.dropProposal(ctx, now, p, inventory.Actor{Kind: inventory.ActorSystem, ID: "retention"}, "proposal.expire"))
	}
	return err
}

// dropProposal deletes a proposal with its audit row.
func (t *tx) dropProposal(ctx context.Context, now time.Time, p inventory.Proposal, actor inventory.Actor, action string) error {
	if err := t.deleteProposal(ctx, p.ID); err != nil {
		return err
	}
	return t.audit(ctx, now, actor, change{
		action: action, object: "item:" + p.ItemID,
		before: map[string]any{"proposal": p.ID, "fingerprint": p.Fingerprint, "proposed_by": p.ProposedBy},
	})
}

// Proposals returns every proposal, the oldest first.
func (s *Store) Proposals(ctx context.Context) ([]inventory.Proposal, error) {
	var proposals []inventory.Proposal
	err := s.read(ctx, "listing proposals", func(t *tx) (err error) {
		proposals, err = t.proposals(ctx, `ORDER BY p.created_at, p.id`)
		return err
	})
	return proposals, err
}

// RemoveProposal deletes a proposal that was declined. It returns
// fault.NotFound for one that is not there.
func (s *Store) RemoveProposal(ctx context.Context, id string, actor inventory.Actor) error {
	return s.write(ctx, "declining a proposal", func(t *tx) error {
		proposals, err := t.proposals(ctx, `WHERE p.id = ?`, id)
		if err != nil {
			return err
		}
		if len(proposals) == 0 {
			return noProposal(id)
		}
		return t.dropProposal(ctx, s.now(), proposals[0], actor, "proposal.decline")
	})
}

func (t *tx) deleteProposal(ctx context.Context, id string) error {
	n, err := t.exec(ctx, `DELETE FROM proposals WHERE id = ?`, id)
	if err == nil && n == 0 {
		return noProposal(id)
	}
	return err
}

func noProposal(id string) error {
	return fault.New(fault.NotFound, "no_proposal", "there is no proposal %q", id).WithHint("see those that wait by: certvigil ca list --proposed")
}

func (t *tx) proposals(ctx context.Context, clause string, args ...any) ([]inventory.Proposal, error) {
	return collect(ctx, t, scanProposal, `SELECT p.id, p.item_id, p.fingerprint, p.der, p.proposed_by, p.created_at,
		(SELECT MIN(b.name) FROM bundle_items bi JOIN bundles b ON b.id = bi.bundle_id WHERE bi.item_id = p.item_id)
		FROM proposals p `+clause, args...)
}

func scanProposal(row scanner) (p inventory.Proposal, err error) {
	var (
		der     []byte
		created int64
		bundle  sql.NullString
	)
	if err = row.Scan(&p.ID, &p.ItemID, &p.Fingerprint, &der, &p.ProposedBy, &created, &bundle); err != nil {
		return p, err
	}
	p.CreatedAt, p.Bundle = fromMillis(created), bundle.String
	p.ExpiresAt = p.CreatedAt.Add(inventory.ProposalLife)
	if p.Certificate, err = x509.ParseCertificate(der); err != nil {
		return p, fmt.Errorf("parsing the certificate of proposal %s: %w", p.ID, err)
	}
	p.Subject, p.NotAfter = cert.SubjectDN(p.Certificate), p.Certificate.NotAfter.UTC()
	return p, nil
}
