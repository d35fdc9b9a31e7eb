package enforcer

import (
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// reportAgain is how long one report of a certificate on a connection does: a
// connection may stay open for a day, and it is in use for all of it.
const reportAgain = time.Hour

// A Sighting tells that a connection presents a certificate which the CAs of a
// host name vouch for, whatever the policies then say.
type Sighting struct {
	Leaf      *x509.Certificate
	LeafID    [sha256.Size]byte   // SHA-256 of the leaf's DER
	Authority []*x509.Certificate // of a chain that holds, the leaf's issuer first, the anchor last
	Hostname  string              // as it is configured; exact or wildcard
	At        time.Time
}

// A seen is what a connection has last reported.
type seen struct {
	name  string // of the request
	again time.Time
}

// reports is what a connection has reported, by configured name.
type reports struct {
	last  atomic.Pointer[seen]
	mu    sync.Mutex
	again map[string]time.Time
}

// see reports the certificate of a request, the first time that a connection
// shows it at a host name and every reportAgain.
func (e *Enforcer) see(c *client, s *snapshot, d *decision, now time.Time) {
	if e.sighted == nil || !d.verdict.valid {
		return
	}
	if last := c.reports.last.Load(); last != nil && last.name == d.name && now.Before(last.again) {
		return
	}
	name := s.configuredName(d)
	if !c.reports.due(d.name, name, now) {
		return
	}
	e.sighted(Sighting{Leaf: c.chain[0], LeafID: c.leafID, Authority: d.verdict.issuers, Hostname: name, At: now})
}

// due notes a report, unless one from not long ago does.
func (r *reports) due(asked, configured string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	again, ok := r.again[configured]
	due := !ok || !now.Before(again)
	if due {
		if r.again == nil {
			r.again = map[string]time.Time{}
		}
		again = now.Add(reportAgain)
		r.again[configured] = again
	}
	r.last.Store(&seen{asked, again})
	return due
}

// configuredName returns the name by which the configuration, or a CA's
// association, knows a request's host: what a client can make up below a
// wildcard would be without bound.
func (s *snapshot) configuredName(d *decision) string {
	if !strings.HasPrefix(d.site.hostname, "*") {
		return d.site.hostname
	}
	if _, exact := s.sets[d.name]; exact {
		return d.name
	}
	return d.site.hostname
}
