package enforcer_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
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
		{"a certificate known to be refused", func(v *visitor, g *guard) {
			old, renewed := g.james(), g.james()
			v.visit(orders, old, 200, false)
			g.revoke(cert.Fingerprint(old.Leaf))
			v.visit(orders, old, 403, true)
			v.visit(orders, renewed, 200, false) // asked again, with no more ado
		}},
		{"another host name of the same application and CAs", func(v *visitor, g *guard) {
			wild(g, bundle("both", g.ca, "a.wild.example.com", "b.wild.example.com"))
			pair := g.james()
			v.visit("a.wild.example.com", pair, 200, false)
			v.visit("b.wild.example.com", pair, 200, false)
			v.visit("b.wild.example.com", pair, 200, true)
		}},
		{"another host name of the same application, with other CAs", func(v *visitor, g *guard) {
			wild(g, bundle("a", g.ca, "a.wild.example.com"), bundle("b", g.other, "b.wild.example.com"))
			v.visit("a.wild.example.com", g.james(), 200, false)
			v.visit("b.wild.example.com", leaf(g.other), 200, false)
		}},
		{"a CA was added meanwhile", func(v *visitor, g *guard) {
			v.visit(orders, g.james(), 200, false)
			g.state.Bundles = append(g.state.Bundles, bundle("added", certtest.NewCA(), orders))
			g.apply()
			v.visit(orders, g.james(), 200, false)
		}},
		{"the CA was replaced meanwhile", func(v *visitor, g *guard) {
			v.visit(orders, g.james(), 200, false)
			g.state.Bundles = []enforcer.Bundle{bundle("root", g.other, orders)}
			g.apply()
			v.visit(orders, leaf(g.other), 200, false)
		}},
		{"another host's CAs have changed", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			g.state.Bundles = append([]enforcer.Bundle{bundle("third", g.other, lonely)}, g.state.Bundles...)
			g.apply()
			v.visit(orders, pair, 200, true)
		}},
		{"after a restart", func(v *visitor, g *guard) {
			pair := g.james()
			v.visit(orders, pair, 200, false)
			next := *g
			next.start(enforcer.Options{})
			v.g = &next
			v.visit(orders, pair, 200, false)
			v.visit(orders, pair, 200, true)
		}},
		{"never switched on", func(v *visitor, g *guard) {
			g.state.SessionTickets = false
			g.apply()
			v.visit(orders, g.james(), 200, false)
			if v.session.last != nil {
				v.t.Error("a ticket was issued")
			}
			v.visit(orders, g.james(), 200, false)
		}},
		{"the clock was set back", func(v *visitor, g *guard) {
			v.visit(orders, g.james(), 200, false)
			g.clock.advance(-time.Minute)
			v.visit(orders, g.james(), 200, false)
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

// wild adds an application for *.wild.example.com.
func wild(g *guard, bundles ...enforcer.Bundle) {
	app := g.state.Applications[0]
	app.Name, app.ID, app.Hostname = "wild", "wild", "*.wild.example.com"
	g.state.Applications = append(g.state.Applications, app)
	g.state.Bundles = append(g.state.Bundles, bundles...)
	g.apply()
}

// TestTickets_keys: a ticket's key is forgotten once no ticket of its time is
// good any more, so that it opens no recording either.
func TestTickets_keys(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	v := &visitor{t: t, g: g, version: tls.VersionTLS12}
	v.visit(orders, g.james(), 200, false)
	ticket, _, err := v.session.last.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		opens bool
	}{{0, true}, {enforcer.MaxSession, true}, {time.Hour - time.Second, true}, {time.Second, false}} {
		g.clock.advance(step.after)
		if got := enforcer.OpensTicket(g.Enforcer, ticket); got != step.opens {
			t.Errorf("after %v more: opens %v, want %v", step.after, got, step.opens)
		}
	}
	for range 30 {
		g.clock.advance(time.Hour)
		enforcer.OpensTicket(g.Enforcer, ticket)
	}
	if n := enforcer.TicketKeys(g.Enforcer); n > 9 {
		t.Errorf("%d keys are kept", n)
	}
}
