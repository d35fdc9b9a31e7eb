package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	forward := func(name string) inventory.HostnameSetting {
		return inventory.HostnameSetting{Hostname: name, ForwardClientCert: true}
	}
	silent := func(name string) inventory.HostnameSetting { return inventory.HostnameSetting{Hostname: name} }
	app := func(name, forwarding string) config.Application {
		return config.Application{Name: name, Hostname: name, Forwarding: forwarding, ForwardingGiven: forwarding != ""}
	}
	const exact, star = "a.example.com", "*.example.com"
	for _, tt := range []struct {
		name     string
		app      config.Application
		settings []inventory.HostnameSetting
		want     enforcer.Forwarding
		remark   string
	}{
		{"no setting", app(exact, ""), nil, "off", ""},
		{"its own", app(exact, ""), []inventory.HostnameSetting{forward(exact)}, "every", ""},
		{"its wildcard's", app(exact, ""), []inventory.HostnameSetting{forward(star)}, "every", ""},
		{"its own against its wildcard's", app(exact, ""), []inventory.HostnameSetting{forward(star), silent(exact)}, "off", "no application has that hostname"},
		{"a wildcard's own", app(star, ""), []inventory.HostnameSetting{forward(star)}, "every", ""},
		{"of one name under a wildcard", app(star, ""), []inventory.HostnameSetting{forward(exact)}, "off", "no application has that hostname"},
		{"of another name", app(exact, ""), []inventory.HostnameSetting{forward("b.example.com")}, "off", "no application has that hostname"},
		{"the configuration says off", app(exact, "off"), []inventory.HostnameSetting{forward(exact)}, "off", `the configuration says client_certificate_forwarding = "off"`},
		{"the configuration says first", app(exact, "first"), []inventory.HostnameSetting{forward(exact)}, "first", `"first"`},
		{"the configuration says every", app(exact, "every"), []inventory.HostnameSetting{silent(exact)}, "every", `"every"`},
		{"both say every", app(exact, "every"), []inventory.HostnameSetting{forward(exact)}, "every", ""},
		{"both say nothing", app(exact, "off"), []inventory.HostnameSetting{silent(exact)}, "off", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apps := []enforcer.Application{{Hostname: tt.app.Hostname, Forwarding: enforcer.Forwarding(tt.app.Forwarding)}}
			if apps[0].Forwarding == "" {
				apps[0].Forwarding = enforcer.ForwardOff
			}
			applySettings(apps, []config.Application{tt.app}, tt.settings)
			if apps[0].Forwarding != tt.want {
				t.Errorf("forwarding %q, want %q", apps[0].Forwarding, tt.want)
			}
			remarks := settingRemarks(declaredApplications([]config.Application{tt.app}), tt.settings)
			if got := strings.Join(remarks, "\n"); (tt.remark == "") != (got == "") || !strings.Contains(got, tt.remark) {
				t.Errorf("remarks %q, want one of %q", remarks, tt.remark)
			}
		})
	}
}

// TestSettings_CountOnTheListener holds that a setting takes effect on a
// running daemon, and that a line of the configuration takes it back.
func TestSettings_CountOnTheListener(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(open, "30d") })
	forwarding := func() enforcer.Forwarding {
		state, err := enforcerState(t.Context(), h.cfg, h.store, h.lists, h.o.Now())
		if err != nil {
			t.Fatal(err)
		}
		return state.Applications[0].Forwarding
	}
	before := forwarding()
	list := []inventory.HostnameSetting{{Hostname: orders, ForwardClientCert: true}}
	if err := h.store.SetHostnameSettings(t.Context(), list, nil, inventory.Actor{Kind: inventory.ActorToken, ID: "t"}); err != nil {
		t.Fatal(err)
	}
	set := forwarding()
	h.reload(h.with(open, `client_certificate_forwarding = "off"`))
	if diff := cmp.Diff([]enforcer.Forwarding{"off", "every", "off"}, []enforcer.Forwarding{before, set, forwarding()}); diff != "" {
		t.Errorf("forwarding (-want +got):\n%s", diff)
	}
}
