package enforcer_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// A logged is a guard whose access log is kept.
type logged struct {
	*guard
	records chan enforcer.Access
}

func newLogged(t *testing.T, change ...func(*enforcer.State)) logged {
	records := make(chan enforcer.Access, 100)
	g := newGuardWith(t, enforcer.Options{AccessLog: func(a *enforcer.Access) { records <- *a }}, change...)
	g.clock.run()
	return logged{g, records}
}

// next returns the record of the request that ends next.
func (l logged) next() enforcer.Access {
	l.t.Helper()
	select {
	case a := <-l.records:
		return a
	case <-time.After(5 * time.Second):
		l.t.Fatal("nothing was logged")
		return enforcer.Access{}
	}
}

// quiet fails if more has been logged than was asked for.
func (l logged) quiet() {
	l.t.Helper()
	if len(l.records) > 0 {
		l.t.Errorf("logged as well: %+v", <-l.records)
	}
}

// TestAccess has one record for each way in which a request ends at once.
func TestAccess(t *testing.T) {
	t.Parallel()
	l := newLogged(t, func(s *enforcer.State) {
		s.Applications[0].Policies = append(s.Applications[0].Policies, policy("open", enforcer.Bypass, from("192.0.2.1/32")))
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		sub := s.Applications[0]
		sub.Name, sub.Path, sub.Policies = "admin area", "/admin", []enforcer.Policy{policy("guests", enforcer.Block, anyone...)}
		trial := s.Applications[0]
		trial.Name, trial.Path, trial.ReportOnly = "trial", "/trial", true
		s.Applications = append(s.Applications, sub, trial)
	})
	dead := l.state.Applications[0]
	dead.Name, dead.Path, dead.Origin = "dead", "/dead", address(t, "http://127.0.0.1:1")
	l.state.Applications = append(l.state.Applications, dead)
	l.apply()
	pair := l.james(certtest.Serial(0x0a0b))
	bare := enforcer.Access{Method: "GET", Host: orders, Remote: "127.0.0.1", Path: "/"}
	known := bare
	known.Fingerprint, known.CommonName, known.Serial = cert.Fingerprint(pair.Leaf), "James Royal", "0A0B"
	with := func(a enforcer.Access, change func(*enforcer.Access)) enforcer.Access { change(&a); return a }
	for _, tt := range []struct {
		name   string
		pair   *tls.Certificate
		method string
		target string
		header []string
		body   string
		want   enforcer.Access
	}{
		{"admitted", pair, "GET", "/a%2Dd?secret=1", nil, "", with(known, func(a *enforcer.Access) {
			a.Path, a.Status, a.Sent, a.Application, a.Policy, a.Action, a.Admitted = "/a%2Dd", 200, 11, "orders", "devices", enforcer.ServiceAuth, true
		})},
		{"with a body", pair, "POST", "/", nil, "0123456789", with(known, func(a *enforcer.Access) {
			a.Method, a.Status, a.Received, a.Sent, a.Application, a.Policy, a.Action, a.Admitted = "POST", 200, 10, 8, "orders", "devices", enforcer.ServiceAuth, true
		})},
		{"bypass behind a proxy", nil, "GET", "/", []string{"X-Forwarded-For", "192.0.2.1"}, "", with(bare, func(a *enforcer.Access) {
			a.Remote, a.Status, a.Sent, a.Application, a.Policy, a.Action, a.Admitted = "192.0.2.1", 200, 8, "orders", "open", enforcer.Bypass, true
		})},
		{"report only", nil, "GET", "/trial", nil, "", with(bare, func(a *enforcer.Access) {
			a.Path, a.Status, a.Sent, a.Application, a.Reason, a.Admitted = "/trial", 200, 13, "trial", enforcer.ReasonNoCertificate, true
		})},
		{"no certificate", nil, "GET", "/", nil, "", with(bare, func(a *enforcer.Access) {
			a.Status, a.Application, a.Reason = 403, "orders", enforcer.ReasonNoCertificate
		})},
		{"blocked", pair, "GET", "/admin/x", nil, "", with(known, func(a *enforcer.Access) {
			a.Path, a.Status, a.Application, a.Policy, a.Reason = "/admin/x", 403, "admin area", "guests", enforcer.ReasonBlocked
		})},
		{"ambiguous path", pair, "GET", "/x//admin", nil, "", with(known, func(a *enforcer.Access) {
			a.Path, a.Status, a.Reason = "/x//admin", 400, enforcer.ReasonBadPath
		})},
		{"misdirected", pair, "GET", "/", []string{"Host", admin}, "", with(bare, func(a *enforcer.Access) {
			a.Host, a.Status, a.Reason, a.Fingerprint = admin, 421, enforcer.ReasonMisdirected, known.Fingerprint
		})},
		{"bad host", nil, "GET", "/", []string{"Host", "a_b"}, "", with(bare, func(a *enforcer.Access) {
			a.Host, a.Status, a.Reason = "a_b", 400, enforcer.ReasonBadHost
		})},
		{"keys", nil, "HEAD", "/cdn-cgi/access/certs", nil, "", with(bare, func(a *enforcer.Access) {
			a.Method, a.Path, a.Status, a.Application = "HEAD", "/cdn-cgi/access/certs", 200, "orders"
		})},
		{"identity, refused", nil, "GET", "/cdn-cgi/access/get-identity", nil, "", with(bare, func(a *enforcer.Access) {
			a.Path, a.Status, a.Application, a.Reason = "/cdn-cgi/access/get-identity", 403, "orders", enforcer.ReasonNoCertificate
		})},
		{"origin is dead", pair, "GET", "/dead", nil, "", with(known, func(a *enforcer.Access) {
			a.Path, a.Status, a.Application, a.Policy, a.Action, a.Admitted = "/dead", 502, "dead", "devices", enforcer.ServiceAuth, true
		})},
	} {
		for _, mode := range []struct {
			protocol string
			change   func(*http.Transport)
		}{{"HTTP/1.1", func(*http.Transport) {}}, {"HTTP/2.0", http2}} {
			t.Run(tt.name+" "+mode.protocol, func(t *testing.T) {
				a := l.send(t, tt.pair, mode.change, tt.method, tt.target, tt.header, tt.body)
				got := l.next()
				l.quiet()
				l.wantRecord(t, a, got, tt.want)
				if got.Protocol != mode.protocol || got.TLS != "1.3" || got.Resumed {
					t.Errorf("protocol %s, TLS %s, resumed %v", got.Protocol, got.TLS, got.Resumed)
				}
			})
		}
	}
}

func (l logged) send(t *testing.T, pair *tls.Certificate, mode func(*http.Transport), method, target string, header []string, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, "https://"+orders+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	req.Header.Del("Host")
	return do(t, l.client(pair, mode), req)
}

// wantRecord compares a record but for what differs from run to run, which it
// checks by the answer.
func (l logged) wantRecord(t *testing.T, a answer, got, want enforcer.Access) {
	t.Helper()
	id := got.RequestID
	if got.Admitted && got.Status == 200 {
		id = (<-l.seen).Header.Get("X-Request-Id")
	} else if answered := a.Header.Get("X-Request-Id"); answered != "" {
		id = answered
	}
	if got.RequestID != id || len(id) != 32 {
		t.Errorf("id %q, and %q beside the request", got.RequestID, id)
	}
	if got.Took <= 0 || got.Origin > got.Took || (got.Origin > 0) != (got.Admitted && got.Status == 200) {
		t.Errorf("took %v, the origin %v", got.Took, got.Origin)
	}
	if now := l.clock.Now(); got.Time.After(now) || got.Time.Before(now.Add(-time.Minute)) || got.Time.Location() != time.UTC {
		t.Errorf("time %v", got.Time)
	}
	if want.Sent == 0 && want.Method != http.MethodHead {
		want.Sent = int64(len(a.body)) // of a page of our own
	}
	got.RequestID, got.Took, got.Origin, got.Time, got.Protocol, got.TLS, got.Resumed = "", 0, 0, time.Time{}, "", "", false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestAccess_resumed(t *testing.T) {
	t.Parallel()
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLogged(t)
			client := l.client(l.james(), func(tr *http.Transport) {
				tr.TLSClientConfig.MaxVersion, tr.TLSClientConfig.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			})
			for _, resumed := range []bool{false, true} {
				wantStatus(t, get(t, client, "https://"+orders+"/"), 200)
				client.CloseIdleConnections()
				if a := l.next(); a.TLS != name || a.Resumed != resumed {
					t.Errorf("TLS %s, resumed %v, want %s, %v", a.TLS, a.Resumed, name, resumed)
				}
			}
		})
	}
}

// TestAccess_endings: each request that ends badly is logged once, too.
func TestAccess_endings(t *testing.T) {
	t.Parallel()
	origin := streams(t)
	start := func(t *testing.T) (logged, *tls.Certificate, context.Context, context.CancelFunc) {
		l := newLogged(t, func(s *enforcer.State) { s.Applications[0].Origin = address(t, origin.URL) })
		ctx, cancel := context.WithCancel(t.Context())
		return l, l.james(), ctx, cancel
	}
	for _, mode := range []struct {
		name   string
		change func(*http.Transport)
	}{{"h1", func(*http.Transport) {}}, {"h2", http2}} {
		t.Run("cut off "+mode.name, func(t *testing.T) {
			t.Parallel()
			l, pair, _, cancel := start(t)
			defer cancel()
			res := open(t, l.client(pair, mode.change), "/download")
			l.quiet()
			l.revoke(cert.Fingerprint(pair.Leaf))
			_, _ = io.Copy(io.Discard, res.Body)
			if a := l.next(); a.Status != 200 || a.Sent == 0 || !a.Admitted || a.Action != enforcer.ServiceAuth || a.Reason != enforcer.ReasonRevoked ||
				!strings.Contains(l.log.String(), "request_id="+a.RequestID) {
				t.Errorf("record %+v", a)
			}
			l.quiet()
		})
		t.Run("cut off before the answer "+mode.name, func(t *testing.T) {
			t.Parallel()
			l, pair, _, cancel := start(t)
			defer cancel()
			client := l.client(pair, mode.change)
			answers := make(chan answer, 1)
			go func() { answers <- get(t, client, "https://"+orders+"/silent") }()
			eventually(t, "the request is in flight", func() bool { return l.Flights() == 1 })
			l.revoke(cert.Fingerprint(pair.Leaf))
			page := <-answers
			if a := l.next(); a.Status != 403 || a.Sent != int64(len(page.body)) || a.Reason != enforcer.ReasonRevoked || a.RequestID != page.Header.Get("X-Request-Id") {
				t.Errorf("record %+v", a)
			}
		})
		t.Run("client gone before the answer "+mode.name, func(t *testing.T) {
			t.Parallel()
			l, pair, ctx, cancel := start(t)
			client := l.client(pair, mode.change)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+orders+"/silent", nil)
				if res, err := client.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}()
			eventually(t, "the request is in flight", func() bool { return l.Flights() == 1 })
			cancel()
			<-ended
			if a := l.next(); a.Status != 0 || !a.Admitted || a.Reason != "" || a.Path != "/silent" {
				t.Errorf("record %+v", a)
			}
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		l, pair, ctx, cancel := start(t)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, "wss://"+orders+"/socket", &websocket.DialOptions{HTTPClient: l.client(pair)})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(ctx); err != nil {
			t.Fatal(err)
		}
		l.quiet()
		_ = conn.Close(websocket.StatusNormalClosure, "")
		if a := l.next(); a.Status != 101 || a.Sent < 5 || a.Received < 5 || !a.Admitted {
			t.Errorf("record %+v", a)
		}
	})
}

// TestRequestID: the origin's log and ours know a request by one id, which no
// client chooses.
func TestRequestID(t *testing.T) {
	t.Parallel()
	behind := func(s *enforcer.State) { s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	direct := func(*enforcer.State) {}
	for _, tt := range []struct {
		name string
		from func(*enforcer.State)
		sent []string
		kept bool
	}{
		{"none", direct, nil, false},
		{"of a client", direct, []string{"chosen"}, false},
		{"of a trusted proxy", behind, []string{"4711-a_b.C"}, true},
		{"of a trusted proxy, twice", behind, []string{"a", "b"}, false},
		{"of a trusted proxy, unfit for a log", behind, []string{`a" b`}, false},
		{"of a trusted proxy, long", behind, []string{strings.Repeat("a", 129)}, false},
		{"of a trusted proxy, empty", behind, []string{""}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLogged(t, tt.from)
			var headers []string
			for _, id := range tt.sent {
				headers = append(headers, "X-Request-Id", id)
			}
			a := get(t, l.client(nil), "https://"+orders+"/", headers...)
			refused := l.next()
			get(t, l.client(l.james()), "https://"+orders+"/", headers...)
			seen, admitted := (<-l.seen).Header["X-Request-Id"], l.next()
			if a.Header.Get("X-Request-Id") != refused.RequestID || !strings.Contains(a.body, refused.RequestID) {
				t.Errorf("refused as %q, logged as %q", a.Header.Get("X-Request-Id"), refused.RequestID)
			}
			if len(seen) != 1 || seen[0] != admitted.RequestID {
				t.Errorf("the origin saw %q, logged %q", seen, admitted.RequestID)
			}
			for _, id := range []string{refused.RequestID, admitted.RequestID} {
				if kept := len(tt.sent) == 1 && id == tt.sent[0]; kept != tt.kept || !kept && len(id) != 32 {
					t.Errorf("id %q", id)
				}
			}
		})
	}
}

// BenchmarkAccessLog shows what a refusal, the shortest of all requests, costs
// with and without an access log.
func BenchmarkAccessLog(b *testing.B) {
	for name, hook := range map[string]func(*enforcer.Access){"off": nil, "on": func(*enforcer.Access) {}} {
		b.Run(name, func(b *testing.B) {
			g := newGuardWith(b, enforcer.Options{AccessLog: hook})
			client := g.client(g.james(), http2)
			b.ReportAllocs()
			for b.Loop() {
				wantStatus(b, get(b, client, "https://"+orders+"/cdn-cgi/access/certs"), 200)
			}
		})
	}
}
