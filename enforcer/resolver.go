package enforcer

import (
	"net/http"
	"strings"

	"github.com/certvigil/certvigil/internal/hostname"
)

// A site is a host name with its applications: the unit that SNI and Host must
// agree on, and that a session is sealed to.
type site struct {
	hostname string // exact or "*.example.com"
	apps     []*application
	nested   bool // paths decide, so they must be unambiguous
}

// A names is a table by host name, exact or wildcard. It is the one place
// where a name finds what belongs to it.
type names[T any] map[string]T

// find looks up a normalised name: exact beats wildcard, and a wildcard stands
// for exactly one label.
func (n names[T]) find(name string) (T, bool) {
	_, v, ok := n.lookup(name)
	return v, ok
}

// lookup is find that tells by which name it found.
func (n names[T]) lookup(name string) (string, T, bool) {
	if v, ok := n[name]; ok && !strings.HasPrefix(name, "*") {
		return name, v, true
	}
	wildcard := hostname.Wildcard(name)
	v, ok := n[wildcard]
	return wildcard, v, ok
}

// A route is what one spelling of Host means in one snapshot.
type route struct {
	seq  uint64
	host string // as the request spelled it
	name string // normalised
	site *site
	set  *authorities
}

// routeTo resolves the Host of a request. It fails closed: a name that cannot
// be read is a 400; one without application, or whose application is not the
// one that the connection was made for, is a 421 (RFC 9110 §15.5.20).
func (s *snapshot) routeTo(c *client, host string) (*route, Reason, int) {
	if r := c.route.Load(); r != nil && r.seq == s.seq && r.host == host {
		return r, "", 0
	}
	name, ok := s.normalize(host)
	if !ok {
		return nil, ReasonBadHost, http.StatusBadRequest
	}
	asked, ok := s.sites.find(name)
	made, connected := s.sites.find(c.name)
	if !ok || !connected || asked != made {
		return nil, ReasonMisdirected, http.StatusMisdirectedRequest
	}
	r := &route{seq: s.seq, host: host, name: name, site: asked, set: s.authoritiesFor(name)}
	c.route.Store(r)
	return r, "", 0
}

// normalize returns the one spelling of a Host or SNI, without its port.
func (s *snapshot) normalize(host string) (string, bool) {
	host = stripPort(host)
	if _, known := s.sites[host]; known && !strings.HasPrefix(host, "*") {
		return host, true // a configured name is normalised already
	}
	name, err := hostname.Normalize(host)
	return name, err == nil
}

// stripPort cuts a decimal port (RFC 9110 §7.2). What is not a port is left
// on, and refused as part of the name.
func stripPort(host string) string {
	name, port, ok := strings.Cut(host, ":")
	if !ok || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return host
	}
	return name
}

// authoritiesFor returns the CA set of exactly this name: its own association,
// else that of the wildcard covering it, else the empty one. Sets of several
// names are never united.
func (s *snapshot) authoritiesFor(name string) *authorities {
	if set, ok := s.sets.find(name); ok {
		return set
	}
	return s.empty
}
