package enforcer_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

const (
	orders = "orders.example.com"
	admin  = "admin.example.com"
	lonely = "lonely.example.com" // an application without CAs
	aud    = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	issuer = "https://gateway.example.com"
)

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// A clock is what the enforcer takes for the time.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	tick time.Duration // by which it goes on each time it is read
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.tick)
	return c.now
}

// run lets time pass: without it all happens in one instant.
func (c *clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = time.Microsecond
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A log keeps the lines and may be written and read concurrently.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A guard is a running enforcer with an origin behind it, in which "orders"
// trusts ca and "admin" trusts other.
type guard struct {
	*enforcer.Enforcer
	t         testing.TB
	addr      string
	clock     *clock
	log       *log
	ca, other *certtest.Certificate
	serverCA  *certtest.Certificate
	origin    *httptest.Server
	seen      chan *http.Request // what arrived at the origin
	state     enforcer.State
}

func newGuard(t testing.TB, change ...func(*enforcer.State)) *guard {
	t.Helper()
	return newGuardWith(t, enforcer.Options{}, change...)
}

// netHTTP has every test run on net/http alone.
var netHTTP = flag.Bool("nethttp", false, "leave all of HTTP/1.1 to net/http")

func newGuardWith(t testing.TB, opts enforcer.Options, change ...func(*enforcer.State)) *guard {
	t.Helper()
	opts.NetHTTPOnly = opts.NetHTTPOnly || *netHTTP
	g := &guard{
		t: t, clock: &clock{now: time.Now().UTC()}, log: &log{},
		ca:       certtest.NewCA(certtest.CommonName("Access Testing CA")),
		other:    certtest.NewCA(certtest.CommonName("Other CA")),
		serverCA: certtest.NewCA(),
		seen:     make(chan *http.Request, 100),
	}
	g.origin = httptest.NewServer(http.HandlerFunc(g.serveOrigin))
	t.Cleanup(g.origin.Close)
	g.state = g.defaultState()
	for _, f := range change {
		f(&g.state)
	}
	g.start(opts)
	return g
}

// serveOrigin notes the request, its body read, and answers with the path.
func (g *guard) serveOrigin(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	seen := r.Clone(context.Background())
	seen.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case g.seen <- seen:
	default:
	}
	w.Header().Set("X-Origin", "yes")
	_, _ = io.WriteString(w, "origin "+r.URL.Path)
}

func (g *guard) defaultState() enforcer.State {
	origin, _ := url.Parse(g.origin.URL)
	app := func(name, host string) enforcer.Application {
		return enforcer.Application{
			ID: name, Name: name, Hostname: host, Path: "/", Origin: origin, AUD: aud,
			SessionDuration: 24 * time.Hour,
			Policies: []enforcer.Policy{{
				Name: "devices", Action: enforcer.ServiceAuth,
				Include: []enforcer.Selector{{Certificate: true}},
			}},
		}
	}
	server := g.serverCA.Issue(certtest.Server(orders, admin, lonely, "*.wild.example.com", "nobody.example.com"))
	return enforcer.State{
		Generation:     1,
		Applications:   []enforcer.Application{app("orders", orders), app("admin", admin), app("lonely", lonely)},
		Bundles:        []enforcer.Bundle{bundle("root", g.ca, orders), bundle("other", g.other, admin)},
		Certificates:   []tls.Certificate{server.TLSChain()},
		Issuer:         issuer,
		SessionTickets: true,
		SigningKeys:    []enforcer.SigningKey{{KID: strings.Repeat("0a", 32), Key: signingKey()}},
	}
}

func bundle(name string, ca *certtest.Certificate, hostnames ...string) enforcer.Bundle {
	b := enforcer.Bundle{ID: name, Name: name, Hostnames: hostnames}
	b.Anchors = append(b.Anchors, ca.Certificate)
	return b
}

func (g *guard) start(opts enforcer.Options) {
	g.t.Helper()
	var err error
	opts.Now = g.clock.Now
	opts.Logger = slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.Enforcer, err = enforcer.New(opts)
	if err != nil {
		g.t.Fatal(err)
	}
	g.apply()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	g.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Shutdown(ctx)
		if err := <-served; err != nil {
			g.t.Errorf("Serve: %v", err)
		}
	})
}

func (g *guard) apply() {
	g.t.Helper()
	g.state.Generation++
	if err := g.Apply(g.state); err != nil {
		g.t.Fatalf("Apply: %v", err)
	}
}

func (g *guard) revoke(fingerprint string) {
	g.t.Helper()
	revoked := map[string]struct{}{fingerprint: {}}
	for old := range g.state.Revoked {
		revoked[old] = struct{}{}
	}
	g.state.Revoked = revoked
	g.apply()
}

func (g *guard) tls(cert *tls.Certificate) *tls.Config {
	cfg := &tls.Config{RootCAs: g.serverCA.Pool()}
	if cert != nil {
		// Whatever the server hints at, this one is sent.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg
}

// client returns a client that connects to the guard, whatever the URL's host.
// cert may be nil.
func (g *guard) client(cert *tls.Certificate, change ...func(*http.Transport)) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.addr)
		},
		TLSClientConfig: g.tls(cert),
	}
	for _, f := range change {
		f(transport)
	}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func http2(t *http.Transport) { t.ForceAttemptHTTP2 = true }

// james is a client certificate of ca.
func (g *guard) james(options ...certtest.Option) *tls.Certificate {
	return leaf(g.ca, append(g.commonJames(), options...)...)
}

func (g *guard) commonJames() []certtest.Option {
	return []certtest.Option{certtest.CommonName("James Royal"), certtest.Client()}
}

func leaf(ca *certtest.Certificate, options ...certtest.Option) *tls.Certificate {
	pair := ca.Issue(options...).TLS()
	return &pair
}

// An answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func get(t testing.TB, client *http.Client, url string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	return do(t, client, req)
}

func do(t testing.TB, client *http.Client, req *http.Request) answer {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer{res, string(body)}
}

func wantStatus(t testing.TB, a answer, want int) {
	t.Helper()
	if a.StatusCode != want {
		t.Fatalf("status %d, want %d; body:\n%.300s", a.StatusCode, want, a.body)
	}
}

// eventually waits for a condition that nothing else tells of.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// dial connects to orders over HTTP/1.1, to send bytes as they are.
func (g *guard) dial(pair *tls.Certificate) net.Conn {
	g.t.Helper()
	cfg := g.tls(pair)
	cfg.ServerName = orders
	conn, err := tls.Dial("tcp", g.addr, cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// exchangeRaw sends a request as it is spelled and reads one answer.
func exchangeRaw(t testing.TB, conn net.Conn, request string) answer {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(body)}
}
