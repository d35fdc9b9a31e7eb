package v4_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/api"
	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

const (
	day  = 24 * time.Hour
	base = "/client/v4/accounts/0123456789abcdef/access/certificates"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root  = inventory.Actor{Kind: inventory.ActorLocal, ID: "root"}
)

// A bench is the API on a real store, behind the admin listener's handler.
type bench struct {
	http.Handler
	t testing.TB

	file *declaration

	service *inventory.Service
	store   *store.Store
	log     *bytes.Buffer
	now     time.Time
	write   string // secret of a token of that scope

	declared alerting.Declared
	tried    []alerting.Destination // what was sent a test message
	text     string                 // of the last of them
	tryErr   error                  // what comes of the next
}

func newBench(t testing.TB, change ...func(*v4.Options)) *bench {
	t.Helper()
	b := &bench{t: t, now: start, log: &bytes.Buffer{}}
	clock := func() time.Time { return b.now }
	s, err := store.Open(t.Context(), store.Options{DSN: filepath.Join(t.TempDir(), "certvigil.db"), Now: clock})
	b.ok(err)
	t.Cleanup(func() { b.ok(s.Close()) })
	b.store, b.service = s, inventory.New(s, clock)
	b.file = &declaration{}
	b.declared.PublicURL = "https://vigil.example.com"
	o := v4.Options{Reader: b.service, Editor: b.service, Settings: b.service, Applications: inventory.NewApplications(s, b.file), Alerting: alerting.New(alerting.Options{
		Store: s, Now: clock, Declared: b.configuration, Try: b.try,
		Body: func(m alerting.Sent) string { return fmt.Sprintf("%d of %d", len(m.Entries), m.Total) },
	})}
	for _, c := range change {
		c(&o)
	}
	b.Handler, err = api.New(api.Options{
		Renewer: b.service, Tokens: s, V4: o, Now: clock, Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	b.ok(err)
	b.write = b.token(inventory.ScopeWrite)
	return b
}

// configuration is what is declared. It fails when it is asked for within a
// transaction: the daemon's waits for who may wait for the store.
func (b *bench) configuration() alerting.Declared {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // not the test's: a fuzz target may not ask for its own
	defer cancel()
	if err := b.store.Recover(ctx); err != nil {
		b.t.Errorf("writing while the configuration is asked for: %v", err)
	}
	return b.declared
}

func (b *bench) try(_ context.Context, d alerting.Destination, text string) error {
	b.tried, b.text = append(b.tried, d), text
	return b.tryErr
}

// A declaration is a configuration that takes everything but what it is told
// to refuse.
type declaration struct {
	applications []inventory.Application
	refuse       error
}

func (d *declaration) Applications() []inventory.Application              { return d.applications }
func (d *declaration) Hold(use func([]inventory.Application) error) error { return use(d.applications) }
func (d *declaration) Check([]inventory.Application) error                { return d.refuse }
func (d *declaration) CheckOrigin(u *url.URL) error                       { return egress.Policy{}.CheckURL(u) }

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) token(scopes ...string) string {
	b.t.Helper()
	token, secret, err := inventory.NewToken(rand.Text(), scopes, "", nil, b.now)
	b.ok(err)
	b.ok(b.store.CreateToken(b.t.Context(), token, root))
	return secret
}

type source struct {
	Pointer string `json:"pointer"`
}

type remark struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Source  *source `json:"source"`
}

type certificate struct {
	ID                  string    `json:"id"`
	CreatedAt           time.Time `json:"created_at"`
	UpdatedAt           time.Time `json:"updated_at"`
	ExpiresOn           time.Time `json:"expires_on"`
	Name                string    `json:"name"`
	Fingerprint         string    `json:"fingerprint"`
	AssociatedHostnames []string  `json:"associated_hostnames"`
}

// A reply is an answer that was found to be an envelope.
type reply struct {
	status  int
	header  http.Header
	body    string
	success bool
	errors  []remark
	message []remark
	result  json.RawMessage
	info    *struct {
		Page       int `json:"page"`
		PerPage    int `json:"per_page"`
		Count      int `json:"count"`
		TotalCount int `json:"total_count"`
		TotalPages int `json:"total_pages"`
	}
}

// do asks with the write token and JSON as content type, unless headers say
// otherwise; each is "Name: value", and one without a value is left out.
func (b *bench) do(method, target, body string, headers ...string) reply {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.write)
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if value = strings.TrimSpace(value); value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return envelope(b.t, w)
}

// envelope holds every answer to what clients rely on.
func envelope(t testing.TB, w *httptest.ResponseRecorder) reply {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d is no envelope (%v): %s", w.Code, err, w.Body)
	}
	out := reply{status: w.Code, header: w.Header(), body: w.Body.String(), result: fields["result"]}
	for name, into := range map[string]any{"success": &out.success, "errors": &out.errors, "messages": &out.message} {
		if raw := fields[name]; raw == nil || string(raw) == "null" || json.Unmarshal(raw, into) != nil {
			t.Fatalf("%s is %s: %s", name, raw, w.Body)
		}
	}
	if raw := fields["result_info"]; raw != nil {
		if err := json.Unmarshal(raw, &out.info); err != nil {
			t.Fatal(err)
		}
	}
	if ray := w.Header().Get("Cf-Ray"); ray == "" || ray != w.Header().Get("X-Request-Id") {
		t.Errorf("Cf-Ray is %q", ray)
	}
	if out.success != (out.status < 300) || out.success == (len(out.errors) > 0) || !out.success && string(out.result) != "null" {
		t.Errorf("status %d with %s", w.Code, w.Body)
	}
	for _, e := range out.errors {
		if e.Code == 0 || e.Message == "" {
			t.Errorf("an error without a word: %s", w.Body)
		}
	}
	return out
}

func (r reply) certificate(t testing.TB) (c certificate) {
	t.Helper()
	if err := json.Unmarshal(r.result, &c); err != nil || !r.success {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return c
}

func (r reply) certificates(t testing.TB) (list []certificate) {
	t.Helper()
	if err := json.Unmarshal(r.result, &list); err != nil || !r.success || list == nil {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return list
}

// refused checks an error: its status, code, pointer ("-" = none) and a part
// of its message.
func (r reply) refused(t testing.TB, status, code int, pointer, message string) {
	t.Helper()
	if r.status != status || len(r.errors) != 1 {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	e, got := r.errors[0], "-"
	if e.Source != nil {
		got = e.Source.Pointer
	}
	if e.Code != code || got != pointer || !strings.Contains(e.Message, message) {
		t.Errorf("want code %d, pointer %q and %q: %s", code, pointer, message, r.body)
	}
	if retry := r.header.Get("X-Should-Retry"); retry != "false" && status != http.StatusTooManyRequests {
		t.Errorf("X-Should-Retry is %q", retry)
	}
}

// encode writes fields as JSON: pairs of names and values.
func encode(t testing.TB, pairs ...any) string {
	t.Helper()
	fields := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i].(string)] = pairs[i+1]
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newCA(name string, days int, more ...certtest.Option) *certtest.Certificate {
	return certtest.NewCA(append([]certtest.Option{
		certtest.CommonName(name), certtest.Validity(start.Add(-day), start.Add(time.Duration(days)*day)),
	}, more...)...)
}

// create uploads a CA that must be taken.
func (b *bench) create(name string, hostnames []string, pem []byte) certificate {
	b.t.Helper()
	r := b.do(http.MethodPost, base, encode(b.t, "name", name, "certificate", string(pem), "associated_hostnames", hostnames))
	if r.status != http.StatusCreated {
		b.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return r.certificate(b.t)
}

// state is all that a refused request must leave as it is.
func (b *bench) state() string {
	b.t.Helper()
	bundles, err := b.store.Bundles(b.t.Context())
	b.ok(err)
	settings, err := b.store.HostnameSettings(b.t.Context())
	b.ok(err)
	access, err := b.store.Access(b.t.Context())
	b.ok(err)
	audit, err := b.store.Audit(b.t.Context(), inventory.AuditFilter{})
	b.ok(err)
	generation, err := b.store.Generation(b.t.Context())
	b.ok(err)
	stored, err := b.store.OpenAlerting(b.t.Context())
	b.ok(err)
	var endpoints []string // which do not marshal
	for _, d := range stored.Destinations {
		endpoints = append(endpoints, d.Endpoint.URL, d.Endpoint.Secret)
	}
	text, err := json.Marshal([]any{bundles, settings, access, audit, generation, stored, endpoints})
	b.ok(err)
	return string(text)
}
