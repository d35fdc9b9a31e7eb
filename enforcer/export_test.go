package enforcer

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"time"
)

// Seams for the tests of pure parts.
var (
	ClientAddr = clientAddr

	ForwardedElement = forwardedElement
	CanonicalPath    = canonicalPath
	Network          = network
)

// Strip leaves of a header what an origin gets of it.
func Strip(h http.Header) {
	var o outgoing
	o.passOn(h, nil)
	o.setIdentity(&exchange{cookies: h["Cookie"]})
	clear(h)
	for _, f := range o.fields {
		h[f.Name] = append(h[f.Name], f.Value)
	}
}

const MaxSession = maxSession

// RFC2253 spells an encoded name, escaping what is not ASCII if ascii is set.
func RFC2253(raw []byte, ascii bool) string { return parseName(raw).rfc2253(ascii) }

// LegacyName spells an encoded name as OpenSSL's oneline.
func LegacyName(raw []byte) string { return parseName(raw).legacy() }

// Route returns the site's pattern for a Host on a connection made for sni.
func Route(e *Enforcer, sni, host string) (site, name string, status int) {
	r, _, status := e.current.Load().routeTo(&client{name: sni}, host)
	if status != 0 {
		return "", "", status
	}
	return r.site.hostname, r.name, 0
}

// Decide evaluates policies for a client with a certificate that is valid or
// not, vouched for by bundles.
func Decide(policies []Policy, leaf *x509.Certificate, valid bool, bundles []string, addr netip.Addr) (Action, string, Reason, error) {
	compiled, err := compilePolicies(policies)
	if err != nil {
		return "", "", "", err
	}
	c, v := &client{}, noCertificate
	if leaf != nil {
		c.chain = []*x509.Certificate{leaf}
		v = &verdict{reason: ReasonUntrusted}
	}
	if valid {
		v = &verdict{valid: true, commonName: leaf.Subject.CommonName, bundles: bundles}
	}
	var d decision
	d.decideBy(decide(compiled, facts{c, v, addr}, nil))
	return d.action, d.policy, d.reason, nil
}

// ApplicationAt returns the path of the application for a URL, of applications
// at the given paths of one host.
func ApplicationAt(paths []string, u *url.URL) (path string, ambiguous bool) {
	s := &site{nested: len(paths) > 1 || paths[0] != "/"}
	for _, p := range paths {
		s.apps = append(s.apps, &application{path: p})
	}
	app, ambiguous := s.application(u)
	if app == nil {
		return "", ambiguous
	}
	return app.path, ambiguous
}

// A Judge judges one client's requests without a network.
type Judge struct {
	e   *Enforcer
	sub subject
}

// NewJudge returns a judge for a client that has presented chain.
func NewJudge(e *Enforcer, host string, chain ...*x509.Certificate) *Judge {
	c := &client{name: host, chain: chain, addr: netip.MustParseAddr("127.0.0.1")}
	return &Judge{e, subject{client: c, host: host, target: url.URL{Path: "/"}, addr: c.addr}}
}

// Judge returns the status of a request.
func (j *Judge) Judge(now time.Time) int {
	d := j.e.current.Load().judge(&j.sub, now)
	return d.status
}

// Disclose returns how many headers the origin would get about the client.
func (j *Judge) Disclose(now time.Time) int {
	d := j.e.current.Load().judge(&j.sub, now)
	return len(d.app.disclose(j.sub.client, &d))
}

// Reconnect drops what the connection remembers.
func (j *Judge) Reconnect() { j.sub.client.verdict.Store(nil) }

// Forget drops what is remembered of verdicts.
func (j *Judge) Forget() {
	j.sub.client.verdict.Store(nil)
	s := j.e.current.Load()
	s.verdicts = newMemo[verdictKey, *verdict](maxVerdicts)
}

// Flights returns the number of requests being served.
func (e *Enforcer) Flights() int { return len(e.flights.Append(nil)) }

// Blocked reports whether a call is found to block by a watcher that looks so far
// from the clock.
func Blocked(limit time.Duration, lags ...time.Duration) (blocked bool) {
	var w waiting
	w.begin()
	for _, lag := range lags {
		blocked = w.blocked(time.Now().Add(lag), limit)
	}
	return blocked
}

// BusyHandshakes returns the number of slots that are taken.
func (e *Enforcer) BusyHandshakes() int { return len(e.slots.all) }

// A PathCase is a chain to be verified without a network.
type PathCase struct {
	Chain   []*x509.Certificate // as a client sends it
	Bundles []Bundle
	State   State // what is revoked
	At      time.Time
	Usage   x509.ExtKeyUsage // that the leaf needs; 0: clientAuth
	Longest int              // chain, in certificates; 0: the product's own limit
}

// Examine returns the verdict, and until when it holds.
func (p PathCase) Examine() (valid bool, reason Reason, detail string, until time.Time) {
	s := &snapshot{limits: limits{certificates: maxChain, bytes: 64 << 10}, usage: x509.ExtKeyUsageClientAuth}
	if p.Usage != 0 {
		s.usage = p.Usage
	}
	if p.Longest != 0 {
		s.limits.certificates = min(p.Longest, maxChain)
	}
	if err := s.compileRevocation(p.State); err != nil {
		panic(err)
	}
	set := newAuthorities(1)
	for i := range p.Bundles {
		if err := set.add(&p.Bundles[i]); err != nil {
			panic(err)
		}
	}
	v := s.examine(p.Chain, set, p.At)
	return v.valid, v.reason, v.detail, v.until
}

// Health returns the status of a health check.
func Health(e *Enforcer) int {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, healthPath, nil))
	return w.Code
}

// OpensTicket reports whether a key to the ticket is still known.
func OpensTicket(e *Enforcer, ticket []byte) bool {
	session, err := e.sealer.at(e.now()).DecryptTicket(ticket, tls.ConnectionState{})
	return err == nil && session != nil
}

// TicketKeys returns how many keys are kept.
func TicketKeys(e *Enforcer) int { return len(e.sealer.keys) }
