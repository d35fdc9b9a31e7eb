package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// maxProposals is how many may wait for one item: whoever may only renew must
// not fill the store, nor bury an honest proposal.
const maxProposals = 20

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
		inserted, err := t.exec(ctx, `INSERT INTO proposals (id, item_id, fingerprint, der, proposed_by, created_at)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, itemID, cert.Fingerprint(c), c.Raw, actor.Kind+":"+actor.ID, now.UnixMilli())
		if err != nil {
			return err
		}
		if inserted == 1 {
			if err := t.checkProposals(ctx, itemID); err != nil {
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

func (t *tx) checkProposals(ctx context.Context, itemID string) error {
	var n int
	err := t.row(ctx, `SELECT COUNT(*) FROM proposals WHERE item_id = ?`, itemID).Scan(&n)
	if err == nil && n > maxProposals {
		return fault.New(fault.Conflict, "proposals", "%d certificates are proposed already in the place of item %s", maxProposals, itemID).
			WithHint("an administrator confirms one of them (certvigil ca list --proposed), or renews the CA with a token of scope write")
	}
	return err
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

// RemoveProposal deletes a proposal.
func (s *Store) RemoveProposal(ctx context.Context, id string, actor inventory.Actor) error {
	return s.write(ctx, "removing a proposal", func(t *tx) error {
		proposals, err := t.proposals(ctx, `WHERE p.id = ?`, id)
		if err != nil {
			return err
		}
		if err := t.deleteProposal(ctx, id); err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "proposal.remove", object: "item:" + proposals[0].ItemID,
			before: map[string]any{"proposal": id, "fingerprint": proposals[0].Fingerprint},
		})
	})
}

func (t *tx) deleteProposal(ctx context.Context, id string) error {
	n, err := t.exec(ctx, `DELETE FROM proposals WHERE id = ?`, id)
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, "no_proposal", "there is no proposal %q", id)
	}
	return err
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
	if p.Certificate, err = x509.ParseCertificate(der); err != nil {
		return p, fmt.Errorf("parsing the certificate of proposal %s: %w", p.ID, err)
	}
	p.Subject, p.NotAfter = cert.SubjectDN(p.Certificate), p.Certificate.NotAfter.UTC()
	return p, nil
}
