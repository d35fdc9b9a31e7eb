package enforcer_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// counts keeps what the metrics were called for.
type counts struct {
	mu    sync.Mutex
	lines []string
}

func (c *counts) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *counts) request(application string, admitted bool, reason enforcer.Reason) {
	c.add("%s %v %s", application, admitted, reason)
}

func (c *counts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = nil
}

func (c *counts) want(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.lines, want) {
		t.Errorf("counted %q, want %q", c.lines, want)
	}
}

// TestMetrics_request: names of the configuration, reasons of a fixed set, and
// nothing that a client can choose.
func TestMetrics_request(t *testing.T) {
	t.Parallel()
	c := &counts{}
	g := newGuardWith(t, enforcer.Options{Metrics: enforcer.Metrics{Request: c.request}})
	client := g.client(g.james())
	for _, tt := range []struct {
		path, host, want string
	}{
		{"/", orders, "orders true "},
		{"/", admin, " false misdirected"},
		{"/", "unknown-7f3a.example.com", " false misdirected"},
		{"/", "a_b", " false bad_host"},
		{"/cdn-cgi/access/get-identity", orders, ""},
		{"/cdn-cgi/access/certs", orders, ""},
		{health, orders, ""},
	} {
		t.Run(tt.host+tt.path, func(t *testing.T) {
			c.reset()
			get(t, client, "https://"+orders+tt.path, "Host", tt.host)
			if tt.want == "" {
				c.want(t)
				return
			}
			c.want(t, tt.want)
		})
	}
	c.reset()
	wantStatus(t, get(t, g.client(nil), "https://"+orders+"/"), 403)
	wantStatus(t, get(t, g.client(nil), "https://"+orders+"/cdn-cgi/access/get-identity"), 403)
	c.want(t, "orders false no_certificate", "orders false no_certificate")
}

// TestMetrics_verified: a verdict is taken once, and looked up from then on,
// by other connections of the same client too.
func TestMetrics_verified(t *testing.T) {
	t.Parallel()
	c := &counts{}
	g := newGuardWith(t, enforcer.Options{Metrics: enforcer.Metrics{Verified: func(took time.Duration, remembered bool) {
		c.add("%v %v", took > 0, remembered)
	}}})
	g.clock.run()
	pair := g.james()
	const taken, lookedUp = "true false", "false true"
	for _, tt := range []struct {
		name   string
		client *http.Client
		change func()
		want   []string
	}{
		{"first sight", g.client(pair), func() {}, []string{taken}},
		{"another connection", g.client(pair), func() {}, []string{lookedUp}},
		{"a new state", g.client(pair), g.apply, []string{taken}},
		{"no certificate", g.client(nil), func() {}, nil},
	} {
		c.reset()
		tt.change()
		get(t, tt.client, "https://"+orders+"/")
		c.want(t, tt.want...)
		if tt.want != nil {
			c.reset()
			get(t, tt.client, "https://"+orders+"/")
			c.want(t, lookedUp)
		}
	}
}
