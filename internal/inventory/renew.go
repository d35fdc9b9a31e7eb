package inventory

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// The outcomes of a renewal.
const (
	StatusRenewed  = "renewed"  // in force now
	StatusPending  = "pending"  // not valid yet; takes over when it is
	StatusProposed = "proposed" // a CA with another key; trusted nowhere until confirmed
)

// An Authority is what the one who renews may do besides renewing in kind.
type Authority struct {
	Write  bool   // may add a trust anchor
	ItemID string // bound to this item: may renew nothing else, and this one with a new key
	Once   bool   // ends with the first renewal of the item, also one that is not valid yet
	Chains bool   // the listener has verified who issued the new client certificate
}

// A RenewRequest hands in the certificate that takes another's place.
type RenewRequest struct {
	Data      []byte
	ItemRef   string // an item or a bundle; "" = the one active item it matches
	Authority Authority
	Reference string // where it came from
	Actor     Actor

	seen bool // Reference is the host name at which its client presents it
}

func (r RenewRequest) sourceKind() alert.SourceKind {
	if r.seen {
		return alert.SourceObserved
	}
	return alert.SourceUpload
}

// A Renewal tells what a renewal did.
type Renewal struct {
	Status   string      `json:"status"`
	Repeated bool        `json:"-"` // the same upload had been taken before
	Item     *alert.Item `json:"item,omitempty"`
	Replaces alert.Item  `json:"replaces"`
	Bundles  []Bundle    `json:"bundles,omitempty"` // what is served now, for a CA
	Proposal *Proposal   `json:"proposal,omitempty"`
	Next     string      `json:"next,omitempty"` // what is left for somebody to do

	Difference []cert.Difference `json:"difference,omitempty"` // in what the new one differs from the old one
}

// Renew puts a certificate in the place of a CA's or client's. It adds no
// trust anchor by name alone: a CA whose key the old key did not sign is only
// proposed, unless the authority says otherwise. An error changes nothing.
func (s *Service) Renew(ctx context.Context, r RenewRequest) (Renewal, error) {
	fresh, err := s.parseRenewal(r.Data)
	if err != nil {
		return Renewal{}, err
	}
	if done, ok, err := s.renewedBefore(ctx, fresh, r); err != nil || ok {
		return done, err
	}
	p, err := s.plan(ctx, fresh, r)
	if err != nil {
		return Renewal{}, err
	}
	if p.status == StatusProposed {
		return s.propose(ctx, p, r.Actor)
	}
	return s.replace(ctx, p.old, fresh, Replacement{Source: s.source(r.sourceKind(), r.Reference), Actor: r.Actor, Action: "item.renew", Once: r.Authority.Once})
}

// A Preview tells what a renewal would do.
type Preview struct {
	Status      string
	Certificate *x509.Certificate
	Replaces    alert.Item
	Difference  []cert.Difference // changed or not
}

// Preview holds a renewal to all rules and changes nothing.
func (s *Service) Preview(ctx context.Context, r RenewRequest) (Preview, error) {
	fresh, err := s.parseRenewal(r.Data)
	if err != nil {
		return Preview{}, err
	}
	p, err := s.plan(ctx, fresh, r)
	if err != nil {
		return Preview{}, err
	}
	all, err := s.compare(ctx, p.current, fresh)
	return Preview{Status: p.status, Certificate: fresh, Replaces: p.old, Difference: all}, err
}

// A plan is a renewal that the rules admit.
type plan struct {
	status         string
	old            alert.Item
	current, fresh *x509.Certificate
}

func (s *Service) plan(ctx context.Context, fresh *x509.Certificate, r RenewRequest) (plan, error) {
	old, current, err := s.renewalTarget(ctx, fresh, r.ItemRef)
	if err != nil {
		return plan{}, err
	}
	if err := s.checkRenewal(ctx, old, current, fresh, r.Authority); err != nil {
		return plan{}, err
	}
	p := plan{status: StatusRenewed, old: old, current: current, fresh: fresh}
	switch {
	case old.Kind == alert.KindCA && !mayAnchor(current, fresh, old, r.Authority):
		p.status = StatusProposed
	case fresh.NotBefore.After(s.now()):
		p.status = StatusPending
	}
	return p, nil
}

func (s *Service) parseRenewal(data []byte) (*x509.Certificate, error) {
	all, err := cert.ParsePEMCertificates(data)
	if err != nil {
		return nil, err
	}
	if !all[0].IsCA {
		leaf, _, err := cert.ParseLeaf(data, s.now())
		return leaf, err
	}
	parsed, err := cert.ParseCA(data, s.now())
	if err != nil {
		return nil, err
	}
	if len(parsed.Certificates) > 1 {
		return nil, fault.New(fault.Unprocessable, "one_certificate", "the file holds %d CA certificates; a renewal is one", len(parsed.Certificates)).
			WithHint("upload the renewed certificates one by one")
	}
	return all[0], nil
}

// renewedBefore answers an upload that was taken already, so that a client
// that lost the answer can ask again.
func (s *Service) renewedBefore(ctx context.Context, fresh *x509.Certificate, r RenewRequest) (Renewal, bool, error) {
	known, err := s.store.Item(ctx, cert.Fingerprint(fresh))
	if fault.Is(err, fault.NotFound) {
		return Renewal{}, false, nil
	}
	if err != nil {
		return Renewal{}, false, err
	}
	old, err := s.store.Predecessor(ctx, known.ID)
	if fault.Is(err, fault.NotFound) || err == nil && known.Trust != alert.Trusted {
		return Renewal{}, false, nil
	}
	if err != nil {
		return Renewal{}, false, err
	}
	if r.Authority.ItemID != "" && r.Authority.ItemID != old.ID {
		return Renewal{}, false, otherItem()
	}
	if meant, err := s.meant(ctx, r.ItemRef, old, known); err != nil || !meant {
		return Renewal{}, false, err
	}
	done, err := s.renewal(ctx, known, old)
	done.Repeated = true
	return done, true, err
}

// meant reports whether ref, if any, names a succession that was made: by its
// old item, its new one, or their bundle. A request that names another item is
// not a repetition, and is judged by itself.
func (s *Service) meant(ctx context.Context, ref string, old, known alert.Item) (bool, error) {
	if ref == "" {
		return true, nil
	}
	items, err := s.named(ctx, ref)
	return slices.ContainsFunc(items, func(it alert.Item) bool { return it.ID == old.ID || it.ID == known.ID }), err
}

// checkRenewal holds the rules of succession. Every branch refuses.
func (s *Service) checkRenewal(ctx context.Context, old alert.Item, current, fresh *x509.Certificate, a Authority) error {
	if a.ItemID != "" && a.ItemID != old.ID {
		return otherItem()
	}
	if old.Trust != alert.Trusted {
		return fault.New(fault.Conflict, "not_trusted", "%s %s is %s", old.Kind, old.Fingerprint[:12], old.Trust).
			WithHint("a revoked or removed certificate has no successor; add the new one by itself")
	}
	if known, err := s.store.Item(ctx, cert.Fingerprint(fresh)); err == nil && known.Trust == alert.Revoked {
		return fault.New(fault.Unprocessable, "revoked", "the new certificate is revoked here").WithHint("have a new one issued")
	}
	if err := cert.CheckSuccessor(current, fresh, s.now()); err != nil {
		return err
	}
	if old.Kind == alert.KindClient && !a.Write && !a.Chains {
		return s.checkIssuer(ctx, current, fresh)
	}
	return nil
}

// checkIssuer refuses a client certificate that no CA stored here has issued,
// so that a self-made look-alike cannot silence the alerts of the real one.
// Where the old one's issuer is not stored either, the issuer's name and key
// identifier must be the same.
func (s *Service) checkIssuer(ctx context.Context, current, fresh *x509.Certificate) error {
	bundles, err := s.store.Bundles(ctx)
	if err != nil {
		return err
	}
	if issuerStored(bundles, fresh) {
		return nil
	}
	if !issuerStored(bundles, current) && string(current.RawIssuer) == string(fresh.RawIssuer) &&
		len(fresh.AuthorityKeyId) > 0 && string(current.AuthorityKeyId) == string(fresh.AuthorityKeyId) {
		return nil
	}
	return fault.New(fault.Unprocessable, "issuer_unknown", "no CA stored here has issued the new certificate (issuer %s)", cert.IssuerDN(fresh)).
		WithHint("have it issued by the same CA, or add its CA first, or use a token of scope write")
}

func issuerStored(bundles []Bundle, c *x509.Certificate) bool {
	for _, b := range bundles {
		for _, m := range b.Members {
			if m.Item.Trust == alert.Trusted && cert.SignedBy(c, m.Certificate) {
				return true
			}
		}
	}
	return false
}

// mayAnchor reports whether a CA may take the place of another at once:
// because somebody may add trust anchors, or because the old key vouches for
// it and it may vouch for no more than the old one. The constraints of a CA
// are what its users agreed to, not its holder's to lift.
func mayAnchor(current, fresh *x509.Certificate, old alert.Item, a Authority) bool {
	return a.Write || (a.ItemID != "" && a.ItemID == old.ID) || cert.SignedBy(fresh, current) && !cert.Widens(current, fresh)
}

func (s *Service) replace(ctx context.Context, old alert.Item, fresh *x509.Certificate, r Replacement) (Renewal, error) {
	r.OldItemID, r.Certificate, r.Pending = old.ID, fresh, fresh.NotBefore.After(s.now())
	item, err := s.store.Replace(ctx, r)
	if err != nil {
		return Renewal{}, fmt.Errorf("renewing %s: %w", old.Fingerprint[:12], err)
	}
	if old, err = s.store.Item(ctx, old.ID); err != nil {
		return Renewal{}, err
	}
	return s.renewal(ctx, item, old)
}

// renewal describes a succession that was made, from what is stored: so that
// whoever asks again gets the same answer.
func (s *Service) renewal(ctx context.Context, item, old alert.Item) (Renewal, error) {
	out := Renewal{Status: StatusRenewed, Item: &item, Replaces: old}
	if item.Watch == alert.Pending {
		out.Status = StatusPending
	}
	for _, name := range item.Bundles {
		b, err := s.store.Bundle(ctx, name)
		if err != nil {
			return Renewal{}, err
		}
		out.Bundles = append(out.Bundles, b)
	}
	all, err := s.compareItems(ctx, old.ID, item.ID)
	out.Difference = changed(all)
	return out, err
}

func otherItem() error {
	return fault.New(fault.Forbidden, "other_item", "the token is bound to another item").WithHint("use a token made for this item, or an unbound one; a bound token is good for one renewal: the new certificate is an item of its own")
}
