package inventory

import (
	"context"
	"crypto/x509"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/crl"
)

// A CRLStore reads the revocation lists in force. It may be called concurrently.
type CRLStore interface {
	CRLs(ctx context.Context) ([]CRL, error)
	CRLData(ctx context.Context, itemID string) ([]byte, error)
}

// Listed returns the revocation lists that name a certificate: the item's trust
// speaks of what was decided here, these of what its issuer says. A list counts
// only if its issuer's key has signed the certificate.
func (s *Service) Listed(ctx context.Context, item alert.Item, lists CRLStore) ([]CRL, error) {
	if item.Kind == alert.KindCRL {
		return nil, nil
	}
	all, err := lists.CRLs(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.store.Certificate(ctx, item.ID)
	if err != nil {
		return nil, err
	}
	var naming []CRL
	for _, l := range all {
		if l.Item.Subject != item.Issuer {
			continue
		}
		if named, err := s.names(ctx, l, c, lists); err != nil {
			return nil, err
		} else if named {
			naming = append(naming, l)
		}
	}
	return naming, nil
}

func (s *Service) names(ctx context.Context, l CRL, c *x509.Certificate, lists CRLStore) (bool, error) {
	issued, err := s.issuedBy(ctx, c, l.IssuerKey)
	if err != nil || !issued {
		return false, err
	}
	der, err := lists.CRLData(ctx, l.Item.ID)
	if err != nil {
		return false, err
	}
	list, err := crl.Parse(der)
	return err == nil && list.Revokes(c.SerialNumber), err
}

// issuedBy reports whether a CA with that key has signed the certificate.
func (s *Service) issuedBy(ctx context.Context, c *x509.Certificate, key string) (bool, error) {
	cas, err := s.store.Items(ctx, ItemFilter{Kind: alert.KindCA, Key: key})
	if err != nil || len(cas) == 0 {
		return false, err
	}
	issuer, err := s.store.Certificate(ctx, cas[0].ID) // the key is what signs: any of them will do
	return err == nil && cert.SignedBy(c, issuer), err
}
