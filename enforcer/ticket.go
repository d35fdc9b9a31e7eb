package enforcer

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"time"
)

// maxSession is how long after a full handshake its session may be resumed.
const maxSession = 8 * time.Hour

// sealID marks our entry in a session's Extra.
var sealID = []byte("certvigil/1:")

// A seal binds the sessions of one TLS configuration to its site, to the
// presence of a client certificate, and to the time of the full handshake.
// Unsealing fails closed: whatever does not match means a full handshake.
type seal struct {
	enforcer *Enforcer
	site     string
	since    time.Time // of the full handshake, when the connection resumed one
}

// sealing returns cfg, or, for a client that may resume, a copy of its own:
// only so does the time of the full handshake pass from the old ticket to the
// new one. (TLS 1.3 renews the ticket at each resumption, and crypto/tls gives
// the callbacks no connection to tell them apart.)
func (e *Enforcer) sealing(cfg *tls.Config, at *site, hello *tls.ClientHelloInfo) *tls.Config {
	const extensionPreSharedKey = 41 // RFC 8446 §4.2.11
	if cfg.SessionTicketsDisabled {
		return cfg
	}
	modern := slices.Contains(hello.SupportedVersions, tls.VersionTLS13)
	if modern && !slices.Contains(hello.Extensions, extensionPreSharedKey) {
		return cfg
	}
	s := &seal{enforcer: e, site: at.hostname}
	own := cfg.Clone()
	own.WrapSession, own.UnwrapSession = s.wrap, s.unwrap
	return own
}

func (s *seal) wrap(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	since := s.since
	if !cs.DidResume || since.IsZero() {
		since = s.enforcer.now()
	}
	entry := slices.Clone(sealID)
	entry = append(entry, presence(len(cs.PeerCertificates) > 0))
	entry = binary.BigEndian.AppendUint64(entry, uint64(since.UnixMilli()))
	entry = append(entry, s.site...)
	session.Extra = append(session.Extra, entry)
	return s.enforcer.sealer.EncryptTicket(cs, session)
}

func (s *seal) unwrap(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	session, err := s.enforcer.sealer.DecryptTicket(ticket, cs)
	if err != nil || session == nil {
		return nil, err
	}
	for _, entry := range session.Extra {
		if since, ok := s.open(entry); ok {
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
// resumed: the client may have one by now, and would not be asked.
func (s *seal) open(entry []byte) (since time.Time, ok bool) {
	rest, ok := bytes.CutPrefix(entry, sealID)
	if !ok || len(rest) < 9 || rest[0] != presence(true) || string(rest[9:]) != s.site {
		return time.Time{}, false
	}
	since = time.UnixMilli(int64(binary.BigEndian.Uint64(rest[1:9]))) //nolint:gosec // written by wrap
	age := s.enforcer.now().Sub(since)
	return since, age >= 0 && age < maxSession
}

func presence(has bool) byte {
	if has {
		return 1
	}
	return 0
}
