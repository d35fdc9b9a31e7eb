package enforcer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/crl"
)

// A revocation knows who is revoked: certificates and keys by decree, and
// serial numbers by the lists of their issuers' keys.
type revocation struct {
	certs     map[[sha256.Size]byte]struct{}
	keys      map[[sha256.Size]byte]struct{}
	lists     map[[sha256.Size]byte]revocationList
	keepStale bool
}

// clockSkew is how far the clock of a CA may be ahead of this one: its newest
// list must not shut out everyone until the clocks agree. Uploads accept as much.
const clockSkew = 5 * time.Minute

// A revocationList says who is not revoked from its thisUpdate until a time,
// that included, and who is revoked for ever.
type revocationList struct {
	*crl.List
	until time.Time
}

// compileRevocation refuses what it cannot read: a revocation must not get
// lost by a wrong spelling.
func (s *snapshot) compileRevocation(state State) error {
	r := revocation{lists: make(map[[sha256.Size]byte]revocationList, len(state.RevocationLists)), keepStale: state.KeepStale}
	var err error
	if r.certs, err = decodeDigests("revoked fingerprint", state.Revoked); err != nil {
		return err
	}
	if r.keys, err = decodeDigests("revoked key", state.RevokedKeys); err != nil {
		return err
	}
	if state.Grace < 0 {
		return refuse("crl_grace", "the grace of revocation lists is negative")
	}
	for i, l := range state.RevocationLists {
		switch _, twice := r.lists[l.IssuerKey]; {
		case l.List == nil:
			return refuse("revocation_list", "revocation list %d is empty", i+1)
		case l.IssuerKey == [sha256.Size]byte{}:
			return refuse("revocation_list", "the revocation list of %s has no issuer's key", l.List.Issuer)
		case twice:
			return refuse("revocation_list", "there are two revocation lists of one key, that of %s", l.List.Issuer)
		}
		r.lists[l.IssuerKey] = revocationList{l.List, l.List.InForceUntil(state.Grace)}
	}
	s.revocation = r
	return nil
}

func decodeDigests(what string, digests map[string]struct{}) (map[[sha256.Size]byte]struct{}, error) {
	decoded := make(map[[sha256.Size]byte]struct{}, len(digests))
	for text := range digests {
		var id [sha256.Size]byte
		if !isHex(text) {
			return nil, refuse("revoked", "%s %q is not 64 lower-case hex digits", what, text)
		}
		if _, err := hex.Decode(id[:], []byte(text)); err != nil {
			return nil, refuse("revoked", "%s %q: %w", what, text, err)
		}
		decoded[id] = struct{}{}
	}
	return decoded, nil
}

// check returns why a chain does not count: one of its certificates is
// revoked, or whether it is cannot be told. Every certificate but the anchor is
// looked up in the list of the key that signed it, where one is known. The
// anchor has no such list: nobody's, if it is self-signed, and that of a CA that
// is not trusted here, if it is not. It is revoked by decree.
//
// The instants at which a list changes what it says go into the verdict.
func (r *revocation) check(v *verdict, chain []*x509.Certificate, now time.Time) (Reason, string) {
	var reason Reason
	var detail string
	for i, c := range chain {
		if _, revoked := r.certs[sha256.Sum256(c.Raw)]; revoked {
			return ReasonRevoked, fmt.Sprintf("certificate %s is revoked", cert.Fingerprint(c))
		}
		if _, revoked := r.keys[keyID(c)]; revoked {
			return ReasonRevoked, fmt.Sprintf("the key of certificate %s is revoked", cert.Fingerprint(c))
		}
		if i == len(chain)-1 {
			break
		}
		list, known := r.lists[keyID(chain[i+1])]
		if !known {
			continue
		}
		if list.Revokes(c.SerialNumber) {
			return ReasonRevoked, fmt.Sprintf("certificate %s is on the revocation list of %s", cert.Fingerprint(c), list.Issuer)
		}
		from := list.ThisUpdate.Add(-clockSkew)
		v.doubtFrom(from, now)
		v.doubtFrom(list.until.Add(time.Nanosecond), now)
		if !r.keepStale && (now.Before(from) || now.After(list.until)) {
			reason, detail = ReasonStaleCRL, fmt.Sprintf("the revocation list of %s was in force from %s to %s",
				list.Issuer, list.ThisUpdate.Format(time.RFC3339), list.until.Format(time.RFC3339))
		}
	}
	return reason, detail
}

// keyID identifies the key of a certificate, as State does.
func keyID(c *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
