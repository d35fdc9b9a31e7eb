package enforcer_test

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/hostname"
)

func resolverState(s *enforcer.State) {
	for _, host := range []string{"example.com", "*.example.com", "xn--mnchen-3ya.example.com", "*.deep.example.com"} {
		app := s.Applications[0]
		app.Name, app.Hostname = host, host
		s.Applications = append(s.Applications, app)
	}
}

func TestResolver(t *testing.T) {
	t.Parallel()
	g := newGuard(t, resolverState)
	for _, tt := range []struct {
		name, host, site, normal string
		status                   int
	}{
		{"exact", orders, orders, orders, 0},
		{"exact beats wildcard", "ORDERS.EXAMPLE.COM", orders, orders, 0},
		{"wildcard", "x.example.com", "*.example.com", "x.example.com", 0},
		{"wildcard is one label", "x.y.example.com", "", "", 421},
		{"nested wildcard", "x.deep.example.com", "*.deep.example.com", "x.deep.example.com", 0},
		{"apex", "example.com", "example.com", "example.com", 0},
		{"apex of the nested wildcard", "deep.example.com", "*.example.com", "deep.example.com", 0},
		{"trailing dot", orders + ".", orders, orders, 0},
		{"port", orders + ":443", orders, orders, 0},
		{"dot and port", orders + ".:443", orders, orders, 0},
		{"empty port", orders + ":", orders, orders, 0},
		{"IDNA", "MÜNCHEN.example.com", "xn--mnchen-3ya.example.com", "xn--mnchen-3ya.example.com", 0},
		{"A-label", "xn--mnchen-3ya.example.com", "xn--mnchen-3ya.example.com", "xn--mnchen-3ya.example.com", 0},
		{"full-width dot", "orders。example.com", orders, orders, 0},
		{"two trailing dots", orders + "..", "", "", 400},
		{"port that is none", orders + ":x", "", "", 400},
		{"long port", orders + ":000443", "", "", 400},
		{"empty", "", "", "", 400},
		{"wildcard itself", "*.example.com", "", "", 400},
		{"underscore", "a_b.example.com", "", "", 400},
		{"space", "orders .example.com", "", "", 400},
		{"NUL", "orders\x00.example.com", "", "", 400},
		{"IPv4", "192.0.2.1", "", "", 400},
		{"IPv6", "[2001:db8::1]:443", "", "", 400},
		{"user", "a@" + orders, "", "", 400},
		{"empty label", ".example.com", "", "", 400},
		{"other", "example.org", "", "", 421},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// On a connection made for that very site, so that only the name counts.
			sni := tt.normal
			if sni == "" {
				sni = orders
			}
			site, name, status := enforcer.Route(g.Enforcer, sni, tt.host)
			if site != tt.site || name != tt.normal || status != tt.status {
				t.Errorf("got %q %q %d, want %q %q %d", site, name, status, tt.site, tt.normal, tt.status)
			}
		})
	}
}

func FuzzHost(f *testing.F) {
	g := newGuard(f, resolverState)
	for _, host := range []string{orders, "X.Example.Com.:1", "münchen.example.com", "*.example.com", "a..b", "[::1]:1", "xn--a", "x.example.com:"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		site, name, status := enforcer.Route(g.Enforcer, orders, host)
		if status != 0 {
			return
		}
		if site != orders || name != orders {
			t.Fatalf("%q on a connection for %s became %q at %q", host, orders, name, site)
		}
		if again, err := hostname.Normalize(name); err != nil || again != name || !utf8.ValidString(host) {
			t.Errorf("%q became %q, which is not normal: %v", host, name, err)
		}
	})
}

func TestPaths(t *testing.T) {
	t.Parallel()
	nested := []string{"/admin/users", "/admin", "/"} // as compiled: longest first
	for _, tt := range []struct{ name, path, want string }{
		{"root", "/", "/"},
		{"prefix", "/admin", "/admin"},
		{"slash", "/admin/", "/admin"},
		{"below", "/admin/x", "/admin"},
		{"longest", "/admin/users/7", "/admin/users"},
		{"no boundary", "/administrator", "/"},
		{"no boundary, longest", "/admin/users7", "/admin"},
		{"escaped letter", "/%61dmin", "/admin"},
		{"path parameter", "/admin;v=1/x", "/admin"},
		{"other case", "/Admin", "/"},
		{"double escaped", "/%252e%252e/admin", "/"},
		{"dots in a name", "/..x/...", "/"},
		{"dot segment", "/x/../admin", "400"},
		{"escaped dot segment", "/x/%2e%2E/admin", "400"},
		{"single dot", "/./admin", "400"},
		{"dot segment with parameter", "/x/..;a/admin", "400"},
		{"trailing dots", "/admin/..", "400"},
		{"double slash", "//admin", "400"},
		{"inner double slash", "/x//admin", "400"},
		{"slash with parameter", "/;a/admin", "400"},
		{"escaped slash", "/x%2fadmin", "400"},
		{"escaped slash beside an invalid byte", "/x%2Fadmin\"", "400"},
		{"escaped backslash", "/x%5cadmin", "400"},
		{"backslash", `/x\admin`, "400"},
		{"NUL", "/admin%00", "400"},
		{"overlong slash", "/x%c0%afadmin", "400"},
		{"overlong dots", "/x/%C0%AE%c0%ae/admin", "400"},
		{"overlong letter", "/%c1%a1dmin", "400"},
		{"letters of two bytes", "/%C3%A0/é", "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.ParseRequestURI(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			got, ambiguous := enforcer.ApplicationAt(nested, u)
			if ambiguous {
				got = "400"
			}
			if got != tt.want {
				t.Errorf("%s belongs to %s, want %s", tt.path, got, tt.want)
			}
		})
	}
}

func TestPaths_wire(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	sub := g.state.Applications[0]
	sub.Name, sub.Path = "sub", "/admin/"
	sub.Policies = []enforcer.Policy{policy("boss", enforcer.Allow, named("Boss"))}
	g.state.Applications = append(g.state.Applications, sub)
	g.apply()
	client := g.client(g.james())
	for path, want := range map[string]int{"/": 200, "/admin": 403, "/admin/x": 403, "/%61dmin/x": 403, "/administrator": 200, "/a%2fb": 400} {
		wantStatus(t, get(t, client, "https://"+orders+path), want)
	}
	// Alone, and not at "/": the rest of the host is nobody's.
	g.state.Applications = g.state.Applications[3:]
	g.apply()
	wantStatus(t, get(t, client, "https://"+orders+"/"), 403)
}

// TestExemptPath opens one path, such as that of ACME challenges, to everybody
// by an application of its own; no spelling of another path gets through it.
func TestExemptPath(t *testing.T) {
	t.Parallel()
	const exempt = "/.well-known/acme-challenge"
	g := newGuard(t)
	acme := g.state.Applications[0]
	acme.Name, acme.Path, acme.Policies = "acme", exempt, []enforcer.Policy{policy("open", enforcer.Bypass, anyone...)}
	g.state.Applications[0].Policies = []enforcer.Policy{policy("boss", enforcer.Allow, named("Boss"))}
	g.state.Applications = append(g.state.Applications, acme)
	g.apply()
	for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
		for _, pair := range []*tls.Certificate{nil, g.james()} { // whom the rest is closed to
			client := g.client(pair, mode)
			for path, want := range map[string]int{
				exempt + "/token": 200, exempt: 200, exempt + "/%74oken": 200,
				exempt + "x": 403, "/.well-known/": 403, "/x" + exempt: 403, "/.WELL-KNOWN/acme-challenge/token": 403,
				exempt + "/../admin": 400, exempt + "/..%2fadmin": 400, exempt + "/%2e%2e/admin": 400, exempt + "/..;/admin": 400,
				exempt + `/..%5cadmin`: 400, exempt + "//admin": 400, exempt + "/%00": 400, exempt + "/./x": 400,
			} {
				if a := get(t, client, "https://"+orders+path); a.StatusCode != want {
					t.Errorf("%s %s: %d, want %d", a.Proto, path, a.StatusCode, want)
				}
			}
		}
	}
	for len(g.seen) > 0 {
		if r := <-g.seen; !strings.HasPrefix(r.RequestURI, exempt) || r.Header.Get("Cf-Access-Jwt-Assertion") != "" {
			t.Errorf("%s reached the origin with %v", r.RequestURI, r.Header)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/admin", "/x/../admin", "/%2e%2e/admin", "/a;b/..;/", "//", "/%5c", "/a%2f..%2fadmin"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Scheme != "" {
			return
		}
		canonical, ok := enforcer.CanonicalPath(u)
		if !ok {
			return
		}
		// What is accepted is what every reading of the path arrives at.
		if resolved := (&url.URL{Path: "/"}).ResolveReference(&url.URL{Path: canonical}).Path; resolved != canonical {
			t.Errorf("%q is %q, and %q when resolved", path, canonical, resolved)
		}
		if strings.Contains(canonical, "//") || strings.ContainsAny(canonical, "\\\x00;") {
			t.Errorf("%q became %q", path, canonical)
		}
	})
}
