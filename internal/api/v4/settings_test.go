package v4_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/inventory"
)

const settings = base + "/settings"

// compact takes the white space out of JSON.
func compact(text []byte) string { return strings.Join(strings.Fields(string(text)), "") }

func TestSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *v4.Options) {
		o.Remarks = func(_ context.Context, list []inventory.HostnameSetting) []string {
			if len(list) > 1 {
				return []string{"one of them has no effect"}
			}
			return nil
		}
	})
	for _, tt := range []struct{ name, put, want string }{
		{"nothing yet", "", `[]`},
		{
			"two", `{"settings":[{"hostname":"Orders.example.com","china_network":false,"client_certificate_forwarding":true},{"hostname":"*.example.com"}]}`,
			`[{"hostname":"orders.example.com","china_network":false,"client_certificate_forwarding":true},{"hostname":"*.example.com","china_network":false,"client_certificate_forwarding":false}]`,
		},
		{
			"another list", `{"settings":[{"hostname":"a.example.com","client_certificate_forwarding":true,"china_network":null}]}`,
			`[{"hostname":"a.example.com","china_network":false,"client_certificate_forwarding":true}]`,
		},
		{"an empty list", `{"settings":[]}`, `[]`},
		{"what the older client sends for one", `{}`, `[]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := b.do(http.MethodGet, settings, "")
			if tt.put != "" {
				got = b.do(http.MethodPut, settings, tt.put)
				if got.info != nil || (len(got.message) > 0) != (tt.name == "two") {
					t.Errorf("%s", got.body)
				}
			}
			read := b.do(http.MethodGet, strings.Replace(settings, "accounts", "zones", 1), "")
			if compact(got.result) != tt.want || compact(read.result) != tt.want || got.header.Get("ETag") != read.header.Get("ETag") {
				t.Errorf("answered %s\nread %s\nwant %s", got.body, read.body, tt.want)
			}
		})
	}
}

func TestSettings_IfMatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tag := b.do(http.MethodGet, settings, "").header.Get("ETag")
	const body = `{"settings":[{"hostname":"a.example.com"}]}`
	if r := b.do(http.MethodPut, settings, body, "If-Match: "+tag); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	b.do(http.MethodPut, settings, `{}`, "If-Match: "+tag).refused(t, http.StatusPreconditionFailed, 12132, "-", "If-Match")
	if list, err := b.store.HostnameSettings(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
