package inventory

import (
	"context"
	"crypto/x509"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// A Presentation is a client that renews its own certificate, over a
// connection on which it proved to hold the old one.
type Presentation struct {
	Presented *x509.Certificate // valid at Hostname, and not revoked
	Next      *x509.Certificate // verified for Hostname by the same rules
	Hostname  string
	RequestID string
}

// RenewPresented puts a client's new certificate in the place of the one it
// presented, and of no other. The listener has verified both for the same host
// name. A certificate that is not known yet becomes known as observed there.
func (s *Service) RenewPresented(ctx context.Context, p Presentation) (Renewal, error) {
	actor := Actor{Kind: ActorClient, ID: cert.Fingerprint(p.Presented), RequestID: p.RequestID}
	item, err := s.presented(ctx, p, actor)
	if err != nil {
		return Renewal{}, err
	}
	r := RenewRequest{
		Data: cert.EncodePEM(p.Next), ItemRef: item.ID, Authority: Authority{Chains: true},
		Reference: "client at " + p.Hostname, Actor: actor,
	}
	if item.OnlyObserved() { // nobody handed either in, so both are told of as what is only seen
		r.Reference, r.seen = p.Hostname, true
	}
	return s.Renew(ctx, r)
}

// presented returns the client item of a certificate. One of that fingerprint
// that was removed or is ignored stays so: a connection changes no decision.
func (s *Service) presented(ctx context.Context, p Presentation, actor Actor) (alert.Item, error) {
	item, err := s.store.Item(ctx, cert.Fingerprint(p.Presented))
	if err == nil && item.Kind == alert.KindClient {
		return item, nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
		return alert.Item{}, err
	}
	// Unknown, or known as another kind: a server's certificate that serves as
	// a client's too is a client all the same.
	known, err := s.store.Items(ctx, ItemFilter{Kind: alert.KindClient, Key: cert.KeyHash(p.Presented)})
	if err != nil {
		return alert.Item{}, err
	}
	for _, it := range known {
		if it.Fingerprint == cert.Fingerprint(p.Presented) {
			return it, nil
		}
	}
	item, _, err = s.store.AddItem(ctx, NewItem{
		Kind: alert.KindClient, Certificate: p.Presented, Source: s.source(alert.SourceObserved, p.Hostname), Actor: actor,
	})
	return item, err
}
