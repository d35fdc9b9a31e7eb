package enforcer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
)

// What a client may present. Beyond it the chain is refused before a signature
// is looked at, since each of these has been a way to burn the verifier's time.
const (
	maxChain      = 6
	maxChainBytes = 64 << 10
	maxNames      = 100
	minRSA        = 2048
	maxRSA        = 8192
)

// examine judges a client's chain by a CA set at one instant (RFC 5280 §6, by
// crypto/x509 with explicit roots). It fails closed: a verdict is valid only
// at the very end, with at least one chain that is wholly valid and unrevoked.
func (s *snapshot) examine(chain []*x509.Certificate, set *authorities, now time.Time) *verdict {
	v := &verdict{seq: s.seq, set: set.id, until: horizon(now, chain, set.members)}
	defer v.refuseOnPanic()
	leaf := chain[0]
	v.reason = precheck(chain)
	if v.reason == "" && set.isEmpty() {
		v.reason = ReasonNoAuthority
	}
	if v.reason == "" {
		v.reason = s.checkLeaf(leaf, now)
	}
	if v.reason != "" {
		return v
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         set.roots,
		Intermediates: intermediates(chain[1:], set),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		v.reason, v.detail = reasonOf(err), err.Error()
		return v
	}
	s.admitBy(v, chains, set)
	return v
}

// refuseOnPanic keeps a defect in the verifier (CVE-2024-24783 was one) from
// doing more than refuse the certificate that provoked it.
func (v *verdict) refuseOnPanic() {
	if p := recover(); p != nil {
		v.valid, v.reason, v.detail = false, ReasonUntrusted, fmt.Sprint("verifying the chain panicked: ", p)
	}
}

// admitBy makes the verdict valid if any one chain has no revoked member, and
// notes the bundles whose anchors these chains end in.
func (s *snapshot) admitBy(v *verdict, chains [][]*x509.Certificate, set *authorities) {
	v.reason = ReasonRevoked
	for _, chain := range chains {
		if slices.ContainsFunc(chain, s.isRevoked) {
			continue
		}
		if v.issuers == nil {
			v.issuers = slices.Clone(chain[1:]) // a clone, so as not to keep the leaf
		}
		for _, name := range set.vouching(chain[len(chain)-1]) {
			if !slices.Contains(v.bundles, name) {
				v.bundles = append(v.bundles, name)
			}
		}
	}
	if len(v.bundles) == 0 {
		return
	}
	leaf := chains[0][0]
	v.valid, v.reason, v.notAfter = true, "", leaf.NotAfter
	if cns := cert.CommonNames(leaf); len(cns) == 1 {
		v.commonName = cns[0]
	}
}

func intermediates(sent []*x509.Certificate, set *authorities) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range sent {
		pool.AddCert(c)
	}
	for _, c := range set.intermediates {
		pool.AddCert(c)
	}
	return pool
}

// precheck bounds what verification can cost.
func precheck(chain []*x509.Certificate) Reason {
	if len(chain) > maxChain {
		return ReasonTooMany
	}
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if size > maxChainBytes {
		return ReasonTooLarge
	}
	for _, c := range chain {
		if len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses)+len(c.URIs) > maxNames {
			return ReasonTooManyNames
		}
		if !acceptedKey(c.PublicKey) {
			return ReasonKey
		}
	}
	return ""
}

func acceptedKey(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSA && bits <= maxRSA
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// checkLeaf refuses what crypto/x509 would let through, or would name less
// clearly.
func (s *snapshot) checkLeaf(leaf *x509.Certificate, now time.Time) Reason {
	switch {
	case leaf.IsCA:
		return ReasonLeafIsCA
	case len(cert.CommonNames(leaf)) > 1:
		// x509 keeps the last one only: which of them a policy means is open.
		return ReasonCommonNames
	case !s.usableByClient(leaf):
		return ReasonUsage
	case now.Before(leaf.NotBefore):
		return ReasonNotYetValid
	case now.After(leaf.NotAfter):
		return ReasonExpired
	}
	return ""
}

func (s *snapshot) usableByClient(leaf *x509.Certificate) bool {
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 {
		return !s.requireEKU
	}
	return slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func (s *snapshot) isRevoked(c *x509.Certificate) bool {
	_, revoked := s.revoked[sha256.Sum256(c.Raw)]
	return revoked
}

// reasonOf names the failure of a chain whose leaf is fine by itself.
func reasonOf(err error) Reason {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return ReasonExpired
		case x509.IncompatibleUsage:
			return ReasonUsage
		}
	}
	return ReasonUntrusted
}
