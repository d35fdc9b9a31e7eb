package app

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

var apiActor = inventory.Actor{Kind: inventory.ActorToken, ID: "t"}

// bare is a configuration that guards, with no application, and more lines for
// its enforcer.
func (h *house) bare(more string) string {
	text, _, _ := strings.Cut(h.guarding(closed, "30d"), "[[application]]")
	return strings.Replace(text, "[enforcer]\n", "[enforcer]\n"+more+"\n", 1)
}

func (h *house) applications() *inventory.Applications {
	return inventory.NewApplications(h.store, declaration{h.App})
}

// byAPI is an application as the API makes it.
func byAPI(name, path string) inventory.Application {
	return inventory.Application{Name: name, SessionDuration: "24h", Places: []inventory.Place{{Hostname: orders, Path: path}}}
}

func letting(action string) []inventory.PolicyInput {
	return []inventory.PolicyInput{{Rules: &inventory.Policy{Name: "p", Action: action, Include: []inventory.Selector{{Key: "everyone"}}}}}
}

func (h *house) add(a inventory.Application, policies []inventory.PolicyInput) inventory.Application {
	h.t.Helper()
	made, err := h.applications().Add(h.t.Context(), a, policies, apiActor)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.applyAgain(h.t.Context()); err != nil { // as the watcher does
		h.t.Fatal(err)
	}
	return made
}

func (h *house) becomes(path string, status int) {
	h.t.Helper()
	eventually(h.t, path+" answers as it should", func() bool {
		answer, _ := h.ask(nil, path)
		return answer.StatusCode == status
	})
}

// TestApplications_Live holds that applications of the API guard beside those of
// the file, from the first one on, and that each has its origin.
func TestApplications_Live(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.bare("default_origin = \"" + h.origin + "\"") })
	first := h.add(byAPI("first", "/a"), letting("bypass"))
	h.becomes("/a", http.StatusOK)
	h.becomes("/b", http.StatusForbidden)
	h.add(byAPI("second", "/b"), letting("bypass"))
	h.becomes("/b", http.StatusOK)
	p := first.Policies[0]
	if _, err := h.applications().UpdatePolicy(t.Context(), first.ID, inventory.PolicyInput{ID: p.ID, Rules: &inventory.Policy{Name: "p", Action: "block", Include: p.Include}},
		func(inventory.AttachedPolicy) error { return nil }, apiActor); err != nil {
		t.Fatal(err)
	}
	h.becomes("/a", http.StatusForbidden)
	h.becomes("/b", http.StatusOK)

	// The file may have applications too, and take them back.
	h.reload(strings.Replace(h.guarding(open, "30d"), "[enforcer]\n", "[enforcer]\ndefault_origin = \""+h.origin+"\"\n", 1))
	h.becomes("/", http.StatusOK)
	h.becomes("/a", http.StatusForbidden)
	h.reload(h.bare("default_origin = \"" + h.origin + "\""))
	h.becomes("/", http.StatusForbidden)
	h.becomes("/b", http.StatusOK)
	if metric := h.metric(); strings.Contains(metric, `application="orders"`) || !strings.Contains(metric, `application="second"`) {
		t.Errorf("the metrics tell of what is gone, or not of what is there:\n%s", metric)
	}
	if q, err := Explain(t.Context(), h.cfg, h.store, Question{Host: orders, Path: "/a", At: time.Now()}); err != nil || q.Application != "first" || q.Admitted {
		t.Errorf("explained as %+v, %v", q, err)
	}
}

// TestApplications_Origin holds where requests go, and that what the API says
// leads into no private network.
func TestApplications_Origin(t *testing.T) {
	t.Parallel()
	parse := func(text string) config.Application {
		return config.Application{Name: "file", Hostname: orders, Path: text, Origin: "https://file.example.com", OriginServerName: "name.example.com", OriginTLSID: "id"}
	}
	own := func(a inventory.Application, origin string) inventory.Application {
		a.Origin = origin
		return a
	}
	for _, tt := range []struct {
		name           string
		declared       []config.Application
		stored         []inventory.Application // the last one counts
		fallback       string
		host, tls      string
		guarded, fails bool
	}{
		{"its own", []config.Application{parse("/")}, []inventory.Application{own(byAPI("a", "/x"), "https://own.example.com")}, "http://default.example.com", "own.example.com", "", true, false},
		{"that of the file around it, with its TLS", []config.Application{parse("/")}, []inventory.Application{byAPI("a", "/x")}, "http://default.example.com", "file.example.com", "id", false, false},
		{"that of the API around it", nil, []inventory.Application{own(byAPI("o", "/"), "https://outer.example.com"), byAPI("a", "/x")}, "", "outer.example.com", "", true, false},
		{"the nearest, of the API", []config.Application{parse("/")}, []inventory.Application{own(byAPI("o", "/x"), "https://outer.example.com"), byAPI("a", "/x/y")}, "", "outer.example.com", "", true, false},
		{"the nearest, of the file", []config.Application{parse("/x")}, []inventory.Application{own(byAPI("o", "/"), "https://outer.example.com"), byAPI("a", "/x/y")}, "", "file.example.com", "id", false, false},
		{"the next but one, past one without", []config.Application{parse("/")}, []inventory.Application{byAPI("o", "/x"), byAPI("a", "/x/y")}, "", "file.example.com", "id", false, false},
		{"the default", []config.Application{parse("/xy")}, []inventory.Application{byAPI("a", "/x")}, "http://default.example.com", "default.example.com", "", false, false},
		{"none", []config.Application{parse("/x/y")}, []inventory.Application{byAPI("a", "/x")}, "", "", "", false, true},
	} {
		cfg := &config.Config{Applications: tt.declared, Enforcer: config.Enforcer{DefaultOrigin: tt.fallback}}
		apps, err := storedApplications(cfg, tt.stored)
		if tt.fails {
			if fault.Rule(err) != "origin" || !strings.Contains(fault.Hint(err), "default_origin") || !strings.Contains(fault.Hint(err), `"origin"`) {
				t.Errorf("%s: %v (%s)", tt.name, err, fault.Hint(err))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := apps[len(apps)-1]
		if got.Origin.Host != tt.host || got.OriginTLS.ID != tt.tls || (got.OriginGuard != nil) != tt.guarded || tt.guarded && got.OriginGuard.AllowPrivate {
			t.Errorf("%s: %s, TLS %q, guard %v", tt.name, got.Origin, got.OriginTLS.ID, got.OriginGuard)
		}
	}

	h := newHouse(t, func(h *house) string { return h.guarding(open, "30d") })
	private := own(byAPI("private", "/private"), h.origin)
	if _, err := h.applications().Add(t.Context(), private, letting("bypass"), apiActor); fault.Rule(err) != "private_target" || fault.Field(err) != "origin" {
		t.Errorf("an origin on this host: %v", err)
	}
	h.reload(strings.Replace(h.guarding(open, "30d"), "[enforcer]\n", "[enforcer]\nallow_private_origins = true\n", 1))
	h.add(private, letting("bypass"))
	h.becomes("/private", http.StatusOK)
	h.reload(h.guarding(open, "30d"))
	h.becomes("/private", http.StatusBadGateway) // also by connections that were allowed before

	h.reload(h.bare(""))
	outer := h.add(own(byAPI("outer", "/outer"), "https://outer.example.com"), nil)
	h.add(byAPI("inner", "/outer/inner"), nil)
	err := h.applications().Remove(t.Context(), outer.ID, func(inventory.Application) error { return nil }, apiActor)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), `"inner"`) {
		t.Errorf("deleting where another's requests go: %v", err)
	}
}

// TestApplications_Collide holds that no reload and no start brings a file into
// force beside an application of the API that it collides with, or takes its
// origin away, and that both are named.
func TestApplications_Collide(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.bare("default_origin = \"" + h.origin + "\"") })
	if _, err := h.applications().Add(t.Context(), byAPI("", "/"), nil, apiActor); fault.Field(err) != "name" {
		t.Errorf("without a name: %v", err)
	}
	made := h.add(byAPI("orders", "/"), letting("bypass"))
	h.becomes("/", http.StatusOK)
	another := strings.Replace(h.guarding(closed, "30d"), `name = "orders"`, `name = "another"`, 1)
	elsewhere := strings.Replace(h.guarding(closed, "30d"), `hostname = "`+orders, `hostname = "else.example.com`, 1)
	for name, tt := range map[string]struct{ text, says string }{
		"one name":           {elsewhere, `have one name, "orders"`},
		"one place":          {another, `("another" and "orders") both answer to ` + orders},
		"without its origin": {h.bare(""), `"orders" of the API has no origin`},
	} {
		h.write("config.toml", tt.text)
		err := h.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.says) || fault.Hint(err) == "" {
			t.Errorf("%s: reloaded with %v (%s)", name, err, fault.Hint(err))
		}
		if strings.Contains(tt.says, " and ") && !strings.Contains(fault.Hint(err), made.ID) {
			t.Errorf("%s: the hint is %s", name, fault.Hint(err))
		}
		if got := h.status(); got != http.StatusOK {
			t.Errorf("%s: the last good state answers %d", name, got)
		}
		cfg, err := config.Load(filepath.Join(h.dir, "config.toml"), os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		if warnings := StoredWarnings(t.Context(), cfg); len(warnings) != 1 || !strings.Contains(warnings[0], "will not load this file: ") || !strings.Contains(warnings[0], tt.says) {
			t.Errorf("%s: config check warns %q", name, warnings)
		}
	}
	if metric := h.metric(); !strings.Contains(metric, "certvigil_config_reload_success 0") {
		t.Errorf("the metrics tell nothing of it:\n%s", metric)
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	h.write("config.toml", elsewhere)
	if a, err := New(t.Context(), h.options()); err == nil || !strings.Contains(err.Error(), `have one name, "orders"`) || a != nil {
		t.Errorf("started with %v", err)
	}
}

// TestApplications_Check holds that what the listener would not take is refused
// before it is stored.
func TestApplications_Check(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	circle := byAPI("circle", "/a")
	circle.DenyURL = "https://" + orders + "/a/help"
	if _, err := h.applications().Add(t.Context(), circle, nil, apiActor); fault.Rule(err) != "deny_url" {
		t.Errorf("denials that lead to it: %v", err)
	}
	if _, err := h.applications().Add(t.Context(), byAPI("orders", "/a"), nil, apiActor); fault.Rule(err) != "name_in_use" || !strings.Contains(err.Error(), "configuration file declares") {
		t.Errorf("the file's name: %v", err)
	}
	if _, err := h.applications().Add(t.Context(), byAPI("x", "/"), nil, apiActor); fault.Rule(err) != "place" {
		t.Errorf("the file's place: %v", err)
	}
	odd := letting("allow")
	odd[0].Rules.Include[0].Key = "email"
	if _, err := h.applications().Add(t.Context(), byAPI("x", "/a"), odd, apiActor); err == nil {
		t.Error("a selector that the listener does not know is stored")
	}
	all, err := h.store.Access(t.Context())
	if err != nil || len(all.Applications) != 0 {
		t.Errorf("stored are %+v, %v", all, err)
	}
}

// TestApplications_Uncompilable holds that what cannot be enforced, however it
// came into the store, leaves the last good state in force, and is told.
func TestApplications_Uncompilable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(open, "30d") })
	h.add(byAPI("a", "/a"), letting("block"))
	h.becomes("/a", http.StatusForbidden)
	for _, rules := range []string{
		`{"include":[{"key":"email","values":["x"]}]}`,
		`{"include":[{"key":"everyone"}],"exclude":[{"key":"ip","values":["192.0.2.0/24","damaged"]}]}`,
		`{"include":[`,
	} {
		h.do(`UPDATE policies SET action = 'bypass', rules = '` + rules + `'`)
		if err := h.applyAgain(t.Context()); err == nil {
			t.Errorf("%s is in force", rules)
		}
	}
	h.do(`UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'trust_generation'`)
	eventually(t, "the alarm is set", func() bool { return strings.Contains(h.metric(), "certvigil_trust_apply_success 0") })
	h.becomes("/a", http.StatusForbidden)
	h.becomes("/", http.StatusOK)
}

func TestApplications_Remarks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.bare("default_origin = \"" + h.origin + "\"") })
	remarks := func(a inventory.Application) string { return strings.Join(h.remarkApplication(t.Context(), a), "\n") }
	a := byAPI("a", "/")
	a.Places = append(a.Places, inventory.Place{Hostname: "else.example.com", Path: "/"})
	for _, want := range []string{"no policy", "no server certificate names else.example.com"} {
		if got := remarks(a); !strings.Contains(got, want) {
			t.Errorf("without policies: %s", got)
		}
	}
	a = h.add(byAPI("a", "/"), []inventory.PolicyInput{{Rules: &inventory.Policy{
		Name: "p", Action: "allow", Include: []inventory.Selector{{Key: "common_name", Values: []string{"x"}}, {Key: "certificate", CA: "absent"}},
	}}})
	if got := remarks(a); !strings.Contains(got, "no CA is associated with "+orders) || !strings.Contains(got, `the CA "absent", which is not stored`) {
		t.Errorf("without CAs: %s", got)
	}
	h.admitAs("one")
	h.admitAs("two")
	if got := remarks(a); strings.Contains(got, "no CA is associated") || !strings.Contains(got, "several CAs vouch") {
		t.Errorf("with two CAs: %s", got)
	}
	if warnings := StoredWarnings(t.Context(), h.cfg); len(warnings) != 1 || !strings.Contains(warnings[0], `application "a"`) {
		t.Errorf("config check warns %v", warnings)
	}
	h.cfg.Alerts = []config.Alert{{Name: "typo", CAs: []string{"one", "oen"}}}
	if warnings := StoredWarnings(t.Context(), h.cfg); len(warnings) != 2 || !strings.Contains(warnings[0], `alert "typo" asks for the CA "oen", which is not stored`) {
		t.Errorf("config check warns %v", warnings)
	}
	if got := strings.Join(remarkListener(&config.Config{}, a), ""); !strings.Contains(got, "nothing guards it") {
		t.Errorf("without a listener: %s", got)
	}
}

// TestApplications_RemarkDeclared holds that whoever opens a part of what the
// file guards is told so.
func TestApplications_RemarkDeclared(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Applications: []config.Application{
		{Name: "outer", Hostname: orders, Path: "/a"}, {Name: "wild", Hostname: "*.example.net", Path: "/"},
	}}
	for _, tt := range []struct{ hostname, path, says string }{
		{orders, "/a/b", orders + "/a/b is taken out of " + orders + `/a, which the application "outer"`},
		{orders, "/ab", ""},
		{orders, "/", ""},
		{"x.example.net", "/y", `x.example.net/y is taken out of *.example.net, which the application "wild"`},
		{"*.example.net", "/y", `*.example.net/y is taken out of *.example.net, which the application "wild"`},
		{"x.y.example.net", "/", ""},
	} {
		got := remarkDeclared(cfg, inventory.Application{Places: []inventory.Place{{Hostname: tt.hostname, Path: tt.path}}})
		if tt.says == "" && len(got) > 0 || tt.says != "" && (len(got) != 1 || !strings.Contains(got[0], tt.says)) {
			t.Errorf("%s%s: %q", tt.hostname, tt.path, got)
		}
	}
}

// TestApplications_BusyStore holds that a change by the API that waits for the
// store, which another process may keep busy, holds up nothing else.
func TestApplications_BusyStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(open, "30d") })
	err := declaration{h.App}.Hold(func(declared []inventory.Application) error {
		done := make(chan error, 1)
		go func() {
			if list, err := h.applications().Applications(t.Context()); err != nil || len(list) != len(declared) {
				t.Errorf("listed are %v, %v", list, err)
			}
			h.metric()
			done <- h.applyAgain(t.Context())
		}()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("trust waits for it")
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestShortDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"24h": "24h", "90m": "1h30m", "45s": "45s", "1h0m5s": "1h0m5s", "10m": "10m", "20h": "20h", "100s": "1m40s"} {
		d, err := time.ParseDuration(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := shortDuration(d); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
