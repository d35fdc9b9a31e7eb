package inventory

import (
	"context"
	"crypto/x509"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
)

// issuerOf returns the stored, trusted CA that signed a list. Several may bear
// its name; the key decides.
func (s *Service) issuerOf(ctx context.Context, list *crl.List) (*x509.Certificate, error) {
	bundles, err := s.store.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	var refused error
	for _, b := range bundles {
		for _, m := range b.Members {
			if m.Item.Trust != alert.Trusted || !list.BearsNameOf(m.Certificate) {
				continue
			}
			err := list.CheckIssuer(m.Certificate)
			if err == nil {
				return m.Certificate, nil
			}
			if refused == nil {
				refused = err
			}
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, fault.New(fault.Unprocessable, "crl_issuer", "no stored CA is the issuer of the list, %s", list.Issuer).
		WithHint("add that CA first: certvigil ca add FILE")
}
