package enforcer_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		// Who it is does not hang on whether a policy would let it in.
		s.Applications[1].Policies = []enforcer.Policy{policy("nobody", enforcer.Block, anyone...)}
	})
	pair := g.james(certtest.Serial(0x0a0b))
	const path = "/cdn-cgi/access/get-identity"
	for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
		a := get(t, g.client(pair, mode), "https://"+orders+path)
		wantStatus(t, a, 200)
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"common_name": "James Royal", "auth_status": "SUCCESS", "iat": float64(g.clock.Now().Unix()), "ip": "127.0.0.1",
			"application": "orders", "subject": "CN=James Royal", "issuer": "CN=Access Testing CA", "serial": "0A0B",
			"fingerprint": cert.Fingerprint(pair.Leaf),
			"not_before":  pair.Leaf.NotBefore.UTC().Format(time.RFC3339), "not_after": pair.Leaf.NotAfter.UTC().Format(time.RFC3339),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("header %v", a.Header)
		}
	}
	blocked := leaf(g.other, certtest.Client())
	wantStatus(t, get(t, g.client(blocked), "https://"+admin+path), 200)

	for name, refused := range map[string]*tls.Certificate{"none": nil, "of another host's CA": blocked} {
		// As programs are denied, even if a browser asks; the cookie of a
		// former session changes nothing.
		a := get(t, g.client(refused), "https://"+orders+path, "Accept", "text/html", "Cookie", "CF_Authorization=x")
		wantStatus(t, a, 403)
		wantGolden(t, "deny.json.golden", spelled(a))
		if !strings.Contains(g.log.String(), "request_id="+a.Header.Get("X-Request-Id")) {
			t.Errorf("%s: the log does not know the id", name)
		}
	}
	g.revoke(cert.Fingerprint(pair.Leaf))
	wantStatus(t, get(t, g.client(pair), "https://"+orders+path), 403)
	if len(g.seen) > 0 {
		t.Error("a request reached the origin")
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for name, pair := range map[string]*tls.Certificate{"without certificate": nil, "with": g.james()} {
		a := get(t, g.client(pair), "https://"+orders+"/cdn-cgi/access/logout")
		wantStatus(t, a, 200)
		const want = "CF_Authorization=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; HttpOnly; Secure; SameSite=None"
		if got := a.Header.Get("Set-Cookie"); got != want {
			t.Errorf("%s: cookie %q, want %q", name, got, want)
		}
		if !strings.Contains(a.body, "<h1>You are logged out</h1>") {
			t.Errorf("%s: page\n%s", name, a.body)
		}
	}
}

// TestOwnPaths: none of the gateway's own paths reaches an origin, whatever
// they are, however they are spelled and whoever asks.
func TestOwnPaths(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	sub := g.state.Applications[0]
	sub.Name, sub.Path, sub.Policies = "nested", "/cdn-cgi", []enforcer.Policy{policy("open", enforcer.Bypass, anyone...)}
	nested := append(g.state.Applications[:len(g.state.Applications):len(g.state.Applications)], sub)
	for _, pair := range []*tls.Certificate{nil, g.james()} {
		for _, apps := range [][]enforcer.Application{g.state.Applications, nested} {
			g.state.Applications = apps
			g.apply()
			client := g.client(pair)
			for path, want := range map[string]int{
				"/cdn-cgi/access/certs": 200, "/cdn-cgi/access/%63erts": 200, "/cdn-cgi/access/certs?x": 200,
				"/cdn-cgi/access/": 404, "/cdn-cgi/access/certs/": 404, "/cdn-cgi/access/Certs": 404, "/cdn-cgi/access/login": 404,
				"/cdn-cgi/access//certs": 404, "/cdn-cgi/access/../x": 404, "/cdn-cgi/access%2Fx": 404, "/cdn%2Dcgi/access/x": 404,
			} {
				wantStatus(t, get(t, client, "https://"+orders+path), want)
			}
			for _, path := range []string{"/cdn-cgi/access/certs", "/cdn-cgi/access/get-identity", "/.well-known/certvigil/health"} {
				req, _ := http.NewRequest(http.MethodPost, "https://"+orders+path, strings.NewReader("x"))
				a := do(t, client, req)
				wantStatus(t, a, 405)
				if a.Header.Get("Allow") != "GET, HEAD" {
					t.Errorf("Allow %q", a.Header.Get("Allow"))
				}
			}
		}
	}
	if len(g.seen) > 0 {
		t.Errorf("%s reached the origin", (<-g.seen).RequestURI)
	}
	// On a host of another connection they are no more than anything else.
	wantStatus(t, get(t, g.client(nil), "https://"+orders+"/cdn-cgi/access/certs", "Host", admin), 421)
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/cdn-cgi/accessories"), 200)
}

const health = "/.well-known/certvigil/health"

func TestHealth(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.DefaultHostname = orders })
	noSNI := func(tr *http.Transport) {
		tr.TLSClientConfig.ServerName = "127.0.0.1" // addresses are never sent as SNI
		tr.TLSClientConfig.InsecureSkipVerify = true
	}
	for _, host := range []string{orders, admin, "nobody.example.com", "127.0.0.1:8443", "[::1]", "a_b"} {
		for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
			a := get(t, g.client(nil, noSNI, mode), "https://"+orders+health, "Host", host)
			wantStatus(t, a, 200)
			if a.body != "ok\n" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %q, header %v", host, a.body, a.Header)
			}
		}
	}
	req, _ := http.NewRequest(http.MethodHead, "https://"+orders+health+"?probe=1", nil)
	if a := do(t, g.client(nil), req); a.StatusCode != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	// Any other spelling is the application's.
	for _, path := range []string{health + "/", "/.well-known/certvigil/%68ealth", "/." + health, "/.well-known/certvigil/healthz"} {
		wantStatus(t, get(t, g.client(nil), "https://"+orders+path), 403)
	}
	if len(g.seen) > 0 {
		t.Error("a health check reached the origin")
	}
}

// TestHealth_shutdown: while the last requests end, no new ones are asked for.
func TestHealth_shutdown(t *testing.T) {
	t.Parallel()
	records := make(chan enforcer.Access, 100)
	g := newGuardWith(t, enforcer.Options{AccessLog: func(a *enforcer.Access) { records <- *a }})
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	t.Cleanup(origin.Close)
	t.Cleanup(release)
	g.state.Applications[0].Origin = address(t, origin.URL)
	g.apply()
	client := g.client(g.james(), http2)
	wantStatus(t, get(t, client, "https://"+orders+health), 200)
	busy := make(chan answer, 1)
	go func() { busy <- get(t, client, "https://"+orders+"/slow") }()
	eventually(t, "the slow request is in flight", func() bool { return g.Flights() == 1 })

	if got := enforcer.Health(g.Enforcer); got != 200 {
		t.Errorf("before: %d", got)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown(context.Background()) }()
	eventually(t, "the health check fails", func() bool { return enforcer.Health(g.Enforcer) == 503 })
	release()
	wantStatus(t, <-busy, 200)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var paths []string
	for len(records) > 0 {
		a := <-records
		if a.Path == health && a.Status == 200 {
			t.Error("a health check that succeeded is in the access log")
		}
		paths = append(paths, a.Path)
	}
	if joined := strings.Join(paths, " "); !strings.Contains(joined, health) || !strings.Contains(joined, "/slow") {
		t.Errorf("logged: %s", joined)
	}
}

func TestHealth_noState(t *testing.T) {
	t.Parallel()
	e, err := enforcer.New(enforcer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := enforcer.Health(e); got != 503 {
		t.Errorf("status %d", got)
	}
}
