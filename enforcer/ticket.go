package enforcer

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"time"
)

// maxSession is how long after a full handshake its session may be resumed.
const maxSession = 8 * time.Hour

// sealID marks our entry in a session's Extra.
var sealID = []byte("certvigil/2:")

// A seal binds the sessions of one TLS configuration to its host name and that
// name's CA set, to the client's certificate, and to the time of the full
// handshake. Unsealing fails closed: whatever does not match means a full
// handshake, in which the client is asked for a certificate anew.
//
// It holds on to no snapshot, since it lives as long as its connections.
type seal struct {
	enforcer *Enforcer
	binding  [sha256.Size]byte // identifies the site and its CA set
	name     string            // the connection's, normalised
	since    time.Time         // of the full handshake, when the connection resumed one
}

// newSeal returns what binds sessions to a site with a CA set. Sites are known
// by their name and sets by their certificates, so that sessions outlive a
// state in which neither has changed.
func newSeal(e *Enforcer, key configKey) *seal {
	h := sha256.New()
	h.Write([]byte(key.site.hostname))
	sums := make([][sha256.Size]byte, 0, len(key.set.members))
	for _, c := range key.set.members {
		sums = append(sums, sha256.Sum256(c.Raw))
	}
	slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	for _, sum := range slices.Compact(sums) {
		h.Write(sum[:])
	}
	s := &seal{enforcer: e}
	h.Sum(s.binding[:0])
	return s
}

// resumable returns the configuration for a client that may resume, a copy of
// its own: only so does the time of the full handshake pass from the old ticket
// to the new one. (TLS 1.3 renews the ticket at each resumption, and crypto/tls
// gives the callbacks no connection to tell them apart.)
func (h *hostConfig) resumable(hello *tls.ClientHelloInfo, name string) *tls.Config {
	const extensionPreSharedKey = 41 // RFC 8446 §4.2.11
	if h.config.SessionTicketsDisabled {
		return h.config
	}
	modern := slices.Contains(hello.SupportedVersions, tls.VersionTLS13)
	if modern && !slices.Contains(hello.Extensions, extensionPreSharedKey) {
		return h.config
	}
	own, s := h.config.Clone(), &seal{enforcer: h.seal.enforcer, binding: h.seal.binding, name: name}
	own.WrapSession, own.UnwrapSession = s.wrap, s.unwrap
	return own
}

// What an entry holds, after sealID: binding, chain, time, host name.
const (
	chainAt = sha256.Size
	timeAt  = chainAt + sha256.Size
	nameAt  = timeAt + 8
)

func (s *seal) wrap(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	now := s.enforcer.now()
	since := s.since
	if !cs.DidResume || since.IsZero() {
		since = now
	}
	chain := chainIdentity(cs.PeerCertificates)
	entry := append(slices.Clone(sealID), s.binding[:]...)
	entry = append(entry, chain[:]...)
	entry = binary.BigEndian.AppendUint64(entry, uint64(since.UnixMilli()))
	entry = append(entry, cs.ServerName...)
	session.Extra = append(session.Extra, entry)
	return s.enforcer.sealer.at(now).EncryptTicket(cs, session)
}

func (s *seal) unwrap(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	session, err := s.enforcer.sealer.at(s.enforcer.now()).DecryptTicket(ticket, cs)
	if err != nil || session == nil {
		return nil, err
	}
	for _, entry := range session.Extra {
		if since, ok := s.open(entry, cs.ServerName); ok {
			s.since = since
			return session, nil
		}
	}
	return nil, nil //nolint:nilnil // crypto/tls: no session, do a full handshake
}

// unwrapNone is for the configuration that connections share: a client that
// may resume has a seal of its own.
func unwrapNone([]byte, tls.ConnectionState) (*tls.SessionState, error) {
	return nil, nil //nolint:nilnil // crypto/tls: no session, do a full handshake
}

// open reads our entry. A session without a client certificate is never
// resumed, nor is one whose certificate is known to be refused: the client may
// have another by now, and would not be asked.
func (s *seal) open(entry []byte, serverName string) (since time.Time, ok bool) {
	rest, ok := bytes.CutPrefix(entry, sealID)
	if !ok || len(rest) < nameAt || [sha256.Size]byte(rest) != s.binding || string(rest[nameAt:]) != serverName {
		return time.Time{}, false
	}
	chain := [sha256.Size]byte(rest[chainAt:])
	if chain == nobodysChain {
		return time.Time{}, false
	}
	now := s.enforcer.now()
	current := s.enforcer.current.Load()
	if v, known := current.verdicts.get(verdictKey{chain, current.authoritiesFor(s.name).id}); known && !v.valid && v.holds(now) {
		return time.Time{}, false
	}
	since = time.UnixMilli(int64(binary.BigEndian.Uint64(rest[timeAt:nameAt]))) //nolint:gosec // written by wrap
	age := now.Sub(since)
	return since, age >= 0 && age < maxSession
}

// nobodysChain is the identity of no certificates at all.
var nobodysChain = chainIdentity(nil)
