package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

// A record is a log that tests read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// A house is a daemon in this process.
type house struct {
	*App

	t      testing.TB
	now    func() time.Time // nil = time.Now
	dir    string
	log    *record
	server *certtest.Certificate
	origin string
}

const orders = "orders.example.com"

// newHouse starts a daemon that guards one application with the given policy.
func newHouse(t testing.TB, config func(h *house) string) *house {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(origin.Close)
	h := &house{t: t, dir: t.TempDir(), log: &record{}, origin: origin.URL, server: certtest.SelfSigned(certtest.Server(orders))}
	h.write("server.pem", string(h.server.PEM()))
	h.write("server-key.pem", string(h.server.KeyPEM()))
	h.write("config.toml", config(h))
	a, err := New(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	h.App = a
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) options() Options {
	return Options{ConfigPath: filepath.Join(h.dir, "config.toml"), Getenv: os.LookupEnv, Logger: slog.New(slog.NewTextHandler(h.log, nil)), Now: h.now}
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// guarding is a configuration with one policy and one threshold.
func (h *house) guarding(policy, before string) string {
	return fmt.Sprintf(`[admin]
listen = "127.0.0.1:0"
[enforcer]
listen = "127.0.0.1:0"
[[enforcer.certificate]]
cert = "server.pem"
key = "server-key.pem"
[[application]]
name = "orders"
hostname = %q
origin = %q
[[application.policy]]
name = "p"
%s
[[channel]]
name = "hook"
type = "webhook"
url = "http://127.0.0.1:1/x"
[[alert]]
name = "default"
before = [%q]
channels = ["hook"]
`, orders, h.origin, policy, before)
}

const (
	closed = `action = "service_auth"
include = [{ certificate = true }]`
	open = `action = "bypass"
include = [{ everyone = true }]`
)

// address returns where a listener listens.
func (h *house) address(listener string) string {
	h.t.Helper()
	_, rest, _ := strings.Cut(h.log.String(), "listener="+listener+" address=")
	return strings.Fields(rest)[0]
}

// status asks the application without a certificate, on a connection of its own.
func (h *house) status() int {
	answer, _ := h.visit()
	return answer.StatusCode
}

// visit asks as a browser would, and returns the answer with its body.
func (h *house) visit() (*http.Response, string) {
	h.t.Helper()
	address := h.address("enforcer")
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "https://"+orders+"/", http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	client := &http.Client{
		Transport: transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer, string(body)
}

func TestReload_Applies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	if got := h.status(); got != http.StatusForbidden {
		t.Fatalf("status %d, want 403", got)
	}
	h.write("config.toml", h.guarding(open, "30d"))
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.status(); got != http.StatusOK {
		t.Errorf("after the reload: %d, want 200", got)
	}
}

// What was changed before a later part refused is taken back: here the
// applications are in force already when the rules cannot be scheduled.
func TestReload_TakesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	mend := h.refuseRules()
	h.write("config.toml", h.guarding(open, "31d"))
	err := h.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no rules today") {
		t.Fatalf("error %v, want that of the store", err)
	}
	if got := h.status(); got != http.StatusForbidden {
		t.Errorf("after a reload that failed: %d, want 403 as before", got)
	}
	if !strings.Contains(h.log.String(), "the old one stays in force") {
		t.Error("the log does not say that the old configuration stays")
	}
	mend()
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.status(); got != http.StatusOK {
		t.Errorf("after the mended reload: %d, want 200", got)
	}
}

// do changes the store behind the daemon's back.
func (h *house) do(statement string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(h.dir, "certvigil.db")+"?_busy_timeout=5000")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement, args...); err != nil {
		h.t.Fatal(err)
	}
}

// metric returns all metrics as they are scraped.
func (h *house) metric() string {
	w := httptest.NewRecorder()
	h.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// refuseRules makes the store refuse to record other rules, until it is mended.
func (h *house) refuseRules() (mend func()) {
	h.t.Helper()
	h.do(`CREATE TRIGGER broken_insert BEFORE INSERT ON meta WHEN NEW.key = 'rules_key' BEGIN SELECT RAISE(ABORT, 'no rules today'); END`)
	h.do(`CREATE TRIGGER broken_update BEFORE UPDATE ON meta WHEN NEW.key = 'rules_key' BEGIN SELECT RAISE(ABORT, 'no rules today'); END`)
	return func() {
		h.do(`DROP TRIGGER broken_insert`)
		h.do(`DROP TRIGGER broken_update`)
	}
}

func TestReload_Refuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	change := func(from, to string) string { return strings.Replace(h.guarding(open, "30d"), from, to, 1) }
	admin, enforcer := "[admin]\n", "[enforcer]\n"
	for name, tt := range map[string]struct{ text, field string }{
		"storage.dsn":      {change(admin, "[storage]\ndsn = \"x.db\"\n"+admin), "storage.dsn"},
		"storage.key_file": {change(admin, "[storage]\nkey_file = \"x.key\"\n"+admin), "storage.key_file"},
		"admin.listen":     {change(admin+`listen = "127.0.0.1:0"`, admin+`listen = "127.0.0.1:1"`), "admin.listen"},
		"admin.account_id": {change(admin, admin+"account_id = \"023e105f4ecef8ad9ca31a8372d0c353\"\n"), "admin.account_id"},
		"admin.tls_cert":   {change(admin, admin+"tls_cert = \"server.pem\"\ntls_key = \"server-key.pem\"\n"), "admin.tls_cert"},
		"enforcer.listen":  {change(enforcer+`listen = "127.0.0.1:0"`, enforcer+`listen = "127.0.0.1:1"`), "enforcer.listen"},
		"handshakes":       {change(enforcer, "[enforcer.limits]\nhandshakes = 2\n"+enforcer), "enforcer.limits.handshakes"},
		"lifetime":         {change(enforcer, "[enforcer.limits]\nconnection_lifetime = \"1h\"\n"+enforcer), "enforcer.limits.connection_lifetime"},
		"no certificate":   {"[admin]\nlisten = \"127.0.0.1:0\"\n[enforcer]\nlisten = \"127.0.0.1:0\"\n", "enforcer.certificate"},
		"an unknown key":   {change(admin, admin+"lissten = \"x\"\n"), "admin.lissten"},
		"no TOML":          {"[", ""},
	} {
		h.write("config.toml", tt.text)
		err := h.Reload(t.Context())
		if err == nil || fault.Hint(err) == "" || fault.Field(err) != tt.field && tt.field != "" {
			t.Errorf("%s: error %v (field %q, hint %q)", name, err, fault.Field(err), fault.Hint(err))
		}
	}
	if err := os.Remove(filepath.Join(h.dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(t.Context()); !fault.Is(err, fault.NotFound) {
		t.Errorf("without a file: %v", err)
	}
	if got := h.status(); got != http.StatusForbidden {
		t.Errorf("after refused reloads: %d, want 403 as before", got)
	}
}

// Every limit is fixed: one that a reload took without a word would not count.
func TestFixed_NamesEveryLimit(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[config.Limits]().NumField() {
		was, next := config.Default(), config.Default()
		field := reflect.ValueOf(&next.Enforcer.Limits).Elem().Field(i)
		switch v := field.Addr().Interface().(type) {
		case *config.Duration:
			v.Duration++
		case *int:
			*v++
		}
		name := reflect.TypeFor[config.Limits]().Field(i).Tag.Get("toml")
		err := (&App{cfg: &was}).checkFixed(&next)
		if fault.Field(err) != "enforcer.limits."+name || fault.Hint(err) == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNew_LeavesNothingOpen(t *testing.T) {
	t.Parallel()
	h := &house{t: t, dir: t.TempDir(), log: &record{}}
	h.write("config.toml", "[storage]\nnonsense = 1\n")
	if a, err := New(t.Context(), h.options()); a != nil || !fault.Is(err, fault.Invalid) {
		t.Fatalf("a bad configuration: %v, %v", a, err)
	}
	// A store whose key is none is locked, opened, refused, closed and unlocked.
	server := certtest.SelfSigned(certtest.Server(orders))
	h.write("server.pem", string(server.PEM()))
	h.write("server-key.pem", string(server.KeyPEM()))
	h.origin = "http://127.0.0.1:1"
	h.write("config.toml", "[storage]\nkey_file = \"bad.key\"\n"+h.guarding(closed, "30d"))
	h.write("bad.key", "this is no key\n")
	if a, err := New(t.Context(), h.options()); a != nil || fault.Rule(err) != "key_file_malformed" {
		t.Fatalf("a malformed key file: %v, %v", a, err)
	}
	if err := os.Remove(filepath.Join(h.dir, "bad.key")); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), h.options())
	if err != nil {
		t.Fatalf("the store was left locked: %v", err)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("a second stop: %v", err)
	}
	if err := a.ready(t.Context()); err == nil {
		t.Error("a daemon that stopped says that it is ready")
	}
}
