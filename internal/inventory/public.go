package inventory

import (
	"crypto/x509"
	"fmt"

	"github.com/certvigil/certvigil/internal/cert"
)

// publicWarnings tells of CAs that the system's root store vouches for: anyone
// can buy a certificate of a public CA, and would be a known client. A system
// without a root store has no word on it.
func (s *Service) publicWarnings(u cert.Upload) []string {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range u.Certificates {
		intermediates.AddCert(c)
	}
	var warnings []string
	for i, c := range u.Certificates {
		if !u.Anchors[i] {
			continue
		}
		_, err := c.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates, CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err == nil {
			warnings = append(warnings, fmt.Sprintf("this system's root store trusts %s: if that is a public CA, anyone can buy a certificate of it and is a known client here; "+
				"use a CA of your own, or limit this one by --permit-san and --permit-cn", cert.SubjectDN(c)))
		}
	}
	return warnings
}
