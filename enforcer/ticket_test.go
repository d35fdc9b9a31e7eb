package enforcer_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
)

// oneSession offers the last session to whatever server it meets.
type oneSession struct{ last *tls.ClientSessionState }

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.last, s.last != nil }
func (s *oneSession) Put(_ string, cs *tls.ClientSessionState)   { s.last = cs }

// A visitor makes one request per connection, with one session in its pocket.
type visitor struct {
	t       *testing.T
	g       *guard
	version uint16
	session oneSession
}

func (v *visitor) visit(host string, pair *tls.Certificate, wantStatusCode int, wantResumed bool) {
	v.t.Helper()
	client := v.g.client(pair, func(tr *http.Transport) {
		tr.DisableKeepAlives = true
		tr.TLSClientConfig.ClientSessionCache = &v.session
		tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = v.version, v.version
	})
	a := get(v.t, client, "https://"+host+"/")
	wantStatus(v.t, a, wantStatusCode)
	if a.TLS.DidResume != wantResumed {
		v.t.Errorf("%s: resumed %v, want %v", host, a.TLS.DidResume, wantResumed)
	}
}

func TestTickets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		run  func(v *visitor, g *guard)
	}{
		{"resumed", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			v.visit(orders, pair, 200, true)
			v.visit(orders, pair, 200, true)
		}},
		{"survives a new state", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.apply()
			v.visit(orders, pair, 200, true)
		}},
		{"revoked meanwhile", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.revoke(cert.Fingerprint(pair.Leaf))
			v.visit(orders, pair, 403, true)
		}},
		{"replayed to another host", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			v.visit(admin, pair, 403, false)
			v.visit(orders, pair, 200, false) // the session is admin's by now
		}},
		{"made without a certificate", func(v *visitor, g *guard) {
			v.visit(orders, nil, 403, false)
			v.visit(orders, g.james(), 200, false)
		}},
		{"made without, still without", func(v *visitor, _ *guard) {
			v.visit(orders, nil, 403, false)
			v.visit(orders, nil, 403, false)
		}},
		{"just below 8 h", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.clock.advance(enforcer.MaxSession - time.Minute)
			v.visit(orders, pair, 200, true)
		}},
		{"8 h old", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.clock.advance(enforcer.MaxSession)
			v.visit(orders, pair, 200, false)
		}},
		{"8 h since the full handshake, though renewed", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.clock.advance(5 * time.Hour)
			v.visit(orders, pair, 200, true)
			g.clock.advance(5 * time.Hour)
			v.visit(orders, pair, 200, false)
		}},
		{"unknown name", func(v *visitor, g *guard) {
			v.visit(orders, g.james(), 200, false)
			g.state.Applications = g.state.Applications[1:]
			g.apply()
			client := g.client(g.james(), func(tr *http.Transport) { tr.TLSClientConfig.ClientSessionCache = &v.session })
			if _, err := client.Get("https://" + orders + "/"); err == nil {
				v.t.Error("a session opened a name that is nobody's")
			}
		}},
		{"switched off", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.state.SessionTickets = false
			g.apply()
			v.visit(orders, pair, 200, false)
		}},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				g := newGuard(t)
				tt.run(&visitor{t: t, g: g, version: version}, g)
			})
		}
	}
}
