package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestCrossOrigin sends every request that could change something as browsers do
// for pages of other origins, of this one, and as programs do. The first are
// refused whatever they bear, but by the compatible API, which refuses what has
// no token; nothing is changed. The others come as far as ever.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	r := newRouter(t)
	public := r.App.roster().cfg.Admin.PublicURL
	before, sent := r.state(), 0
	for _, e := range r.endpoints() {
		if e.method == http.MethodGet {
			continue
		}
		for _, c := range []struct {
			name       string
			site, from string
			foreign    bool
		}{
			{"a foreign page", "cross-site", "https://evil.example", true},
			{"a foreign page that hides its origin", "cross-site", "null", true},
			{"a page of a sibling", "same-site", "http://other.example.com", true},
			{"a foreign page in an old browser", "", "https://evil.example", true},
			{"a sandboxed page in an old browser", "", "null", true},
			{"another port", "", "http://admin.example.com:81", true},
			{"our own page", "same-origin", "http://admin.example.com", false},
			{"our own page in an old browser", "", "http://admin.example.com", false},
			{"our own page behind a proxy", "", public, false},
			{"somebody who typed the address", "none", "", false},
			{"a program", "", "", false},
		} {
			request := httptest.NewRequest(e.method, "http://admin.example.com"+e.target, strings.NewReader("[]"))
			compatible := strings.HasPrefix(e.path, "/client/v4/")
			if !compatible { // there, all that a foreign page could send is without a token
				request.Header.Set("Authorization", "Bearer "+r.write)
			}
			request.Header.Set("Content-Type", "text/plain")
			for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.from} {
				if value != "" {
					request.Header.Set(name, value)
				}
			}
			w := httptest.NewRecorder()
			r.admin.server.Handler.ServeHTTP(w, request)
			what := c.name + ": " + e.method + " " + e.path
			r.refused(what, e.target, w) // the body is nothing that any of them takes
			switch cross := strings.Contains(w.Body.String(), "cross_origin"); {
			case compatible:
				if cross || w.Code != http.StatusUnauthorized && w.Code != http.StatusTooManyRequests && w.Code != http.StatusUnsupportedMediaType {
					t.Errorf("%s: %d %s", what, w.Code, w.Body)
				}
			case cross != c.foreign, c.foreign != (w.Code == http.StatusForbidden):
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
			sent++
		}
	}
	if sent < 100 {
		t.Errorf("only %d requests", sent)
	}
	if after := r.state(); after != before {
		t.Errorf("it changed something:\n%s\n%s", before, after)
	}
}
