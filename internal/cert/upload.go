package cert

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// An Upload is a validated set of CA certificates.
type Upload struct {
	Certificates []*x509.Certificate // in the order of the input
	Anchors      []bool              // one for each certificate; the others are intermediates
	Warnings     []string            // what is accepted and still worth a look
}

// ParseCA parses and validates what is uploaded as a CA, in the form of
// [ParsePEMCertificates]. Every certificate must be a CA that may sign
// certificates, unexpired at now, with a key and a signature algorithm that
// verification admits. The anchors are the self-signed ones or, if there is
// none, the topmost one; every other certificate must be issued, directly or
// not, by an anchor. Errors are faults with a Rule.
func ParseCA(data []byte, now time.Time) (Upload, error) {
	certs, err := ParsePEMCertificates(data)
	if err != nil {
		return Upload{}, err
	}
	u := Upload{Certificates: certs}
	for i, c := range certs {
		if err := checkCA(i+1, c, now); err != nil {
			return Upload{}, err
		}
	}
	u.Anchors = anchors(certs)
	if err := checkSHA1(u); err != nil {
		return Upload{}, err
	}
	if err := checkConnected(u); err != nil {
		return Upload{}, err
	}
	u.Warnings = warnings(u, now)
	return u, nil
}

// ParseLeaf parses and validates what is uploaded as a client or server
// certificate: the first one is the leaf, any that follow are its chain, which
// is only checked to consist of CAs. Errors are faults with a Rule.
func ParseLeaf(data []byte, now time.Time) (leaf *x509.Certificate, chain []*x509.Certificate, err error) {
	certs, err := ParsePEMCertificates(data)
	if err != nil {
		return nil, nil, err
	}
	leaf, chain = certs[0], certs[1:]
	if err := checkLeaf(leaf, now); err != nil {
		return nil, nil, err
	}
	for i, c := range chain {
		if err := checkIsCA(i+2, c); err != nil {
			return nil, nil, err
		}
	}
	return leaf, chain, nil
}

// anchors marks the self-signed certificates or, if there is none, the one
// that is reached by climbing from the first certificate to its issuers.
func anchors(certs []*x509.Certificate) []bool {
	marks, found := make([]bool, len(certs)), false
	for i, c := range certs {
		marks[i] = selfSigned(c)
		found = found || marks[i]
	}
	if !found {
		marks[topmost(certs)] = true
	}
	return marks
}

// topmost returns the index of the certificate at which the climb from the
// first one ends. Two CAs that signed each other end it too.
func topmost(certs []*x509.Certificate) int {
	top, visited := 0, make([]bool, len(certs))
	for {
		visited[top] = true
		parent := -1
		for i, c := range certs {
			if !visited[i] && issued(c, certs[top]) {
				parent = i
				break
			}
		}
		if parent < 0 {
			return top
		}
		top = parent
	}
}

// checkConnected refuses a certificate that no anchor of the upload issued.
func checkConnected(u Upload) error {
	reached := slices.Clone(u.Anchors)
	for range u.Certificates {
		for i, c := range u.Certificates {
			reached[i] = reached[i] || issuedByAny(c, u.Certificates, reached)
		}
	}
	for i, ok := range reached {
		if !ok {
			c := u.Certificates[i]
			return fault.New(fault.Unprocessable, "unconnected", "%s is not issued by any other CA of the upload", label(i+1, c)).
				WithHint("add its issuer, or upload it as a CA of its own")
		}
	}
	return nil
}

func issuedByAny(c *x509.Certificate, certs []*x509.Certificate, candidates []bool) bool {
	for i, parent := range certs {
		if candidates[i] && issued(parent, c) {
			return true
		}
	}
	return false
}

// issued reports whether parent issued child: by name and by signature.
func issued(parent, child *x509.Certificate) bool {
	return parent != child && bytes.Equal(parent.RawSubject, child.RawIssuer) && SignedBy(child, parent)
}

func warnings(u Upload, now time.Time) []string {
	var found []string
	for i, c := range u.Certificates {
		warn := func(format string, args ...any) {
			found = append(found, label(i+1, c)+" "+fmt.Sprintf(format, args...))
		}
		if sha1Signed(c) {
			warn("has a SHA-1 self-signature, which nothing relies on: plan to replace it")
		}
		if now.Before(c.NotBefore) {
			warn("is not valid before %s: it admits nobody until then", c.NotBefore.UTC().Format(time.RFC3339))
		}
		if !vouchesForClients(c) {
			warn("has extended key usages without client authentication: it admits nobody")
		}
	}
	return found
}

// vouchesForClients reports whether a client certificate below c can verify:
// the usages of a CA bound those of what it issues.
func vouchesForClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}
