package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

func TestAssociations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, application, action, associated string
		unvouched                             bool
		strays                                []string
	}{
		{"the same name", "a.example.com", "service_auth", "a.example.com", false, nil},
		{"a wildcard CA", "a.example.com", "allow", "*.example.com", false, nil},
		{"a wildcard application", "*.example.com", "allow", "a.example.com", false, nil},
		{"both wildcards", "*.example.com", "allow", "*.example.com", false, nil},
		{"a misspelt name", "orders.example.com", "service_auth", "oders.example.com", true, []string{"oders.example.com"}},
		{"two labels under a wildcard", "a.b.example.com", "allow", "*.example.com", true, []string{"*.example.com"}},
		{"open to all", "a.example.com", "bypass", "b.example.com", false, []string{"b.example.com"}},
		{"names of one label", "a", "allow", "b", true, []string{"b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			apps := declaredApplications([]config.Application{{Name: "app", Hostname: tc.application, Policies: []config.Policy{{Action: tc.action}}}})
			bundle := inventory.Bundle{Name: "ca", Hostnames: []string{tc.associated}}
			if got := len(unvouched(apps, []inventory.Bundle{bundle})) == 1; got != tc.unvouched {
				t.Errorf("unvouched = %v, want %v", got, tc.unvouched)
			}
			if diff := cmp.Diff(tc.strays, strays(bundle, apps)); diff != "" {
				t.Errorf("strays (-want +got):\n%s", diff)
			}
		})
	}
}

// What would refuse every client is said at the start.
func TestStart_WarnsOfApplicationsWithoutCA(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	if log := h.log.String(); !strings.Contains(log, `msg="an application has no CA: it refuses every client" application=orders`) {
		t.Errorf("the log does not warn:\n%s", log)
	}
}

func TestSeveralVouch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, application string
		bundles           []string // the host name of each
		want              bool
	}{
		{"none", "a.example.com", nil, false},
		{"one", "a.example.com", []string{"a.example.com"}, false},
		{"two", "a.example.com", []string{"a.example.com", "a.example.com"}, true},
		{"one of another name", "a.example.com", []string{"a.example.com", "b.example.com"}, false},
		{"two by wildcard", "a.example.com", []string{"*.example.com", "*.example.com"}, true},
		{"an exact one beside two by wildcard", "a.example.com", []string{"a.example.com", "*.example.com", "*.example.com"}, false},
		{"two names of a wildcard application", "*.example.com", []string{"a.example.com", "b.example.com"}, false},
		{"two for one name of a wildcard application", "*.example.com", []string{"a.example.com", "a.example.com"}, true},
		{"two for a wildcard application", "*.example.com", []string{"*.example.com", "*.example.com"}, true},
	} {
		var bundles []inventory.Bundle
		for _, h := range tc.bundles {
			bundles = append(bundles, inventory.Bundle{Hostnames: []string{h}})
		}
		if got := severalVouch(tc.application, bundles); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Whom a name means is doubtful where several CAs may give it.
func TestWarnPolicies(t *testing.T) {
	t.Parallel()
	log := &record{}
	a := &App{log: slog.New(slog.NewTextHandler(log, nil))}
	root, partner := inventory.Bundle{Name: "root", Hostnames: []string{orders}}, inventory.Bundle{Name: "partner", Hostnames: []string{orders}}
	apps := declaredApplications([]config.Application{{Name: "orders", Hostname: orders, Policies: []config.Policy{
		{Name: "mine", Include: []config.Selector{{CommonName: config.Texts{"x"}, CA: "root"}, {Certificate: true}, {Fingerprint: config.Texts{"f"}}}},
		{Name: "anyone's", Require: []config.Selector{{SANDNS: config.Texts{"x"}}}},
		{Name: "nobody's", Exclude: []config.Selector{{SANURI: config.Texts{"x"}, CA: "absent"}}},
	}}})
	a.warnPolicies([]inventory.Bundle{root}, apps)
	one := log.String()
	a.warnPolicies([]inventory.Bundle{root, partner}, apps)
	two := strings.TrimPrefix(log.String(), one)
	const absent, doubtful = `a policy names a CA that is not stored: it matches nobody" application=orders policy=nobody's ca=absent`, `policy \"anyone's\" of application \"orders\" goes by san_dns, and several CAs vouch`
	if strings.Count(one, "\n") != 1 || !strings.Contains(one, absent) {
		t.Errorf("with one CA:\n%s", one)
	}
	if strings.Count(two, "\n") != 2 || !strings.Contains(two, absent) || !strings.Contains(two, doubtful) {
		t.Errorf("with two CAs:\n%s", two)
	}
}
