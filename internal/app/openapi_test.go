package app

import (
	"testing"

	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/api/openapi"
)

// TestOpenAPI_DescribesEveryRoute holds /openapi.json to the routes of the
// admin listener as it is in production, in both directions.
func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	routes := h.admin.server.Handler.(*api.Surface).Routes()
	undescribed, unrouted, err := openapi.Missing(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range undescribed {
		t.Errorf("%s is described nowhere: add it to a file in internal/api/openapi/fragments", r)
	}
	for _, r := range unrouted {
		t.Errorf("%s is described in internal/api/openapi/fragments, and has no route", r)
	}
	if len(routes) < 20 {
		t.Errorf("only %d routes", len(routes))
	}
}
