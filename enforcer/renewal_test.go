package enforcer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

const renewalURL = "https://" + orders + "/.well-known/certvigil/renew"

// A ledger notes renewals.
type ledger struct {
	mu    sync.Mutex
	taken []enforcer.ClientRenewal
	err   error
}

func (l *ledger) RenewClient(_ context.Context, r enforcer.ClientRenewal) (status int, answer any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, nil, l.err
	}
	l.taken = append(l.taken, r)
	return http.StatusCreated, map[string]string{"status": "renewed"}, nil
}

func (l *ledger) all() []enforcer.ClientRenewal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

func newRenewalGuard(t *testing.T, change ...func(*enforcer.State)) (*guard, *ledger) {
	t.Helper()
	l := &ledger{}
	return newGuardWith(t, enforcer.Options{Renewer: l}, change...), l
}

func submit(t *testing.T, client *http.Client, url string, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, client, req)
}

// wantProblem holds an answer to the form of every error.
func wantProblem(t *testing.T, a answer, status int, rule string) {
	t.Helper()
	var p fault.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("status %d: %v\n%s", a.StatusCode, err, a.body)
	}
	if a.StatusCode != status || p.Status != status || p.Rule != rule || p.Hint == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("status %d, %+v; want %d and the rule %q", a.StatusCode, p, status, rule)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	g, l := newRenewalGuard(t, func(s *enforcer.State) {
		// No policy is asked, and it makes no difference what else is guarded.
		s.Applications[0].Policies = []enforcer.Policy{policy("nobody", enforcer.Block, anyone...)}
	})
	old := g.james()
	middle := g.ca.Intermediate(certtest.CommonName("Middle"))
	future := certtest.Validity(g.clock.Now().Add(time.Hour), g.clock.Now().AddDate(0, 1, 0))
	for n, tt := range []struct {
		name string
		next *certtest.Certificate
		body func(*certtest.Certificate) []byte
	}{
		{"by the CA", g.ca.Issue(g.commonJames()...), (*certtest.Certificate).PEM},
		{"by an intermediate that comes along", middle.Issue(g.commonJames()...), func(c *certtest.Certificate) []byte { return certtest.PEM(c, middle) }},
		{"not valid yet", g.ca.Issue(append(g.commonJames(), future)...), (*certtest.Certificate).PEM},
	} {
		mode := []func(*http.Transport){func(*http.Transport) {}, http2}[n%2]
		a := submit(t, g.client(old, mode), renewalURL, bytes.NewReader(tt.body(tt.next)))
		if a.StatusCode != http.StatusCreated || a.Header.Get("Content-Type") != "application/json" || !strings.Contains(a.body, `"renewed"`) {
			t.Fatalf("%s: %d %s", tt.name, a.StatusCode, a.body)
		}
		got := l.all()[n]
		if cert.Fingerprint(got.Presented) != cert.Fingerprint(old.Leaf) || cert.Fingerprint(got.Next) != cert.Fingerprint(tt.next.Certificate) ||
			got.Hostname != orders || got.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("%s: taken %+v", tt.name, got)
		}
	}
	if len(g.seen) > 0 {
		t.Error("a request reached the origin")
	}
}

// TestRenewal_Refused holds the security table: nothing is taken without two
// certificates that hold at this very host name.
func TestRenewal_Refused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	past := certtest.Validity(now.AddDate(0, 0, -9), now.AddDate(0, 0, -1))
	james := func(g *guard) *tls.Certificate { return g.james() }
	good := func(g *guard) []byte { return g.ca.Issue(g.commonJames()...).PEM() }
	by := func(options ...certtest.Option) func(*guard) []byte {
		return func(g *guard) []byte { return g.ca.Issue(append(g.commonJames(), options...)...).PEM() }
	}
	for _, tt := range []struct {
		name      string
		presented func(*guard) *tls.Certificate
		body      func(*guard) []byte
		status    int
		rule      string
	}{
		{"no certificate", func(*guard) *tls.Certificate { return nil }, good, 403, "certificate"},
		{"a certificate of another host's CA", func(g *guard) *tls.Certificate { return leaf(g.other, certtest.Client()) }, good, 403, "certificate"},
		{"a self-made certificate", func(*guard) *tls.Certificate {
			return leaf(certtest.NewCA(certtest.CommonName("Access Testing CA")), certtest.Client())
		}, good, 403, "certificate"},
		{"an expired certificate", func(g *guard) *tls.Certificate { return g.james(past) }, good, 403, "certificate"},
		{"a revoked certificate", func(g *guard) *tls.Certificate {
			pair := g.james()
			g.revoke(cert.Fingerprint(pair.Leaf))
			return pair
		}, good, 403, "certificate"},
		{"the new one of another host's CA", james, func(g *guard) []byte { return g.other.Issue(g.commonJames()...).PEM() }, 422, "not_accepted"},
		{"the new one of a self-made CA of the same name", james, func(g *guard) []byte {
			return certtest.NewCA(certtest.CommonName("Access Testing CA")).Issue(g.commonJames()...).PEM()
		}, 422, "not_accepted"},
		{"the new one with its self-made CA", james, func(g *guard) []byte {
			ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
			return certtest.PEM(ca.Issue(g.commonJames()...), ca)
		}, 422, "not_accepted"},
		{"the new one not for clients", james, by(certtest.Server(orders)), 422, "not_accepted"},
		{"the new one with two common names", james, by(certtest.CommonName("admin", "James Royal")), 422, "not_accepted"},
		{"the new one has expired", james, by(past), 422, "expired"},
		{"the new one is revoked", james, func(g *guard) []byte {
			next := g.ca.Issue(g.commonJames()...)
			g.revoke(cert.Fingerprint(next.Certificate))
			return next.PEM()
		}, 422, "not_accepted"},
		{"a CA", james, func(g *guard) []byte { return g.ca.PEM() }, 422, "is_a_ca"},
		{"a private key", james, func(g *guard) []byte {
			next := g.ca.Issue(g.commonJames()...)
			return append(next.PEM(), next.KeyPEM()...)
		}, 422, "private_key"},
		{"nothing", james, func(*guard) []byte { return nil }, 400, "empty"},
		{"a byte too many", james, func(*guard) []byte { return bytes.Repeat([]byte("x"), 64<<10+1) }, 413, "upload_size"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, l := newRenewalGuard(t)
			presented, body := tt.presented(g), tt.body(g)
			a := submit(t, g.client(presented), renewalURL, bytes.NewReader(body))
			wantProblem(t, a, tt.status, tt.rule)
			if len(l.all()) > 0 || len(g.seen) > 0 {
				t.Error("it was taken, or reached the origin")
			}
			if strings.Contains(g.log.String(), "PRIVATE KEY") {
				t.Error("the log has the key")
			}
		})
	}
}

// TestRenewal_RevokedMeanwhile: what counts is what holds when the body is
// there, however long it took.
func TestRenewal_RevokedMeanwhile(t *testing.T) {
	t.Parallel()
	g, l := newRenewalGuard(t)
	old := g.james()
	body, w := io.Pipe()
	go func() {
		next := g.ca.Issue(g.commonJames()...).PEM()
		_, _ = w.Write(next[:10])
		eventually(t, "the request is being served", func() bool { return g.Flights() > 0 })
		g.revoke(cert.Fingerprint(old.Leaf))
		_, _ = w.Write(next[10:])
		_ = w.Close()
	}()
	wantProblem(t, submit(t, g.client(old), renewalURL, body), http.StatusForbidden, "certificate")
	if len(l.all()) > 0 {
		t.Error("a revoked client renewed its certificate")
	}
}

func TestRenewal_Errors(t *testing.T) {
	t.Parallel()
	g, l := newRenewalGuard(t)
	client, next := g.client(g.james()), g.ca.Issue(g.commonJames()...).PEM()
	l.err = fault.New(fault.Conflict, "superseded", "it was renewed").WithHint("renew the other one")
	wantProblem(t, submit(t, client, renewalURL, bytes.NewReader(next)), http.StatusConflict, "superseded")
	l.err = errors.New("disk full of secrets")
	a := submit(t, client, renewalURL, bytes.NewReader(next))
	if a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "secrets") || !strings.Contains(g.log.String(), "disk full of secrets") {
		t.Errorf("%d %s\n%s", a.StatusCode, a.body, g.log)
	}
}

func TestRenewal_Method(t *testing.T) {
	t.Parallel()
	g, _ := newRenewalGuard(t)
	a := get(t, g.client(g.james()), renewalURL)
	wantProblem(t, a, http.StatusMethodNotAllowed, "method")
	if a.Header.Get("Allow") != http.MethodPost {
		t.Errorf("Allow %q", a.Header.Get("Allow"))
	}
	none := newGuard(t)
	wantStatus(t, submit(t, none.client(none.james()), renewalURL, strings.NewReader("x")), http.StatusNotFound)
	if len(none.seen) > 0 {
		t.Error("without a renewer the path goes to the origin")
	}
}

// TestRenewal_Rate: one client is slowed down by its certificate, on whatever
// connection, and no other with it.
func TestRenewal_Rate(t *testing.T) {
	t.Parallel()
	g, l := newRenewalGuard(t)
	eager, other := g.james(), g.james()
	next := g.ca.Issue(g.commonJames()...).PEM()
	for range 5 {
		for _, client := range []*http.Client{g.client(eager), g.client(eager)} {
			wantStatus(t, submit(t, client, renewalURL, bytes.NewReader(next)), http.StatusCreated)
		}
	}
	a := submit(t, g.client(eager), renewalURL, bytes.NewReader(next))
	wantProblem(t, a, http.StatusTooManyRequests, "rate")
	if a.Header.Get("Retry-After") != "60" || len(l.all()) != 10 {
		t.Errorf("Retry-After %q after %d", a.Header.Get("Retry-After"), len(l.all()))
	}
	wantStatus(t, submit(t, g.client(other), renewalURL, bytes.NewReader(next)), http.StatusCreated)
	g.clock.advance(time.Minute)
	wantStatus(t, submit(t, g.client(eager), renewalURL, bytes.NewReader(next)), http.StatusCreated)
}
