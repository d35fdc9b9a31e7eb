package app

import (
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
			apps := []config.Application{{Name: "app", Hostname: tc.application, Policies: []config.Policy{{Action: tc.action}}}}
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
