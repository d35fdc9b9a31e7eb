package enforcer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
)

// examine judges a client's chain by a CA set at one instant (RFC 5280 §6, by
// crypto/x509 with explicit roots). It fails closed: a verdict is valid only
// at the very end, with at least one chain that is wholly valid and unrevoked.
func (s *snapshot) examine(chain []*x509.Certificate, set *authorities, now time.Time) (v *verdict) {
	v = &verdict{seq: s.seq, set: set.id}
	defer v.boundDetail()
	defer v.refuseOnPanic()
	v.until = horizon(now, chain, set.members)
	if v.reason, v.detail = s.limits.precheck(chain); v.reason != "" {
		return v
	}
	if set.isEmpty() {
		v.reason = ReasonNoAuthority
		return v
	}
	leaf := chain[0]
	if v.reason = s.checkLeaf(leaf); v.reason != "" {
		return v
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         set.roots,
		Intermediates: intermediates(chain[1:], set),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{s.usage},
	})
	if err != nil {
		v.reason, v.detail = reasonOf(err, now), err.Error()
		return v
	}
	s.admitBy(v, chains, set, now)
	return v
}

// refuseOnPanic keeps a defect in the verifier (CVE-2024-24783 was one) from
// doing more than refuse the certificate that provoked it.
func (v *verdict) refuseOnPanic() {
	if p := recover(); p != nil {
		v.valid, v.reason, v.detail = false, ReasonUntrusted, fmt.Sprint("verifying the chain panicked: ", p)
	}
}

// maxDetail is how much of a detail is kept.
const maxDetail = 512

// boundDetail cuts the detail short. Errors of crypto/x509 quote names, which
// anybody can make as long as a chain may be, and it is kept with the verdict
// and logged with every request.
func (v *verdict) boundDetail() {
	if len(v.detail) > maxDetail {
		v.detail = strings.ToValidUTF8(v.detail[:maxDetail], "") + "…"
	}
}

// admitBy makes the verdict valid if any one chain counts, and notes the
// bundles that vouch for these chains. If none does, the reason is that of the
// chain which came furthest.
func (s *snapshot) admitBy(v *verdict, chains [][]*x509.Certificate, set *authorities, now time.Time) {
	furthest := 0
	for _, chain := range chains {
		bundles, refused := s.appraise(v, chain, set, now)
		if len(bundles) == 0 {
			if refused.stage > furthest {
				furthest, v.reason, v.detail = refused.stage, refused.reason, refused.detail
			}
			continue
		}
		if v.issuers == nil {
			v.issuers = slices.Clone(chain[1:]) // a clone, so as not to keep the leaf
		}
		for _, name := range bundles {
			if !slices.Contains(v.bundles, name) {
				v.bundles = append(v.bundles, name)
			}
		}
	}
	if len(v.bundles) == 0 {
		return
	}
	leaf := chains[0][0]
	v.valid, v.reason, v.detail, v.notAfter = true, "", "", leaf.NotAfter
	if cns := cert.CommonNames(leaf); len(cns) == 1 {
		v.commonName = cns[0]
	}
}

// A refusal is why a chain that crypto/x509 holds valid does not count, and
// how far it came: the further, the more it says about the client.
type refusal struct {
	stage  int
	reason Reason
	detail string
}

// appraise returns the bundles that vouch for the client by this chain. What
// is revoked or not known to be good comes last, so that ReasonRevoked says
// that the chain is good but for that.
func (s *snapshot) appraise(v *verdict, chain []*x509.Certificate, set *authorities, now time.Time) ([]string, refusal) {
	if reason, detail := checkPath(chain); reason != "" {
		return nil, refusal{1, reason, detail}
	}
	bundles, objection := set.vouching(chain)
	if len(bundles) == 0 {
		return nil, refusal{2, ReasonConstraint, objection}
	}
	switch reason, detail := s.revocation.check(v, chain, now); reason {
	case "":
		return bundles, refusal{}
	case ReasonRevoked:
		return nil, refusal{3, reason, detail}
	default:
		return nil, refusal{4, reason, detail}
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

// checkLeaf refuses what crypto/x509 would let through, or would name less
// clearly.
func (s *snapshot) checkLeaf(leaf *x509.Certificate) Reason {
	switch {
	case leaf.IsCA:
		return ReasonLeafIsCA
	case len(cert.CommonNames(leaf)) > 1:
		// x509 keeps the last one only: which of them a policy means is open.
		return ReasonCommonNames
	case !signsHandshakes(leaf):
		return ReasonKeyUsage
	case !s.usableByClient(leaf):
		return ReasonUsage
	}
	return ""
}

// signsHandshakes holds a key usage to what it is used for: to sign a handshake
// (RFC 5246 §7.4.6, RFC 8446 §4.4.2.3). A leaf that may sign certificates
// without being a CA is a mistake that somebody else could make use of.
func signsHandshakes(leaf *x509.Certificate) bool {
	if extension(leaf, oidKeyUsage) == nil {
		return true
	}
	return leaf.KeyUsage&x509.KeyUsageDigitalSignature != 0 && leaf.KeyUsage&x509.KeyUsageCertSign == 0
}

func (s *snapshot) usableByClient(leaf *x509.Certificate) bool {
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 {
		return !s.requireEKU
	}
	return slices.Contains(leaf.ExtKeyUsage, s.usage) ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// reasonOf names the failure of a chain whose leaf is fine by itself.
func reasonOf(err error, now time.Time) Reason {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
			return ReasonNotYetValid
		case invalid.Reason == x509.Expired:
			return ReasonExpired
		case invalid.Reason == x509.IncompatibleUsage:
			return ReasonUsage
		}
	}
	return ReasonUntrusted
}
