package enforcer_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
)

// TestCookie_Attributes holds what an application may ask of the session cookie,
// and that logging out takes back what it has set.
func TestCookie_Attributes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cookie enforcer.Cookie
		want   string
	}{
		"by default":    {enforcer.Cookie{}, "Path=/; HttpOnly; Secure; SameSite=None"},
		"for scripts":   {enforcer.Cookie{Readable: true}, "Path=/; Secure; SameSite=None"},
		"strict":        {enforcer.Cookie{SameSite: http.SameSiteStrictMode}, "Path=/; HttpOnly; Secure; SameSite=Strict"},
		"lax, one path": {enforcer.Cookie{SameSite: http.SameSiteLaxMode, ScopePath: true}, "Path=/shop; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, func(s *enforcer.State) {
				shop := s.Applications[0]
				shop.Name, shop.Path, shop.Cookie = "shop", "/shop", tt.cookie
				s.Applications = append(s.Applications, shop)
			})
			client := g.client(g.james())
			attributes := func(a answer) (all []string) {
				for _, line := range a.Header.Values("Set-Cookie") {
					_, rest, _ := strings.Cut(line, "; ")
					before, after, _ := strings.Cut(rest, "Expires=")
					_, after, _ = strings.Cut(after, "; ")
					all = append(all, before+after)
				}
				return all
			}
			if got := attributes(get(t, client, "https://"+orders+"/shop/x")); len(got) != 1 || got[0] != tt.want {
				t.Errorf("the cookie has %q, want %s", got, tt.want)
			}
			logout := strings.Join(attributes(get(t, client, "https://"+orders+"/cdn-cgi/access/logout")), "\n")
			path, _, _ := strings.Cut(tt.want, ";")
			if !strings.Contains(logout, path+";") || !strings.Contains(logout, "Path=/;") {
				t.Errorf("logging out takes back %s", logout)
			}
		})
	}
}

// TestPolicy_SessionDuration holds that the policy that admits says how long the
// session is, before the application.
func TestPolicy_SessionDuration(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		policy := s.Applications[0].Policies[0]
		short := policy
		short.Name, short.SessionDuration, short.Include = "short", time.Hour, []enforcer.Selector{{CommonName: []string{"James Royal"}}}
		s.Applications[0].Policies = []enforcer.Policy{short, policy}
	})
	for name, tt := range map[string]struct {
		client *http.Client
		want   time.Duration
	}{
		"the policy's":      {g.client(g.james()), time.Hour},
		"the application's": {g.client(leaf(g.ca)), 24 * time.Hour},
	} {
		a := get(t, tt.client, "https://"+orders+"/")
		wantStatus(t, a, http.StatusOK)
		if got := a.Cookies()[0].Expires.Sub(g.clock.Now()).Round(time.Minute); got != tt.want {
			t.Errorf("%s: the session is %s, want %s", name, got, tt.want)
		}
	}
	g.state.Applications[0].Policies[0].SessionDuration = time.Millisecond
	if err := g.Apply(g.state); !fault.Is(err, fault.Invalid) {
		t.Errorf("a session of a millisecond: %v", err)
	}
}

// TestOriginGuard holds that an application whose origin came from elsewhere
// leads to no address of this machine, though another one does.
func TestOriginGuard(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		guarded := s.Applications[0]
		guarded.Name, guarded.Path, guarded.OriginGuard = "guarded", "/guarded", &egress.Policy{}
		s.Applications = append(s.Applications, guarded)
	})
	client := g.client(g.james())
	for path, want := range map[string]int{"/": http.StatusOK, "/guarded": http.StatusBadGateway} {
		a := get(t, client, "https://"+orders+path)
		wantStatus(t, a, want)
		if strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("the client is told of the address: %s", a.body)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	circle, err := url.Parse("https://" + orders + "/help")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*enforcer.State)
		rule   string
	}{
		"as it is":                   {func(*enforcer.State) {}, ""},
		"without the rest":           {func(s *enforcer.State) { s.Certificates, s.SigningKeys, s.Bundles = nil, nil, nil }, ""},
		"two at one place":           {func(s *enforcer.State) { s.Applications[1].Hostname = orders }, "application"},
		"denials that lead to it":    {func(s *enforcer.State) { s.Applications[0].Deny.URL = circle }, "deny_url"},
		"a default that is no one's": {func(s *enforcer.State) { s.DefaultHostname = "nobody.example.com" }, "default_hostname"},
		"a cookie of no SameSite":    {func(s *enforcer.State) { s.Applications[0].Cookie.SameSite = 9 }, "application"},
	} {
		state := g.defaultState()
		tt.change(&state)
		if err := g.Check(state); fault.Rule(err) != tt.rule || (err == nil) != (tt.rule == "") {
			t.Errorf("%s: %v (%s)", name, err, fault.Rule(err))
		}
	}
	a := get(t, g.client(g.james()), "https://"+orders+"/")
	wantStatus(t, a, http.StatusOK) // by the state that was applied
}
