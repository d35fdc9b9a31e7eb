package enforcer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

var nextProtos = []string{"h2", "http/1.1"}

// refuseName is the configuration for a name that is nobody's. crypto/tls
// answers a ClientHello for which there is no certificate at all with the
// alert unrecognized_name (112); an error from GetConfigForClient would become
// internal_error. Tickets are off, since a resumption needs no certificate.
var refuseName = &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}

type configKey struct {
	site *site
	set  *authorities
}

// configForClient fails closed: no state, no SNI without a default, a name
// that cannot be read or has no application all end in unrecognized_name. The
// name is taken from the whole ClientHello as crypto/tls has read it, and
// pinned to the connection.
func (e *Enforcer) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*client)
	s := e.current.Load()
	if !ok || s == nil {
		return refuseName, nil
	}
	name := s.fallback
	if hello.ServerName != "" {
		name, ok = s.normalize(hello.ServerName)
	}
	at, found := s.sites.find(name)
	if !ok || !found {
		c.refused = unknownName(hello.ServerName)
		return refuseName, nil
	}
	// From here on it costs: no more at once than there are slots.
	if c.release = e.slots.take(e.patience, c.addr, isTrusted(c.addr, s.trusted)); c.release == nil {
		return nil, errBusy
	}
	c.name = name
	return s.config(e, configKey{at, s.authoritiesFor(name)}).resumable(hello, name), nil
}

// unknownName says which name was asked for, since crypto/tls only knows that
// there is no certificate for it.
func unknownName(name string) error {
	if name == "" {
		return errors.New("the client asked for no host name, and there is no default_hostname")
	}
	return fmt.Errorf("no application has the host name %.255q", name)
}

// patience is for how long a client may wait in its handshake.
func (e *Enforcer) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.life, e.limits.HandshakeTimeout)
}

// A hostConfig is the TLS configuration of a site with a CA set.
type hostConfig struct {
	config *tls.Config
	seal   *seal
}

// config returns the configuration of a site with a CA set, made on first use.
func (s *snapshot) config(e *Enforcer, key configKey) *hostConfig {
	if h, ok := s.configs.get(key); ok {
		return h
	}
	h := &hostConfig{seal: newSeal(e, key), config: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Time:         e.now,
		NextProtos:   nextProtos,
		Certificates: s.certificatesFor(key.site.hostname),
		// Asked for, never required, never verified here: a missing or bad
		// certificate is a 403 and the verdict is taken at each request. The
		// authorities are but a hint for the client's choice.
		ClientAuth:             tls.RequestClientCert,
		ClientCAs:              key.set.hint,
		SessionTicketsDisabled: !s.tickets,
	}}
	if s.tickets {
		h.config.WrapSession, h.config.UnwrapSession = h.seal.wrap, unwrapNone
	}
	return s.configs.getOrPut(key, h)
}

// certificatesFor returns the server certificates that cover the host name,
// or all, so that crypto/tls chooses by SNI and falls back on the first.
func (s *snapshot) certificatesFor(name string) []tls.Certificate {
	covering := slices.DeleteFunc(slices.Clone(s.certificates), func(c tls.Certificate) bool {
		return c.Leaf.VerifyHostname(name) != nil
	})
	if len(covering) == 0 {
		return s.certificates
	}
	return covering
}
