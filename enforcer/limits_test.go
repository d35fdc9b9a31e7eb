package enforcer_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/certvigil/certvigil/enforcer"
)

// patience is a limit that tests wait for.
const patience = 250 * time.Millisecond

// dialTLS opens a connection of its own, for requests written by hand.
func dialTLS(t testing.TB, g *guard, pair *tls.Certificate, protocols ...string) *tls.Conn {
	t.Helper()
	cfg := g.tls(pair)
	cfg.ServerName, cfg.NextProtos = orders, protocols
	conn, err := tls.Dial("tcp", g.addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	deadline(t, conn)
	return conn
}

// deadline keeps a test from hanging on a connection.
func deadline(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
}

func send(t testing.TB, conn net.Conn, lines ...string) {
	t.Helper()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
}

// wantClosed reads until the other end hangs up, and returns what came first.
func wantClosed(t testing.TB, conn net.Conn) string {
	t.Helper()
	got, err := io.ReadAll(conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Fatalf("the connection is still open; it said %q", got)
	}
	return string(got)
}

// classes notes how handshakes fail.
type classes struct {
	mu  sync.Mutex
	all []string
}

func (c *classes) note(_ bool, err error) {
	if failed, ok := errors.AsType[*enforcer.HandshakeError](err); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, failed.Class)
	}
}

func (c *classes) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.all, " ")
}

// TestLimit_handshake: whoever does not finish the handshake in time is hung
// up on, wherever it stopped, while others are served.
func TestLimit_handshake(t *testing.T) {
	t.Parallel()
	silent := func(*testing.T, *guard, net.Conn) {}
	tests := []struct {
		name, class string // in the log; what follows the class tells of the error
		begin       func(*testing.T, *guard, net.Conn)
	}{
		{"nothing sent", "timeout", silent},
		{"half a ClientHello", "timeout", func(t *testing.T, _ *guard, conn net.Conn) {
			send(t, conn, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
		}},
		{"stopped after the ClientHello", "timeout", func(_ *testing.T, g *guard, conn net.Conn) {
			cfg := g.tls(nil)
			cfg.ServerName = orders
			go func() { _ = tls.Client(deaf{conn}, cfg).Handshake() }()
		}},
		{"plain HTTP", "not_tls", func(t *testing.T, _ *guard, conn net.Conn) { send(t, conn, "GET / HTTP/1.1", "", "") }},
		{"left", "client_left", func(_ *testing.T, _ *guard, conn net.Conn) { _ = conn.(*net.TCPConn).CloseWrite() }},
		{"a name that is nobody's", `unrecognized_name error="no application has the host name \"nobody.example.com\""`, func(_ *testing.T, g *guard, conn net.Conn) {
			cfg := g.tls(nil)
			cfg.ServerName = "nobody.example.com"
			_ = tls.Client(conn, cfg).Handshake()
		}},
		{"no name", `unrecognized_name error="the client asked for no host name, and there is no default_hostname"`, func(_ *testing.T, _ *guard, conn net.Conn) {
			_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}},
		{"our certificate refused", "certificate_rejected", func(_ *testing.T, _ *guard, conn net.Conn) {
			_ = tls.Client(conn, &tls.Config{ServerName: orders}).Handshake()
		}},
		{"no version in common", "protocol", func(_ *testing.T, _ *guard, conn net.Conn) {
			_ = tls.Client(conn, &tls.Config{ServerName: orders, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var failed classes
			limit := time.Duration(0)
			if tt.class == "timeout" {
				limit = 4 * patience
			}
			g := newGuardWith(t, enforcer.Options{HandshakeTimeout: limit, Metrics: enforcer.Metrics{Handshake: failed.note}})
			conn := dialRaw(t, g)
			deadline(t, conn)
			tt.begin(t, g, conn)
			eventually(t, "the handshake has failed", func() bool { return failed.String() != "" })
			if got, want := failed.String(), strings.Fields(tt.class)[0]; got != want {
				t.Errorf("class %q, want %q", got, want)
			}
			wantClosed(t, conn)
			eventually(t, "the slot is free", func() bool { return g.BusyHandshakes() == 0 })
			wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
			if line := lineWith(g.log, "handshake failed"); !strings.Contains(line, "class="+tt.class) ||
				!strings.Contains(line, "connection=") || !strings.Contains(line, "remote=127.0.0.1:") {
				t.Errorf("the log says %q", line)
			}
		})
	}
}

func lineWith(l *log, text string) string {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// TestLimit_handshakeLog: strangers cannot fill the log.
func TestLimit_handshakeLog(t *testing.T) {
	t.Parallel()
	var failed classes
	g := newGuardWith(t, enforcer.Options{Metrics: enforcer.Metrics{Handshake: failed.note}})
	refused := func() {
		conn := dialRaw(t, g)
		_ = tls.Client(conn, &tls.Config{ServerName: "nobody.example.com"}).Handshake()
	}
	count := func() int { return strings.Count(g.log.String(), "level=INFO msg=\"handshake failed\"") }
	const tries = 20
	for range tries {
		refused()
	}
	eventually(t, "all are counted", func() bool { return strings.Count(failed.String(), "unrecognized_name") == tries })
	if n := count(); n != 1 {
		t.Errorf("%d lines at level info, want 1", n)
	}
	g.clock.advance(time.Minute)
	refused()
	eventually(t, "the next line", func() bool { return count() == 2 })
	if want := fmt.Sprintf("suppressed=%d", tries-1); !strings.Contains(g.log.String(), want) {
		t.Errorf("no %s in the log", want)
	}
}

// TestLimit_handshakeShare: one address cannot take all the slots.
func TestLimit_handshakeShare(t *testing.T) {
	t.Parallel()
	g := newGuardWith(t, enforcer.Options{MaxHandshakes: 8})
	var stalled []net.Conn
	stall := func(want int) {
		t.Helper()
		conn, cfg := dialRaw(t, g), g.tls(nil)
		cfg.ServerName = orders
		stalled = append(stalled, conn)
		go func() { _ = tls.Client(deaf{conn}, cfg).Handshake() }()
		eventually(t, "the slot is taken", func() bool { return g.BusyHandshakes() == want })
	}
	stall(1)
	stall(2)
	waiting := make(chan answer, 1)
	client := g.client(g.james())
	go func() { waiting <- get(t, client, "https://"+orders+"/") }()
	elsewhere := g.client(g.james(), func(tr *http.Transport) {
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, network, g.addr)
		}
	})
	wantStatus(t, get(t, elsewhere, "https://"+orders+"/"), 200)
	select {
	case <-waiting:
		t.Error("the address got more than its share")
	case <-time.After(50 * time.Millisecond):
	}

	// A trusted proxy has no share: many clients stand behind it.
	g.state.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	g.apply()
	stall(3)
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)

	for _, conn := range stalled {
		_ = conn.Close()
	}
	wantStatus(t, <-waiting, 200)
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
	} {
		if got := enforcer.Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s belongs to %s, want %s", addr, got, want)
		}
	}
}

// TestLimit_header: a request head that comes too slowly, or is too large,
// ends its connection and nothing else (slowloris).
func TestLimit_header(t *testing.T) {
	t.Parallel()
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		g := newGuardWith(t, enforcer.Options{HeaderTimeout: 8 * patience})
		conn := dialTLS(t, g, g.james())
		send(t, conn, "GET / HTTP/1.1", "Host: "+orders, "X-Slow: ")
		go func() {
			for {
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
				time.Sleep(patience / 4)
			}
		}()
		wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
		wantClosed(t, conn)
		eventually(t, "the log tells", func() bool { return lineWith(g.log, "request head refused") != "" })
	})
	t.Run("never begun", func(t *testing.T) {
		t.Parallel()
		g := newGuardWith(t, enforcer.Options{HeaderTimeout: patience})
		wantClosed(t, dialTLS(t, g, g.james()))
	})
	t.Run("malformed", func(t *testing.T) {
		t.Parallel()
		g := newGuard(t)
		conn := dialTLS(t, g, g.james())
		send(t, conn, "GET / HTTP/1.1", "Host: "+orders, "no colon", "", "")
		if got := wantClosed(t, conn); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("the answer is %q", got)
		}
		eventually(t, "the log tells", func() bool {
			line := lineWith(g.log, "request head refused")
			return strings.Contains(line, "connection=") && strings.Contains(line, "remote=127.0.0.1:")
		})
	})
	t.Run("too large h1", func(t *testing.T) {
		t.Parallel()
		g := newGuardWith(t, enforcer.Options{MaxHeaderBytes: 8 << 10})
		client := g.client(g.james())
		wantStatus(t, get(t, client, "https://"+orders+"/", "X-Big", strings.Repeat("x", 4<<10)), 200)
		wantStatus(t, get(t, client, "https://"+orders+"/", "X-Big", strings.Repeat("x", 32<<10)), 431)
	})
	t.Run("too large h2", func(t *testing.T) {
		t.Parallel()
		g := newGuardWith(t, enforcer.Options{MaxHeaderBytes: 8 << 10})
		wantStatus(t, get(t, g.client(g.james(), http2), "https://"+orders+"/", "X-Big", strings.Repeat("x", 4<<10)), 200)
		conn := dialTLS(t, g, g.james(), "h2")
		send(t, conn, "PRI * HTTP/2.0", "", "SM", "", "")
		framer := h2.NewFramer(conn, conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
		var block bytes.Buffer
		head := hpack.NewEncoder(&block)
		fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", orders}, {":path", "/"}}
		for range 12 {
			fields = append(fields, [2]string{"x-big", strings.Repeat("x", 1<<10)})
		}
		for _, f := range fields {
			_ = head.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // spelled out each time
		}
		err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(h2.HeadersFrameParam{
			StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
		}))
		for err == nil {
			var frame h2.Frame
			frame, err = framer.ReadFrame()
			if answer, ok := frame.(*h2.MetaHeadersFrame); ok {
				if got := answer.PseudoValue("status"); got != "431" {
					t.Errorf("status %s", got)
				}
				return
			}
		}
		t.Errorf("no answer: %v", err)
	})
}

// newBodyGuard has an origin that reads what it is sent and then answers.
func newBodyGuard(t *testing.T, limits enforcer.Options) *guard {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes", n)
	}))
	t.Cleanup(origin.Close)
	target, _ := url.Parse(origin.URL)
	return newGuardWith(t, limits, func(s *enforcer.State) { s.Applications[0].Origin = target })
}

// dripping is a body that comes a byte at a time, with a pause before each.
type dripping struct {
	left  int
	pause time.Duration
	given chan struct{} // closed with the body
	once  sync.Once
}

func (d *dripping) Close() error {
	d.once.Do(func() { close(d.given) })
	return nil
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(d.pause):
	case <-d.given:
		return 0, errors.New("given up")
	}
	d.left--
	return copy(p, "x"), nil
}

// TestLimit_body: a body that stands still is given up with 408; one that
// comes slowly, but comes, is not.
func TestLimit_body(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		for _, tt := range []struct {
			name   string
			left   int
			pause  time.Duration
			status int
		}{
			{"slow", 36, patience / 3, 200},
			{"standing still", 2, time.Hour, 408},
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				g := newBodyGuard(t, enforcer.Options{BodyTimeout: 8 * patience})
				body := &dripping{left: tt.left, pause: tt.pause, given: make(chan struct{})}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+orders+"/", body)
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = int64(tt.left)
				wantStatus(t, do(t, g.client(g.james(), mode), req), tt.status)
				eventually(t, "the request has ended", func() bool { return g.Flights() == 0 })
				if cut := strings.Contains(g.log.String(), "reason=client_stalled"); cut != (tt.status == 408) {
					t.Errorf("cut off: %v", cut)
				}
				if strings.Contains(g.log.String(), "origin failed") {
					t.Error("the origin is blamed")
				}
			})
		}
	}
}

// TestWatch_late: a watch that comes late gives a client its whole time.
func TestWatch_late(t *testing.T) {
	t.Parallel()
	if enforcer.Blocked(time.Minute, -time.Minute, 30*time.Second) {
		t.Error("given up within its time")
	}
	if !enforcer.Blocked(time.Minute, -time.Minute, 2*time.Minute) {
		t.Error("not given up after its time")
	}
}

// TestLimit_bodyRefused: net/http reads the rest of a body before it sends an
// answer. A refused client cannot hold its connection by that.
func TestLimit_bodyRefused(t *testing.T) {
	t.Parallel()
	g := newBodyGuard(t, enforcer.Options{BodyTimeout: patience})
	conn := dialTLS(t, g, nil)
	send(t, conn, "POST / HTTP/1.1", "Host: "+orders, "Content-Length: 10", "", "x")
	if got := wantClosed(t, conn); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("the answer is %q", got)
	}
}

// TestLimit_unread: a client that takes nothing of its answer is given up.
func TestLimit_unread(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newStreamGuardWith(t, enforcer.Options{BodyTimeout: patience})
			open(t, g.client(g.james(), mode), "/flood")
			wantStatus(t, get(t, g.client(leaf(g.ca), mode), "https://"+orders+"/none"), 404)
			eventually(t, "the request has ended", func() bool { return g.Flights() == 0 })
			if !strings.Contains(g.log.String(), "reason=client_stalled") {
				t.Error("the log does not say why")
			}
		})
	}
}

// TestLimit_quiet: what is quiet because the origin is, or because it is a
// WebSocket, is none of the client's fault.
func TestLimit_quiet(t *testing.T) {
	t.Parallel()
	limits := enforcer.Options{BodyTimeout: 2 * patience, HeaderTimeout: 2 * patience, IdleTimeout: 2 * patience}
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		t.Run("events "+name, func(t *testing.T) {
			t.Parallel()
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for _, event := range []string{"one\n", "two\n"} {
					_, _ = io.WriteString(w, event)
					_ = http.NewResponseController(w).Flush()
					time.Sleep(6 * patience)
				}
			}))
			t.Cleanup(origin.Close)
			target, _ := url.Parse(origin.URL)
			g := newGuardWith(t, limits, func(s *enforcer.State) { s.Applications[0].Origin = target })
			res, err := g.client(g.james(), mode).Post("https://"+orders+"/", "text/plain", strings.NewReader("a body"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != "one\ntwo\n" {
				t.Errorf("%q arrived: %v", got, err)
			}
		})
	}
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		t.Run("conversation "+name, func(t *testing.T) {
			t.Parallel()
			origin := httptest.NewServer(http.HandlerFunc(echoing))
			t.Cleanup(origin.Close)
			target, _ := url.Parse(origin.URL)
			g := newGuardWith(t, limits, func(s *enforcer.State) { s.Applications[0].Origin = target })
			body, writer := io.Pipe()
			t.Cleanup(func() { _ = writer.Close() })
			res, err := g.client(g.james(), mode).Post("https://"+orders+"/", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			answers := bufio.NewReader(res.Body)
			for _, line := range []string{"one\n", "two\n"} {
				time.Sleep(6 * patience)
				go func() { _, _ = io.WriteString(writer, line) }()
				if got, err := answers.ReadString('\n'); got != line {
					t.Fatalf("%q came back: %v; the log says %q", got, err, lineWith(g.log, "cut off"))
				}
			}
		})
	}
	t.Run("unread WebSocket", func(t *testing.T) {
		t.Parallel()
		g := newStreamGuardWith(t, limits)
		conn, _, err := websocket.Dial(t.Context(), "https://"+orders+"/flood-socket", &websocket.DialOptions{HTTPClient: g.client(g.james())})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		time.Sleep(8 * patience)
		conn.SetReadLimit(1 << 20)
		for range 100 {
			if _, _, err := conn.Read(t.Context()); err != nil {
				t.Fatalf("the WebSocket was closed: %v", err)
			}
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		g := newStreamGuardWith(t, limits)
		conn := dialSocket(t, g.client(g.james()))
		time.Sleep(6 * patience)
		echo(t, conn)
	})
}

// TestLimit_idle: a connection without requests is closed in time.
func TestLimit_idle(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]string{"h1": "http/1.1", "h2": "h2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int64
			g := newGuardWith(t, enforcer.Options{IdleTimeout: patience, Metrics: enforcer.Metrics{Connections: func(n int) { connections.Add(int64(n)) }}})
			conn := dialTLS(t, g, g.james(), protocol)
			if protocol == "h2" {
				send(t, conn, "PRI * HTTP/2.0", "", "SM", "", "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			} else {
				send(t, conn, "GET / HTTP/1.1", "Host: "+orders, "", "")
				if _, err := bufio.NewReader(conn).ReadByte(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "it is counted", func() bool { return connections.Load() == 1 })
			wantClosed(t, conn)
			eventually(t, "the count is back", func() bool { return connections.Load() == 0 })
		})
	}
}

// TestLimit_lifetime: an old connection serves its request and is asked to
// end; nobody notices but by a new handshake.
func TestLimit_lifetime(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuardWith(t, enforcer.Options{ConnectionLifetime: time.Hour})
			client := g.client(g.james(), mode)
			for _, step := range []struct {
				after  time.Duration
				reused bool
			}{{0, false}, {time.Hour - time.Second, true}, {time.Second, true}, {0, false}, {0, true}} {
				g.clock.advance(step.after)
				a, reused := getTraced(t, client, "https://"+orders+"/")
				wantStatus(t, a, 200)
				if reused != step.reused {
					t.Errorf("after %v: reused %v, want %v", step.after, reused, step.reused)
				}
			}
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		g := newStreamGuardWith(t, enforcer.Options{ConnectionLifetime: time.Hour, BodyTimeout: patience})
		conn := dialSocket(t, g.client(g.james()))
		g.clock.advance(time.Hour - time.Minute)
		time.Sleep(patience)
		echo(t, conn)
		young := dialSocket(t, g.client(g.james()))
		g.clock.advance(time.Minute)
		if _, _, err := conn.Read(t.Context()); err == nil {
			t.Error("the WebSocket is still open")
		}
		echo(t, young)
		if !strings.Contains(g.log.String(), "reason=connection_lifetime") {
			t.Error("the log does not say why")
		}
	})
}

// TestLimit_chain: what a client's certificates may measure is configured, and
// a larger chain is refused before anything in it is verified.
func TestLimit_chain(t *testing.T) {
	t.Parallel()
	g := newGuardWith(t, enforcer.Options{MaxChainBytes: 2 << 10})
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
	long := g.james()
	for len(long.Certificate) < 6 {
		long.Certificate = append(long.Certificate, g.ca.Certificate.Raw)
	}
	wantStatus(t, get(t, g.client(long), "https://"+orders+"/"), 403)
	if !strings.Contains(g.log.String(), "reason=chain_too_large") {
		t.Error("refused for another reason")
	}
}

// TestOptions_negative: a limit below zero is a mistake.
func TestOptions_negative(t *testing.T) {
	t.Parallel()
	for _, opts := range []enforcer.Options{
		{HandshakeTimeout: -1},
		{OriginTimeout: -1},
		{HeaderTimeout: -1},
		{BodyTimeout: -1},
		{IdleTimeout: -1},
		{ConnectionLifetime: -1},
		{MaxHandshakes: -1},
		{MaxHeaderBytes: -1},
		{MaxChainBytes: -1},
	} {
		if _, err := enforcer.New(opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
}
