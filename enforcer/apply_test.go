package enforcer_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

// TestApply_refuses: a wrong state is refused whole, and the old one stays.
func TestApply_refuses(t *testing.T) {
	t.Parallel()
	app := func(f func(*enforcer.Application)) func(*enforcer.State) {
		return func(s *enforcer.State) { f(&s.Applications[0]) }
	}
	selector := func(sel enforcer.Selector) func(*enforcer.State) {
		return app(func(a *enforcer.Application) { a.Policies = []enforcer.Policy{policy("p", enforcer.Allow, sel)} })
	}
	tests := []struct {
		name   string
		change func(*enforcer.State)
		rule   string
	}{
		{"no server certificate", func(s *enforcer.State) { s.Certificates = nil }, "server_certificate"},
		{"server certificate without leaf", func(s *enforcer.State) { s.Certificates[0].Leaf = nil }, "server_certificate"},
		{"no signing key", func(s *enforcer.State) { s.SigningKeys = nil }, "signing_key"},
		{"signing key without key", func(s *enforcer.State) { s.SigningKeys[0].Key = nil }, "signing_key"},
		{"signing key with a wrong id", func(s *enforcer.State) { s.SigningKeys[0].KID = "x" }, "signing_key"},
		{"signing key twice", func(s *enforcer.State) { s.SigningKeys = append(s.SigningKeys, s.SigningKeys[0]) }, "signing_key"},
		{"no issuer", func(s *enforcer.State) { s.Issuer = "" }, "issuer"},
		{"issuer with a slash", func(s *enforcer.State) { s.Issuer += "/" }, "issuer"},
		{"unknown forwarding", app(func(a *enforcer.Application) { a.Forwarding = "always" }), "application"},
		{"hostname in upper case", app(func(a *enforcer.Application) { a.Hostname = "Orders.example.com" }), "application"},
		{"hostname with port", app(func(a *enforcer.Application) { a.Hostname += ":443" }), "application"},
		{"same host and path", app(func(a *enforcer.Application) { a.Hostname = admin }), "application"},
		{"path without slash", app(func(a *enforcer.Application) { a.Path = "admin" }), "application"},
		{"path with dots", app(func(a *enforcer.Application) { a.Path = "/a/../b" }), "application"},
		{"path with escape", app(func(a *enforcer.Application) { a.Path = "/a%2fb" }), "application"},
		{"no origin", app(func(a *enforcer.Application) { a.Origin = nil }), "application"},
		{"origin of another kind", app(func(a *enforcer.Application) { a.Origin = &url.URL{Scheme: "ftp", Host: "x"} }), "application"},
		{"no aud", app(func(a *enforcer.Application) { a.AUD = "" }), "application"},
		{"no session", app(func(a *enforcer.Application) { a.SessionDuration = 0 }), "application"},
		{"unknown action", app(func(a *enforcer.Application) {
			a.Policies = []enforcer.Policy{policy("p", "permit", anyone...)}
		}), "application"},
		{"nobody included", app(func(a *enforcer.Application) { a.Policies = []enforcer.Policy{policy("p", enforcer.Allow)} }), "application"},
		{"empty selector", selector(enforcer.Selector{CA: "root"}), "application"},
		{"two selectors in one", selector(enforcer.Selector{Everyone: true, CommonName: []string{"x"}}), "application"},
		{"bundle for a wrong name", func(s *enforcer.State) { s.Bundles[0].Hostnames = []string{"a b"} }, "bundle"},
		{"bundle with a hole", func(s *enforcer.State) { s.Bundles[0].Anchors = append(s.Bundles[0].Anchors, nil) }, "bundle"},
		{"unreadable revocation", func(s *enforcer.State) { s.Revoked = map[string]struct{}{"AB:CD": {}} }, "revoked"},
		{"default hostname without application", func(s *enforcer.State) { s.DefaultHostname = "x.example.com" }, "default_hostname"},
		{"default hostname that is none", func(s *enforcer.State) { s.DefaultHostname = "a b" }, "default_hostname"},
	}
	g := newGuard(t)
	client := g.client(g.james())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := g.defaultState()
			tt.change(&state)
			err := g.Apply(state)
			if !fault.Is(err, fault.Invalid) || fault.Rule(err) != tt.rule {
				t.Fatalf("error %v (rule %q), want rule %q", err, fault.Rule(err), tt.rule)
			}
			wantStatus(t, get(t, client, "https://"+orders+"/"), 200)
		})
	}
}

// TestNoState: an enforcer that was given nothing refuses every handshake.
func TestNoState(t *testing.T) {
	t.Parallel()
	e, err := enforcer.New(enforcer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = e.Serve(l) }()
	t.Cleanup(func() { _ = e.Shutdown(t.Context()) })
	g := newGuard(t)
	g.addr = l.Addr().String()
	if _, err := g.client(g.james()).Get("https://" + orders + "/"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("error %v", err)
	}
}

// TestApply_concurrent has requests on their way while states come and go:
// none of a valid client is refused.
func TestApply_concurrent(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	states := []enforcer.State{g.state, g.state}
	states[1].Bundles = []enforcer.Bundle{bundle("renamed", g.ca, orders), bundle("extra", g.other, orders)}
	stop := make(chan struct{})
	var applying sync.WaitGroup
	applying.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := g.Apply(states[i%2]); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	var visiting sync.WaitGroup
	for range 4 {
		client := g.client(g.james(), http2)
		visiting.Go(func() {
			for range 25 {
				res, err := client.Get("https://" + orders + "/")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
	visiting.Wait()
	close(stop)
	applying.Wait()
}

func TestOriginFails(t *testing.T) {
	t.Parallel()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tt := range []struct {
		name, origin string
		want         int
	}{
		{"nobody listens", closed.URL, 502},
		{"never answers", hanging.URL, 504},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuardWith(t, enforcer.Options{OriginTimeout: 50 * time.Millisecond}, func(s *enforcer.State) {
				s.Applications[0].Origin, _ = url.Parse(tt.origin)
			})
			a := get(t, g.client(g.james()), "https://"+orders+"/")
			wantStatus(t, a, tt.want)
			if id := a.Header.Get("X-Request-Id"); !strings.Contains(a.body, id) || !strings.Contains(g.log.String(), "request_id="+id) {
				t.Error("the request id is not in page and log")
			}
			if strings.Contains(a.body, "127.0.0.1") {
				t.Error("the answer tells of the origin")
			}
		})
	}
}

func TestOriginPath(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		origin := *s.Applications[0].Origin
		origin.Path = "/base/"
		s.Applications[0].Origin = &origin
	})
	get(t, g.client(g.james()), "https://"+orders+"/x%2fy?q")
	if got := (<-g.seen).RequestURI; got != "/base/x%2fy?q" {
		t.Errorf("the origin saw %q", got)
	}
}

// TestUpgrade: a switch to anything but WebSocket would open a tunnel in which
// nothing is judged or stripped.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	seen := g.raw(g.james(), "GET / HTTP/1.1\r\nHost: "+orders+"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
		if got := seen.Header.Get(name); got != "" {
			t.Errorf("%s: %q arrived", name, got)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	g := newGuard(t, everyoneBypasses)
	for method, target := range map[string]string{"OPTIONS": "*", "CONNECT": orders + ":443"} {
		req := &http.Request{Method: method, URL: &url.URL{Scheme: "https", Host: orders, Opaque: target}, Host: orders, Header: http.Header{}}
		wantStatus(t, do(t, g.client(nil), req), 400)
	}
	if len(g.seen) > 0 {
		t.Error("the origin was reached")
	}
}

// TestHandshakeLimit: with the only slot taken by a client that stalls, the
// next one waits, and is served when the slot is free. A connection that has
// not said hello takes no slot.
func TestHandshakeLimit(t *testing.T) {
	t.Parallel()
	g := newGuardWith(t, enforcer.Options{MaxHandshakes: 1})
	stalled := dialRaw(t, g)
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
	cfg := g.tls(nil)
	cfg.ServerName = orders
	go func() { _ = tls.Client(deaf{stalled}, cfg).Handshake() }()
	eventually(t, "the slot is taken", func() bool { return g.BusyHandshakes() == 1 })
	answers := make(chan answer, 1)
	client := g.client(g.james())
	go func() { answers <- get(t, client, "https://"+orders+"/") }()
	select {
	case <-answers:
		t.Error("served without a slot")
	case <-time.After(50 * time.Millisecond):
	}
	_ = stalled.Close()
	wantStatus(t, <-answers, 200)
}

func dialRaw(t *testing.T, g *guard) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// deaf says hello and never listens to the answer, until it is hung up on.
type deaf struct{ net.Conn }

func (d deaf) Read(p []byte) (int, error) {
	for {
		if _, err := d.Conn.Read(p); err != nil {
			return 0, err
		}
	}
}

func TestAuthorities_manyBundles(t *testing.T) {
	t.Parallel()
	// Renewed CAs share their subject: each must still be found.
	g := newGuard(t)
	var newest *certtest.Certificate
	for i := range 20 {
		newest = certtest.NewCA(certtest.CommonName("Access Testing CA"))
		b := bundle("renewal", newest, orders)
		b.Name += string(rune('a' + i))
		g.state.Bundles = append(g.state.Bundles, b)
	}
	g.state.Bundles[0].Intermediates = []*x509.Certificate{}
	g.apply()
	wantStatus(t, get(t, g.client(leaf(newest, certtest.Client())), "https://"+orders+"/"), 200)
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
}
