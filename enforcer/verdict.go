package enforcer

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"
)

// A verdict is what a client's chain is worth to one CA set. It depends on
// nothing but the chain, the snapshot and the clock, and holds until the next
// certificate or revocation list involved becomes valid or ends.
type verdict struct {
	seq   uint64    // of the snapshot
	set   int       // of the CA set
	until time.Time // first instant of doubt; zero means never

	valid      bool
	reason     Reason // why it is not valid
	detail     string // what exactly, for the log
	commonName string
	bundles    []string // whose anchors vouch for the client
	notAfter   time.Time
	issuers    []*x509.Certificate // of the chain that holds, the leaf's first, the anchor last

	names atomic.Pointer[leafNames] // of the leaf, once a selector has asked for them

	told sync.Map // *application → fields: what its origin is told of the client
}

type verdictKey struct {
	chain [sha256.Size]byte
	set   int
}

// noCertificate is the verdict on a client that presented nothing.
var noCertificate = &verdict{reason: ReasonNoCertificate}

func (v *verdict) holds(now time.Time) bool { return v.until.IsZero() || now.Before(v.until) }

// doubtFrom bounds how long the verdict holds.
func (v *verdict) doubtFrom(at, now time.Time) { v.until = sooner(v.until, at, now) }

// verdict returns the remembered one, of the connection or of another one of
// the same client, or examines the chain. Refusals are remembered likewise.
func (s *snapshot) verdict(c *client, set *authorities, now time.Time) *verdict {
	if len(c.chain) == 0 {
		return noCertificate
	}
	if v := c.verdict.Load(); v != nil && v.seq == s.seq && v.set == set.id && v.holds(now) {
		s.verified(0, true)
		return v
	}
	key := verdictKey{c.chainID, set.id}
	v, ok := s.verdicts.get(key)
	if ok && v.holds(now) {
		s.verified(0, true)
	} else {
		began := s.now()
		v = s.examine(c.chain, set, now)
		s.verified(s.now().Sub(began), false)
		s.verdicts.put(key, v)
	}
	c.verdict.Store(v)
	return v
}
