package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A bench is the handler on a real store, with a clock that can be moved and a
// log that can be read.
type bench struct {
	http.Handler

	service *inventory.Service
	store   *store.Store
	log     *journal
	now     time.Time
	ready   error
}

func newBench(t *testing.T, change ...func(*api.Options)) *bench {
	t.Helper()
	b := &bench{now: start, log: &journal{}}
	clock := func() time.Time { return b.now }
	s, err := store.Open(t.Context(), store.Options{DSN: filepath.Join(t.TempDir(), "certvigil.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.store, b.service = s, inventory.New(s, clock)
	o := api.Options{
		Renewer: b.service, Revoker: b.service, Tokens: s, Now: clock, Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready:   func(context.Context) error { return b.ready },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics\n")) }),
	}
	for _, c := range change {
		c(&o)
	}
	if b.Handler, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	return b
}

// A journal is a log in memory.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (b *bench) token(t *testing.T, item string, expires *time.Time, scopes ...string) string {
	t.Helper()
	token, secret, err := inventory.NewToken(rand.Text(), scopes, item, expires, b.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.CreateToken(t.Context(), token, inventory.Actor{Kind: inventory.ActorLocal, ID: "root"}); err != nil {
		t.Fatal(err)
	}
	return secret
}

// A call is one request.
type call struct {
	method, target string
	token          string
	contentType    string
	body           []byte
	from           string // address and port
}

func (b *bench) do(t *testing.T, c call) *httptest.ResponseRecorder {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.target == "" {
		c.target = "/renewals"
	}
	r := httptest.NewRequest(c.method, c.target, bytes.NewReader(c.body))
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.contentType != "" {
		r.Header.Set("Content-Type", c.contentType)
	}
	if c.from != "" {
		r.RemoteAddr = c.from
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Rule      string `json:"rule"`
	Field     string `json:"field"`
	Hint      string `json:"hint"`
	RequestID string `json:"request_id"`
}

// refused holds an answer to the form of every error, and returns it.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, rule string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("status %d with no JSON: %v\n%s", w.Code, err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Rule != rule {
		t.Errorf("status %d (%d in the body), rule %q, want %d and %q\n%s", w.Code, p.Status, p.Rule, status, rule, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("request id %q in the body, %q in the header", p.RequestID, w.Header().Get("X-Request-Id"))
	}
	if p.Title == "" || p.Detail == "" || p.Type == "" {
		t.Errorf("an incomplete problem: %+v", p)
	}
	if status < http.StatusInternalServerError && p.Hint == "" {
		t.Errorf("no hint how to mend it: %+v", p)
	}
	return p
}

type renewal struct {
	Status   string     `json:"status"`
	Item     alert.Item `json:"item"`
	Replaces alert.Item `json:"replaces"`
	Bundles  []struct {
		Name    string `json:"name"`
		Members []struct {
			Item alert.Item `json:"item"`
		} `json:"members"`
	} `json:"bundles"`
	Proposal *struct {
		Fingerprint string `json:"fingerprint"`
	} `json:"proposal"`
	Next string `json:"next"`
}

func taken(t *testing.T, w *httptest.ResponseRecorder, status int) renewal {
	t.Helper()
	var r renewal
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != status {
		t.Fatalf("status %d, want %d: %v\n%s", w.Code, status, err, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	return r
}

func until(d time.Duration) certtest.Option {
	return certtest.Validity(start.Add(-alert.Day), start.Add(d))
}

func multipartBody(t *testing.T, fields map[string][]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, content := range fields {
		part, err := w.CreateFormFile(name, name+".pem")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tt := range []struct {
		name, method, target string
		status               int
		rule, allow          string
	}{
		{"alive", "GET", "/healthz", 200, "", ""},
		{"alive, asked without a body", "HEAD", "/healthz", 200, "", ""},
		{"ready", "GET", "/readyz", 200, "", ""},
		{"metrics", "GET", "/metrics", 200, "", ""},
		{"nothing there", "GET", "/nothing", 404, "route", ""},
		{"the root", "GET", "/", 404, "route", ""},
		{"below a route", "POST", "/renewals/x", 404, "route", ""},
		{"renewals are not listed", "GET", "/renewals", 405, "method", "POST"},
		{"renewals are not deleted", "DELETE", "/renewals", 405, "method", "POST"},
		{"an unheard-of method", "BREW", "/healthz", 405, "method", "GET, HEAD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := b.do(t, call{method: tt.method, target: tt.target})
			if tt.rule != "" {
				refused(t, w, tt.status, tt.rule)
			} else if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if got := w.Header().Get("Allow"); got != tt.allow {
				t.Errorf("Allow %q, want %q", got, tt.allow)
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s %q, want %q", header, got, want)
				}
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("no request id")
			}
		})
	}
}

func TestReady_TellsWhyInTheLogOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ready = errors.New("opening /var/lib/certvigil.db: disk gone")
	w := b.do(t, call{method: "GET", target: "/readyz"})
	p := refused(t, w, http.StatusServiceUnavailable, "not_ready")
	if strings.Contains(w.Body.String(), "disk") {
		t.Errorf("the probe is told %s", w.Body)
	}
	if log := b.log.String(); !strings.Contains(log, "disk gone") || !strings.Contains(log, p.RequestID) {
		t.Errorf("the log does not say why:\n%s", log)
	}
	if w := b.do(t, call{method: "GET", target: "/healthz"}); w.Code != http.StatusOK {
		t.Errorf("a daemon that is not ready is said to be dead: %d", w.Code)
	}
}

type renewerFunc func(context.Context, inventory.RenewRequest) (inventory.Renewal, error)

func (f renewerFunc) Renew(ctx context.Context, r inventory.RenewRequest) (inventory.Renewal, error) {
	return f(ctx, r)
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	for name, renew := range map[string]renewerFunc{
		"an error": func(context.Context, inventory.RenewRequest) (inventory.Renewal, error) {
			return inventory.Renewal{}, errors.New("SELECT broke at /var/lib")
		},
		"a panic": func(context.Context, inventory.RenewRequest) (inventory.Renewal, error) {
			panic("SELECT broke at /var/lib")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *api.Options) { o.Renewer = renew })
			w := b.do(t, call{token: b.token(t, "", nil, "renew"), body: []byte("x")})
			got := refused(t, w, http.StatusInternalServerError, "")
			got.RequestID = ""
			if diff := cmp.Diff(problem{Type: "about:blank", Title: "internal error", Status: 500, Detail: "internal error"}, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(b.log.String(), "SELECT broke") {
				t.Error("the log does not say what broke")
			}
		})
	}
}

func TestNew_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	if _, err := api.New(api.Options{}); err == nil {
		t.Error("no error without a renewer and tokens")
	}
}
