package enforcer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// TestTrustChange sees each change take effect on the connection that is open,
// in both directions, while another client notices nothing.
func TestTrustChange(t *testing.T) {
	t.Parallel()
	type env struct {
		*guard
		fingerprint string
	}
	revoke := func(e env) { e.revoke(e.fingerprint) }
	tests := []struct {
		name          string
		before, after int
		setup, change func(env)
		sparesOthers  bool
	}{
		{"revoked", 200, 403, nil, revoke, true},
		{"unrevoked", 403, 200, revoke, func(e env) { e.state.Revoked = nil; e.apply() }, true},
		{"CA removed", 200, 403, nil, func(e env) { e.state.Bundles = e.state.Bundles[1:]; e.apply() }, false},
		{
			"CA added", 403, 200, func(e env) { e.state.Bundles = nil; e.apply() },
			func(e env) { e.state.Bundles = []enforcer.Bundle{bundle("root", e.ca, orders)}; e.apply() }, false,
		},
		{
			"hostname disassociated", 200, 403, nil,
			func(e env) { e.state.Bundles = []enforcer.Bundle{bundle("root", e.ca, admin)}; e.apply() }, false,
		},
		{"policy changed", 200, 403, nil, func(e env) {
			apps := append([]enforcer.Application(nil), e.state.Applications...)
			apps[0].Policies = []enforcer.Policy{{Name: "none", Action: enforcer.Block, Include: []enforcer.Selector{{CommonName: []string{"James Royal"}}}}, apps[0].Policies[0]}
			apps[0].Policies[1].Action = enforcer.Allow
			e.state.Applications = apps
			e.apply()
		}, true},
		{"application removed", 200, 421, nil, func(e env) { e.state.Applications = e.state.Applications[1:]; e.apply() }, false},
		{"leaf expired", 200, 403, nil, func(e env) { e.clock.advance(2 * time.Hour) }, true},
		{"leaf became valid", 403, 200, func(e env) { e.clock.advance(-2 * time.Hour) }, func(e env) { e.clock.advance(2 * time.Hour) }, false},
	}
	for _, tt := range tests {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				g := newGuard(t)
				mode := func(*http.Transport) {}
				if protocol == "HTTP/2.0" {
					mode = http2
				}
				now := time.Now()
				pair := g.james(certtest.Validity(now.Add(-time.Hour), now.Add(time.Hour)))
				e := env{g, cert.Fingerprint(pair.Leaf)}
				client := g.client(pair, mode)
				other := g.client(leaf(g.ca, certtest.CommonName("other"), certtest.Validity(now.Add(-24*time.Hour), now.AddDate(1, 0, 0))), mode)
				if tt.setup != nil {
					tt.setup(e)
				}
				wantStatus(t, get(t, client, "https://"+orders+"/"), tt.before)
				if tt.sparesOthers {
					wantStatus(t, get(t, other, "https://"+orders+"/"), 200)
				}
				tt.change(e)
				a, reused := getTraced(t, client, "https://"+orders+"/")
				wantStatus(t, a, tt.after)
				if !reused {
					t.Error("the connection was not kept open")
				}
				if a.Proto != protocol {
					t.Errorf("protocol %s", a.Proto)
				}
				if tt.sparesOthers {
					a, reused := getTraced(t, other, "https://"+orders+"/")
					wantStatus(t, a, 200)
					if !reused {
						t.Error("the other client's connection was closed")
					}
				}
			})
		}
	}
}

// getTraced reports whether the request went over an open connection.
func getTraced(t *testing.T, client *http.Client, url string) (a answer, reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, client, req), reused
}

// flooded counts what the floods have got rid of.
var flooded atomic.Int64

// streams is an origin whose answers do not end by themselves.
func streams(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here you are") })
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) { drip(w, r, strings.Repeat("x", 1<<10)) })
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		drip(w, r, "data: tick\n\n")
	})
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			flooded.Add(1)
		}
	})
	mux.HandleFunc("/flood-socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for conn.Write(r.Context(), websocket.MessageBinary, make([]byte, 64<<10)) == nil {
			flooded.Add(1)
		}
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func drip(w http.ResponseWriter, r *http.Request, chunk string) {
	rc := http.NewResponseController(w)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

func newStreamGuard(t *testing.T) *guard { return newStreamGuardWith(t, enforcer.Options{}) }

func newStreamGuardWith(t *testing.T, limits enforcer.Options) *guard {
	origin, err := url.Parse(streams(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	return newGuardWith(t, limits, func(s *enforcer.State) { s.Applications[0].Origin = origin })
}

// open starts a request whose answer goes on; reading it must succeed.
func open(t *testing.T, client *http.Client, path string) *http.Response {
	t.Helper()
	res, err := client.Get("https://" + orders + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	alive(t, res)
	return res
}

func alive(t *testing.T, res *http.Response) {
	t.Helper()
	if _, err := bufio.NewReader(res.Body).ReadByte(); err != nil {
		t.Fatalf("the stream is dead: %v", err)
	}
}

func TestInFlight_streams(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/download", "/events"} {
		for _, protocol := range []string{"h1", "h2"} {
			t.Run(path+" "+protocol, func(t *testing.T) {
				t.Parallel()
				g := newStreamGuard(t)
				mode := func(*http.Transport) {}
				if protocol == "h2" {
					mode = http2
				}
				pair := g.james()
				doomed := open(t, g.client(pair, mode), path)
				spared := open(t, g.client(leaf(g.ca), mode), path)
				start := time.Now()
				g.revoke(cert.Fingerprint(pair.Leaf))
				if !strings.Contains(g.log.String(), `msg="request cut off"`) {
					t.Error("not cut off when Apply returns")
				}
				if _, err := io.Copy(io.Discard, doomed.Body); err == nil {
					t.Error("the stream ended as if complete")
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("cut off after %v", took)
				}
				alive(t, spared)
			})
		}
	}
}

// TestInFlight_waiting: the origin has not answered yet, so the client gets a
// proper refusal.
func TestInFlight_waiting(t *testing.T) {
	t.Parallel()
	g := newStreamGuard(t)
	pair := g.james()
	client := g.client(pair)
	answers := make(chan answer, 1)
	go func() { answers <- get(t, client, "https://"+orders+"/silent") }()
	eventually(t, "the request is in flight", func() bool { return g.Flights() == 1 })
	g.revoke(cert.Fingerprint(pair.Leaf))
	a := <-answers
	wantStatus(t, a, 403)
	if id := a.Header.Get("X-Request-Id"); !strings.Contains(g.log.String(), "request_id="+id) {
		t.Error("the request id is not in the log")
	}
}

// TestInFlight_clientLeaves: that is nobody's failure.
func TestInFlight_clientLeaves(t *testing.T) {
	t.Parallel()
	g := newStreamGuard(t)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+orders+"/silent", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := g.client(g.james())
	done := make(chan error, 1)
	go func() {
		_, err := client.Do(req)
		done <- err
	}()
	eventually(t, "the request is in flight", func() bool { return g.Flights() == 1 })
	leave()
	if err := <-done; err == nil {
		t.Error("an answer after all")
	}
	eventually(t, "the request has ended", func() bool { return g.Flights() == 0 })
	if strings.Contains(g.log.String(), "origin failed") {
		t.Error("the origin is blamed")
	}
}

// TestInFlight_clock: time alone ends an admission in flight.
func TestInFlight_clock(t *testing.T) {
	t.Parallel()
	g := newStreamGuard(t)
	now := time.Now()
	doomed := open(t, g.client(g.james(certtest.Validity(now.Add(-time.Hour), now.Add(time.Hour)))), "/events")
	spared := open(t, g.client(g.james()), "/events")
	g.clock.advance(time.Hour + time.Second)
	wantCut(t, doomed.Body)
	alive(t, spared)
}

func dialSocket(t *testing.T, client *http.Client) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), "https://"+orders+"/socket", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if res.Header.Get("Set-Cookie") == "" {
		t.Error("no cookie on the upgrade")
	}
	echo(t, conn)
	return conn
}

func echo(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "hello" {
		t.Fatalf("echo %q: %v", got, err)
	}
}

func TestInFlight_webSocket(t *testing.T) {
	t.Parallel()
	g := newStreamGuard(t)
	pair := g.james()
	doomed := dialSocket(t, g.client(pair))
	spared := dialSocket(t, g.client(leaf(g.ca)))
	g.revoke(cert.Fingerprint(pair.Leaf))
	if _, _, err := doomed.Read(t.Context()); err == nil {
		t.Error("the WebSocket is still open")
	}
	echo(t, spared)
}

// TestInFlight_stalled: a client that reads nothing does not escape by it.
func TestInFlight_stalled(t *testing.T) {
	start := map[string]func(*testing.T, *http.Client){
		"h1": func(t *testing.T, c *http.Client) { open(t, c, "/flood") },
		"webSocket": func(t *testing.T, c *http.Client) {
			conn, _, err := websocket.Dial(t.Context(), "https://"+orders+"/flood-socket", &websocket.DialOptions{HTTPClient: c})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.CloseNow() })
		},
		"h2": func(t *testing.T, c *http.Client) {
			http2(c.Transport.(*http.Transport))
			open(t, c, "/flood")
		},
	}
	for name, begin := range start {
		t.Run(name, func(t *testing.T) {
			g := newStreamGuard(t)
			pair := g.james()
			begin(t, g.client(pair))
			last := int64(-1)
			eventually(t, "everything is full", func() bool {
				time.Sleep(100 * time.Millisecond)
				now := flooded.Load()
				defer func() { last = now }()
				return now == last
			})
			g.revoke(cert.Fingerprint(pair.Leaf))
			eventually(t, "the request has ended", func() bool { return g.Flights() == 0 })
		})
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	// logged waits a moment before it counts, lest a record come in time by chance.
	logged := func(n *atomic.Int32) enforcer.Options {
		return enforcer.Options{AccessLog: func(*enforcer.Access) {
			time.Sleep(100 * time.Millisecond)
			n.Add(1)
		}}
	}
	t.Run("WebSockets are closed", func(t *testing.T) {
		t.Parallel()
		var records atomic.Int32
		g := newStreamGuardWith(t, logged(&records))
		conn := dialSocket(t, g.client(g.james()))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(t.Context()); err == nil {
			t.Error("the WebSocket is still open")
		}
		if n := records.Load(); n != 1 {
			t.Errorf("%d records", n)
		}
	})
	t.Run("requests are drained", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			fmt.Fprint(w, "done")
		}))
		t.Cleanup(origin.Close)
		target, _ := url.Parse(origin.URL)
		g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Origin = target })
		answers := make(chan answer, 1)
		client := g.client(g.james())
		go func() { answers <- get(t, client, "https://"+orders+"/") }()
		eventually(t, "the request is in flight", func() bool { return g.Flights() == 1 })
		down := make(chan error, 1)
		go func() { down <- g.Shutdown(t.Context()) }()
		close(release)
		if a := <-answers; a.body != "done" {
			t.Errorf("answer %q", a.body)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
	t.Run("what outlives the grace is closed", func(t *testing.T) {
		t.Parallel()
		var records atomic.Int32
		g := newStreamGuardWith(t, logged(&records))
		stream := open(t, g.client(g.james()), "/events")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := g.Shutdown(ctx); err == nil {
			t.Error("no word of the stream left over")
		}
		if n := records.Load(); n != 1 {
			t.Errorf("%d records", n)
		}
		if _, err := io.Copy(io.Discard, stream.Body); err == nil {
			t.Error("the stream ended as if complete")
		}
	})
}
