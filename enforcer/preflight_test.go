package enforcer_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
)

// rawStatus sends a request as it is spelled and returns the answer's status.
func (g *guard) rawStatus(pair *tls.Certificate, request string) int {
	g.t.Helper()
	conn := g.dial(pair)
	defer conn.Close()
	return exchangeRaw(g.t, conn, request).StatusCode
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	const origin, method = "Origin: https://a.example\r\n", "Access-Control-Request-Method: DELETE\r\n"
	blocks := func(s *enforcer.State) {
		s.Applications[0].Policies = []enforcer.Policy{{Name: "none", Action: enforcer.Block, Include: []enforcer.Selector{{Everyone: true}}}}
	}
	off := func(s *enforcer.State) { s.Applications[0].OptionsPreflightBypass = false }
	for _, tt := range []struct {
		name    string
		request string // without Host and body
		state   func(*enforcer.State)
		cert    bool
		want    int
	}{
		{"preflight", "OPTIONS /x HTTP/1.1\r\n" + origin + method, nil, false, 200},
		{"preflight with certificate", "OPTIONS /x HTTP/1.1\r\n" + origin + method, nil, true, 200},
		{"preflight of an opaque origin", "OPTIONS /x HTTP/1.1\r\nOrigin: null\r\n" + method, nil, false, 200},
		{"preflight with an empty body", "OPTIONS /x HTTP/1.1\r\nContent-Length: 0\r\n" + origin + method, nil, false, 200},
		{"preflight where a policy blocks everybody", "OPTIONS /x HTTP/1.1\r\n" + origin + method, blocks, false, 200},
		{"switched off", "OPTIONS /x HTTP/1.1\r\n" + origin + method, off, false, 403},
		{"GET", "GET /x HTTP/1.1\r\n" + origin + method, nil, false, 403},
		{"POST", "POST /x HTTP/1.1\r\nContent-Length: 0\r\n" + origin + method, nil, false, 403},
		{"method in lower case", "options /x HTTP/1.1\r\n" + origin + method, nil, false, 403},
		{"no origin", "OPTIONS /x HTTP/1.1\r\n" + method, nil, false, 403},
		{"empty origin", "OPTIONS /x HTTP/1.1\r\nOrigin: \r\n" + method, nil, false, 403},
		{"two origins", "OPTIONS /x HTTP/1.1\r\n" + origin + origin + method, nil, false, 403},
		{"no requested method", "OPTIONS /x HTTP/1.1\r\n" + origin, nil, false, 403},
		{"empty requested method", "OPTIONS /x HTTP/1.1\r\nAccess-Control-Request-Method:\r\n" + origin, nil, false, 403},
		{"a body", "OPTIONS /x HTTP/1.1\r\nContent-Length: 5\r\n" + origin + method, nil, false, 403},
		{"a chunked body", "OPTIONS /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + origin + method, nil, false, 403},
		{"an upgrade", "OPTIONS /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + origin + method, nil, false, 403},
		{"no path", "OPTIONS * HTTP/1.1\r\n" + origin + method, nil, false, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, tellsAll, func(s *enforcer.State) {
				s.Applications[0].OptionsPreflightBypass, s.Applications[0].Forwarding = true, enforcer.ForwardFirst
				if tt.state != nil {
					tt.state(s)
				}
			})
			var pair *tls.Certificate
			if tt.cert {
				pair = g.james()
			}
			body := "0\r\n\r\n" // as much as any of these announces
			if status := g.rawStatus(pair, tt.request+"Host: "+orders+"\r\n\r\n"+body); status != tt.want {
				t.Fatalf("status %d, want %d", status, tt.want)
			}
			if tt.want != 200 {
				if len(g.seen) > 0 {
					t.Error("it reached the origin")
				}
				return
			}
			h := (<-g.seen).Header
			standing := []string{"Cf-Cert-Presented: " + fmt.Sprint(tt.cert), "Cf-Cert-Revoked: false", "Cf-Cert-Verified: " + fmt.Sprint(tt.cert)}
			if diff := cmp.Diff(standing, told(h)); diff != "" || h.Get("Cf-Access-Jwt-Assertion") != "" || h.Get("Cookie") != "" {
				t.Errorf("the origin was told (-want +got):\n%s\nwith %v", diff, h)
			}
		})
	}
}

// TestPreflight_http2 has the same over HTTP/2, and leaves "the first request"
// to one that is of somebody.
func TestPreflight_http2(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		s.Applications[0].OptionsPreflightBypass, s.Applications[0].Forwarding = true, enforcer.ForwardFirst
	})
	client := g.client(g.james(), http2)
	target := &url.URL{Scheme: "https", Host: orders, Path: "/"}
	preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}}
	for _, step := range []struct {
		method    string
		forwarded bool
	}{{http.MethodOptions, false}, {http.MethodGet, true}, {http.MethodGet, false}} {
		a := do(t, client, &http.Request{Method: step.method, URL: target, Header: maps.Clone(preflight)})
		wantStatus(t, a, 200)
		if a.ProtoMajor != 2 {
			t.Fatalf("HTTP/%d", a.ProtoMajor)
		}
		h := (<-g.seen).Header
		if got := h.Get("Cf-Client-Cert-Sha256") != ""; got != step.forwarded {
			t.Errorf("%s: forwarded %t, want %t", step.method, got, step.forwarded)
		}
		if identified := h.Get("Cf-Access-Jwt-Assertion") != ""; identified != (step.method == http.MethodGet) {
			t.Errorf("%s: identified %t", step.method, identified)
		}
	}
	anonymous := g.client(nil, http2)
	wantStatus(t, do(t, anonymous, &http.Request{Method: http.MethodOptions, URL: target, Header: preflight}), 200)
	wantStatus(t, do(t, anonymous, &http.Request{Method: http.MethodOptions, URL: target, Header: http.Header{"Origin": {"https://a.example"}}}), 403)
}
