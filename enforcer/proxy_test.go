package enforcer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

// modes are the two protocols that clients speak.
var modes = map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2}

// eachMode runs a test with a guard before an origin, over each protocol.
func eachMode(t *testing.T, origin http.HandlerFunc, test func(*testing.T, *guard, *http.Client)) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(origin)
			t.Cleanup(s.Close)
			g := newGuard(t, originAt(s.URL))
			test(t, g, g.client(g.james(), mode))
		})
	}
}

// TestForwarded: both ways of saying where a request comes from; what the
// client says of it counts from a trusted proxy alone.
func TestForwarded(t *testing.T) {
	t.Parallel()
	const us = "for=127.0.0.1;proto=https;host=" + orders
	for _, tt := range []struct {
		name    string
		trusted bool
		headers []string
		want    []string // Forwarded, X-Forwarded-For, -Proto, -Host
	}{
		{"nothing said", false, nil, []string{us, "127.0.0.1", "https", orders}},
		{"a claim", false, []string{"Forwarded", "for=1.2.3.4", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a"}, []string{us, "127.0.0.1", "https", orders}},
		{"nothing said by a proxy", true, nil, []string{us, "127.0.0.1", "https", orders}},
		{
			"a proxy's Forwarded", true,
			[]string{"Forwarded", `for="[2001:db8::1]:4711";proto=http`, "Forwarded", "for=10.0.0.1"},
			[]string{`for="[2001:db8::1]:4711";proto=http, for=10.0.0.1, ` + us, "127.0.0.1", "https", orders},
		},
		{"an open quote", true, []string{"Forwarded", `for="1.2.3.4`}, []string{us, "127.0.0.1", "https", orders}},
		{"a quoted quote", true, []string{"Forwarded", `for="\"_a"`}, []string{`for="\"_a", ` + us, "127.0.0.1", "https", orders}},
		{"an escape at the end", true, []string{"Forwarded", `for="a\`}, []string{us, "127.0.0.1", "https", orders}},
		{
			"a proxy's X-Forwarded-*", true,
			[]string{"X-Forwarded-For", "198.51.100.1, 2001:db8::1", "X-Forwarded-For", "nonsense", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a.example:8080"},
			[]string{`for=198.51.100.1;proto=http;host="a.example:8080", for="[2001:db8::1]", for=unknown, ` + us, "198.51.100.1, 2001:db8::1, nonsense, 127.0.0.1", "http", "a.example:8080"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, func(s *enforcer.State) {
				if tt.trusted {
					s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
			})
			get(t, g.client(g.james()), "https://"+orders+"/", tt.headers...)
			h := (<-g.seen).Header
			got := []string{}
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
				got = append(got, strings.Join(h[name], "|"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the origin saw (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForwardedElement(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ addr, host, want string }{
		{"192.0.2.1", "a.example", "for=192.0.2.1;proto=https;host=a.example"},
		{"2001:db8::1", "a.example:8443", `for="[2001:db8::1]";proto=https;host="a.example:8443"`},
		{"192.0.2.1", `a"\b`, `for=192.0.2.1;proto=https;host="a\"\\b"`},
	} {
		if got := enforcer.ForwardedElement(netip.MustParseAddr(tt.addr), "https", tt.host); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// TestHopByHop: what is for us alone goes no further, in either direction.
func TestHopByHop(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	g := newGuard(t, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		got <- req.Header
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: a\r\nKeep-Alive: timeout=5\r\nX-End: b\r\nContent-Length: 0\r\n\r\n")
	})))
	a := exchangeRaw(t, g.dial(g.james()), getFrom+toHost+"Connection: keep-alive, x-hop\r\nX-Hop: a\r\nKeep-Alive: 5\r\n"+
		"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic YTpi\r\nTE: trailers\r\nX-End: b\r\n\r\n")
	for what, h := range map[string]http.Header{"the origin": <-got, "the client": a.Header} {
		for _, name := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Te"} {
			if h.Get(name) != "" {
				t.Errorf("%s got %s: %q", what, name, h[name])
			}
		}
		if h.Get("X-End") != "b" {
			t.Errorf("%s did not get X-End", what)
		}
	}
}

// TestHopByHop_many: a list of thousands takes no longer than to read it, and
// each name on it is held back, however it is spelled and wherever it stands.
func TestHopByHop_many(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	var options, fields []string
	for i := range 2000 {
		options = append(options, fmt.Sprintf("x-HOP-%d", i))
	}
	for i := range 500 {
		fields = append(fields, fmt.Sprintf("X-Hop-%d: a\r\n", 4*i))
	}
	head := getFrom + toHost + "Connection: " + strings.Join(options[:1000], ", ") + "\r\nConnection:\t" + strings.Join(options[1000:], ",,\t") + "\r\n"
	if a := exchangeRaw(t, g.dial(g.james()), head+strings.Join(fields, "")+"X-End: b\r\n\r\n"); a.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", a.StatusCode)
	}
	h := (<-g.seen).Header
	for name := range h {
		if strings.HasPrefix(name, "X-Hop") {
			t.Fatalf("the origin got %s", name)
		}
	}
	if h.Get("X-End") != "b" {
		t.Error("the origin did not get X-End")
	}
}

// TestLargeBodies: any length passes, either way, in constant memory.
func TestLargeBodies(t *testing.T) {
	const size = 256 << 20
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Received", strconv.FormatInt(n, 10))
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.CopyN(w, zeros{}, size)
		}
	}))
	t.Cleanup(origin.Close)
	g := newGuard(t, originAt(origin.URL))
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	var peak atomic.Uint64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				peak.Store(max(peak.Load(), live()))
			}
		}
	}()
	res, err := g.client(g.james()).Post("https://"+orders+"/", "application/octet-stream", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := res.Header.Get("X-Received"); got != strconv.Itoa(size) {
		t.Errorf("%s bytes arrived", got)
	}
	res, err = g.client(g.james(), http2).Get("https://" + orders + "/")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || n != size {
		t.Errorf("%d bytes came: %v", n, err)
	}
	close(stop)
	<-watched
	if limit := before + 32<<20; peak.Load() > limit {
		t.Errorf("%d MiB of heap, %d before", peak.Load()>>20, before>>20)
	}
}

// TestTrailers: those of the answer arrive, announced or not; those of the
// request do not.
func TestTrailers(t *testing.T) {
	eachMode(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		if len(r.Trailer) > 0 || r.Header.Get("Trailer") != "" {
			_, _ = io.WriteString(w, " with a client's trailers")
		}
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Sudden", "b")
	}, func(t *testing.T, _ *guard, client *http.Client) {
		req, err := http.NewRequest(http.MethodPost, "https://"+orders+"/", struct{ io.Reader }{strings.NewReader("abc")})
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Client": {"c"}}
		a := do(t, client, req)
		if a.body != "body" || a.Trailer.Get("X-Announced") != "a" || a.Trailer.Get("X-Sudden") != "b" {
			t.Errorf("%q, trailer %v", a.body, a.Trailer)
		}
	})
}

// TestInformational: hints pass, with none of what is between us and the
// origin, and the session cookie waits for the answer.
func TestInformational(t *testing.T) {
	eachMode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "ok")
	}, func(t *testing.T, _ *guard, client *http.Client) {
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(status, h))
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+orders+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, client, req)
		if want := []string{"103 map[Link:[</style.css>; rel=preload]]"}; !slices.Equal(hints, want) {
			t.Errorf("hints %q", hints)
		}
		if a.body != "ok" || a.Header.Get("Link") != "" || len(a.Cookies()) != 1 {
			t.Errorf("%q with %v", a.body, a.Header)
		}
	})
}

// TestExpectContinue: the client is asked for the body when the origin asks,
// and keeps it when the origin refuses.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ interim, want string }{
		"asked for": {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"},
		"refused":   {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 413 Request Entity Too Large\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			g := newGuard(t, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
				req, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, tt.interim)
				body, _ := io.ReadAll(req.Body)
				got <- req.Header.Get("Expect") + " " + string(body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})))
			conn := g.dial(g.james())
			_, _ = io.WriteString(conn, post+"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
			buf := make([]byte, len(tt.want))
			n, err := io.ReadAtLeast(conn, buf, strings.Index(tt.want, "\r\n"))
			if err != nil || !strings.HasPrefix(tt.want, string(buf[:n])) {
				t.Fatalf("%q came: %v", buf[:n], err)
			}
			if name == "refused" {
				if body := <-got; body != "100-continue " {
					t.Errorf("the origin got %q", body)
				}
				return
			}
			_, _ = io.WriteString(conn, "abc")
			if body := <-got; body != "100-continue abc" {
				t.Errorf("the origin got %q", body)
			}
			if _, err := io.ReadFull(conn, buf[n:]); err != nil || string(buf) != tt.want {
				t.Errorf("%q came: %v", buf, err)
			}
		})
	}
}

// rawOrigin runs handle for each connection and returns its address.
func rawOrigin(t testing.TB, handle func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return l.Addr().String()
}

// TestEarlyAnswer: an answer before the end of the body reaches the client,
// and over HTTP/1.1 the connection is not used any more.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
				_, _ = http.ReadRequest(in)
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
			})))
			body, writer := io.Pipe()
			t.Cleanup(func() { _ = writer.Close() })
			go func() { _, _ = io.WriteString(writer, "the beginning") }()
			req, err := http.NewRequest(http.MethodPost, "https://"+orders+"/", body)
			if err != nil {
				t.Fatal(err)
			}
			a := do(t, g.client(g.james(), mode), req)
			wantStatus(t, a, 413)
			if a.body != "no" || a.Close != (name == "h1") {
				t.Errorf("%q, close %v", a.body, a.Close)
			}
			eventually(t, "the request has ended", func() bool { return g.Flights() == 0 })
		})
	}
}

// TestOriginFails_causes: the client gets a status and a page, the log the reason.
func TestOriginFails_causes(t *testing.T) {
	t.Parallel()
	silent := rawOrigin(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
	garbage := rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\nok")
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for _, tt := range []struct {
		name, origin string
		status       int
		logged       string
	}{
		{"nobody listens", "http://" + closed.Addr().String(), 502, "connection refused"},
		{"no answer in time", "http://" + silent, 504, "i/o timeout"},
		{"a malformed answer", "http://" + garbage, 502, "Transfer-Encoding"},
		{"an unknown CA", secure.URL, 502, "certificate signed by unknown authority"},
		{"no TLS", "https://" + garbage, 502, "TLS with the origin"},
		{"no HTTP/2", "h2c://" + silent, 504, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, originAt(tt.origin), func(s *enforcer.State) {
				s.Applications[0].OriginTimeout = 300 * time.Millisecond
				s.Applications[0].OriginTLS = enforcer.OriginTLS{Roots: certtest.NewCA().Pool(), ID: "a"}
			})
			a := get(t, g.client(g.james()), "https://"+orders+"/")
			wantStatus(t, a, tt.status)
			if log := g.log.String(); !strings.Contains(log, tt.logged) || !strings.Contains(log, `msg="origin failed"`) {
				t.Errorf("not in the log: %s", log)
			}
			if strings.Contains(a.body, tt.logged) || a.Header.Get("Set-Cookie") != "" {
				t.Errorf("told the client: %v %s", a.Header, a.body)
			}
		})
	}
}

// TestBrokenAnswer: a client never takes half an answer for the whole.
func TestBrokenAnswer(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"short":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"bad chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
		"bad trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX A: b\r\n\r\n",
	} {
		for protocol, mode := range modes {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				g := newGuard(t, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
					_, _ = http.ReadRequest(in)
					_, _ = io.WriteString(conn, raw)
				})))
				res, err := g.client(g.james(), mode).Get("https://" + orders + "/")
				if err != nil {
					return // nothing had been sent yet
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); err == nil {
					t.Errorf("%q was taken for whole", body)
				}
			})
		}
	}
}

// TestContentType_absent: what the origin does not say is not guessed.
func TestContentType_absent(t *testing.T) {
	eachMode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html><script>alert(1)</script>")
	}, func(t *testing.T, _ *guard, client *http.Client) {
		if kind, said := get(t, client, "https://"+orders+"/").Header["Content-Type"]; said {
			t.Errorf("Content-Type %q", kind)
		}
	})
}

// TestClientLeaves: the origin's request ends too, in each phase.
func TestClientLeaves(t *testing.T) {
	come, left := make(chan string, 10), make(chan string, 10)
	eachMode(t, func(w http.ResponseWriter, r *http.Request) {
		come <- r.URL.Path
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "the beginning")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		left <- r.URL.Path
	}, func(t *testing.T, g *guard, client *http.Client) {
		for _, path := range []string{"/head", "/body"} {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+orders+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-come
				time.Sleep(100 * time.Millisecond) // to be in the phase that is meant
				cancel()
			}()
			if res, err := client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			select {
			case <-left:
			case <-time.After(5 * time.Second):
				t.Errorf("the origin goes on with %s", path)
			}
		}
		eventually(t, "the requests have ended", func() bool { return g.Flights() == 0 })
	})
}

// TestUpload_keepsConnection: after a body that was read whole, both
// connections serve on.
func TestUpload_keepsConnection(t *testing.T) {
	t.Parallel()
	var accepted atomic.Int32
	g := newGuard(t, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
		accepted.Add(1)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})))
	conn := g.dial(g.james())
	for i := range 20 {
		request := post + "Content-Length: 3\r\n\r\nabc"
		if i%2 == 1 {
			request = post + chunks + "\r\n3\r\nabc\r\n0\r\n\r\n"
		}
		if a := exchangeRaw(t, conn, request); a.StatusCode != 200 || a.Close {
			t.Fatalf("request %d: status %d, close %v", i, a.StatusCode, a.Close)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections to the origin", n)
	}
}

// TestTally: what the proxy notes for the access log and the metrics.
func TestTally(t *testing.T) {
	t.Parallel()
	records := make(chan enforcer.Access, 1)
	took := make(chan string, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(origin.Close)
	g := newGuardWith(t, enforcer.Options{
		AccessLog: func(a *enforcer.Access) { records <- *a },
		Metrics:   enforcer.Metrics{Origin: func(name string, _ time.Duration) { took <- name }},
	}, originAt(origin.URL))
	res, err := g.client(g.james()).Post("https://"+orders+"/", "text/plain", strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	a := <-records
	if a.Status != 201 || a.Received != 3 || a.Sent != 5 {
		t.Errorf("%+v", a)
	}
	if name := <-took; name != "orders" {
		t.Errorf("Origin(%q)", name)
	}
}
