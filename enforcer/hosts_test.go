package enforcer_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

// A neighbourhood is a guard with host names of every kind side by side, each
// with a CA of its own.
type neighbourhood struct {
	*guard
	hosts   []neighbour
	clients map[string]*tls.Certificate // by host: one of that host's CA
}

// A neighbour is a host name, and the application it belongs to.
type neighbour struct{ host, application string }

func newNeighbourhood(t *testing.T) *neighbourhood {
	const domain = "wild.example.com"
	n := &neighbourhood{
		guard: newGuard(t), clients: map[string]*tls.Certificate{},
		hosts: []neighbour{
			// One wildcard application: two host names with CAs of their own, one without.
			{"one." + domain, "*." + domain},
			{"two." + domain, "*." + domain},
			{"rest." + domain, "*." + domain},
			{"exact." + domain, "exact." + domain},       // below the wildcard
			{domain, domain},                             // the apex
			{"in.deep." + domain, "*.deep." + domain},    // a wildcard below the wildcard
			{"own.deep." + domain, "own.deep." + domain}, // and an exact name below that
		},
	}
	names := make([]string, 0, len(n.hosts))
	n.state.Applications, n.state.Bundles = n.state.Applications[:1], n.state.Bundles[:0]
	seen := map[string]bool{}
	for _, at := range n.hosts {
		names = append(names, at.host)
		if !seen[at.application] {
			app := n.state.Applications[0]
			app.ID, app.Name, app.Hostname = at.application, at.application, at.application
			n.state.Applications = append(n.state.Applications, app)
			seen[at.application] = true
		}
		ca := certtest.NewCA(certtest.CommonName("CA of " + at.host))
		associated := at.host
		if at.host == "rest."+domain || at.host == "in.deep."+domain {
			associated = at.application // whatever has no CA of its own
		}
		n.state.Bundles = append(n.state.Bundles, bundle(at.host, ca, associated))
		n.clients[at.host] = leaf(ca, certtest.CommonName("James Royal"), certtest.Client())
	}
	n.state.Certificates = []tls.Certificate{n.serverCA.Issue(certtest.Server(names...)).TLSChain()}
	n.apply()
	return n
}

// want returns the status for a client of owner's CA that asks for host over a
// connection that was made for made.
func (n *neighbourhood) want(owner string, made, host neighbour) int {
	switch {
	case made.application != host.application:
		return http.StatusMisdirectedRequest
	case owner == host.host:
		return http.StatusOK
	}
	return http.StatusForbidden
}

// TestNeighbours: a client enters the host names whose CA issued it, and no
// other, however it gets there: on a connection of its own, on one that was
// made for a neighbour (HTTP/1.1, and HTTP/2 as browsers coalesce), or with a
// neighbour's session.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	t.Run("connections", func(t *testing.T) {
		t.Parallel()
		for _, mode := range []struct {
			change func(*http.Transport)
			owners int
		}{{func(*http.Transport) {}, 2}, {http2, 7}} { // over HTTP/1.1 each 421 costs a handshake
			n := newNeighbourhood(t)
			for _, at := range n.hosts[:mode.owners] {
				owner, pair := at.host, n.clients[at.host]
				for _, made := range n.hosts {
					client := n.client(pair, mode.change, func(tr *http.Transport) { tr.TLSClientConfig.ServerName = made.host })
					for _, host := range n.hosts {
						a := get(t, client, "https://"+made.host+"/", "Host", host.host)
						if want := n.want(owner, made, host); a.StatusCode != want {
							t.Errorf("%s: client of %s asks for %s on a connection for %s: %d, want %d", a.Proto, owner, host.host, made.host, a.StatusCode, want)
						}
					}
				}
			}
			n.wantSeen(t)
		}
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run("sessions, "+tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			n := newNeighbourhood(t)
			for owner, pair := range n.clients {
				for _, made := range n.hosts {
					host := n.hosts[0] // each neighbour's session is tried here
					v := &visitor{t: t, g: n.guard, version: version}
					v.visit(made.host, pair, n.want(owner, made, made), false)
					// One of another name, or of a refused client, is good for nothing.
					v.visit(host.host, pair, n.want(owner, host, host), made.host == host.host && owner == host.host)
				}
			}
			n.wantSeen(t)
		})
	}
}

// wantSeen drains what the origin saw: each request in the name of a client of
// the very host that it asked for.
func (n *neighbourhood) wantSeen(t *testing.T) {
	t.Helper()
	for len(n.seen) > 0 {
		r := <-n.seen
		if r.Header.Get("Cf-Access-Jwt-Assertion") == "" {
			t.Errorf("a request for %s arrived as nobody's", r.Host)
		}
	}
}

// TestNeighbours_removed: the CA of one host name gone, its clients fall back
// on nothing, and the neighbours stay as they were.
func TestNeighbours_removed(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	one, two, rest := n.hosts[0], n.hosts[1], n.hosts[2]
	n.state.Bundles = n.state.Bundles[1:]
	n.apply()
	for _, tt := range []struct {
		owner, host neighbour
		want        int
	}{
		{one, one, 403},  // its CA is gone
		{rest, one, 200}, // the wildcard's CA counts where there is no other
		{two, one, 403}, {two, two, 200}, {rest, two, 403},
	} {
		a := get(t, n.client(n.clients[tt.owner.host]), "https://"+tt.host.host+"/")
		if a.StatusCode != tt.want {
			t.Errorf("client of %s at %s: %d, want %d", tt.owner.host, tt.host.host, a.StatusCode, tt.want)
		}
	}
}

// TestReportOnly_honest: what would be denied passes, is logged and counted,
// and the origin is told nothing that is not so.
func TestReportOnly_honest(t *testing.T) {
	t.Parallel()
	counts := &counts{}
	g := newGuardWith(t, enforcer.Options{Metrics: enforcer.Metrics{Request: counts.request}}, reportsOnly, func(s *enforcer.State) {
		app := &s.Applications[0]
		app.Policies = []enforcer.Policy{policy("no guests", enforcer.Block, named("Guest")), policy("staff", enforcer.Allow, named("James Royal"))}
		app.Forwarding, app.RFC9440, app.TLSClientAuthHeaders = enforcer.ForwardEvery, true, true
	})
	for _, tt := range []struct {
		name               string
		pair               *tls.Certificate
		reason             enforcer.Reason
		identified         bool
		presented, checked string
	}{
		{"admitted", g.james(), "", true, "true", "true"},
		{"blocked", leaf(g.ca, certtest.CommonName("Guest"), certtest.Client()), enforcer.ReasonBlocked, true, "true", "true"},
		{"no policy", leaf(g.ca, certtest.CommonName("Else"), certtest.Client()), enforcer.ReasonNoPolicy, true, "true", "true"},
		{"no certificate", nil, enforcer.ReasonNoCertificate, false, "false", "false"},
		{"of another CA", leaf(g.other, certtest.CommonName("James Royal"), certtest.Client()), enforcer.ReasonUntrusted, false, "true", "false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			counts.reset()
			a := get(t, g.client(tt.pair), "https://"+orders+"/")
			wantStatus(t, a, 200)
			h := (<-g.seen).Header
			for _, name := range []string{"Cf-Access-Jwt-Assertion", "Cf-Client-Cert-Sha256", "Client-Cert", "Cf-Cert-Subject-Dn"} {
				if got := h.Get(name) != ""; got != tt.identified {
					t.Errorf("%s: told %v, want %v", name, got, tt.identified)
				}
			}
			if h.Get("Cf-Cert-Presented") != tt.presented || h.Get("Cf-Cert-Verified") != tt.checked {
				t.Errorf("presented %s, verified %s", h.Get("Cf-Cert-Presented"), h.Get("Cf-Cert-Verified"))
			}
			if got := len(a.Cookies()) > 0; got != tt.identified {
				t.Errorf("cookie %v", a.Cookies())
			}
			counts.want(t, "orders true "+string(tt.reason))
		})
	}
}
