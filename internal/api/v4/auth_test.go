package v4_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/inventory"
)

func TestAuthorization(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create("root", nil, newCA("Root", 400).PEM())
	write, read, renew := b.write, b.token(inventory.ScopeRead), b.token(inventory.ScopeRenew)
	const get, put, verify = http.MethodGet, http.MethodPut, "/client/v4/user/tokens/verify"
	for i, tt := range []struct {
		name, method, target string
		headers              []string
		status, code         int
	}{
		{"write for a change", put, base + "/" + made.ID, []string{"Authorization: Bearer " + write}, 200, 0},
		{"write for a look", get, base, []string{"Authorization: Bearer " + write}, 200, 0},
		{"read for a look", get, base, []string{"Authorization: bearer " + read}, 200, 0},
		{"read for a change", put, base + "/" + made.ID, []string{"Authorization: Bearer " + read}, 403, 9109},
		{"read for settings", put, settings, []string{"Authorization: Bearer " + read}, 403, 9109},
		{"read for a deletion", http.MethodDelete, base + "/" + made.ID, []string{"Authorization: Bearer " + read}, 403, 9109},
		{"renew for a look", get, base, []string{"Authorization: Bearer " + renew}, 403, 9109},
		{"the pair of old clients", get, base, []string{"X-Auth-Email: a@example.com", "X-Auth-Key: " + read}, 200, 0},
		{"the pair of old clients, for a change", put, settings, []string{"X-Auth-Email: a@example.com", "X-Auth-Key: " + write}, 200, 0},
		{"a user service key", get, base, []string{"X-Auth-User-Service-Key: " + read}, 200, 0},
		{"a bearer before a key", get, base, []string{"Authorization: Bearer " + read, "X-Auth-Key: wrong"}, 200, 0},
		{"a wrong bearer before a key", get, base, []string{"Authorization: Bearer cvt_wrong", "X-Auth-Key: " + read}, 401, 10000},
		{"nothing", get, base, nil, 401, 10000},
		{"a cookie", get, base, []string{"Cookie: token=" + read}, 401, 10000},
		{"the address alone", get, base, []string{"X-Auth-Email: a@example.com"}, 401, 10000},
		{"an unknown key", get, base, []string{"X-Auth-Key: cvt_wrong"}, 401, 10000},
		{"two keys", get, base, []string{"X-Auth-Key: " + read, "X-Auth-Key: " + write}, 401, 10000},
		{"a huge key", get, base, []string{"X-Auth-Key: " + strings.Repeat("x", 10_000)}, 401, 10000},
		{"verify", get, verify, []string{"Authorization: Bearer " + renew}, 200, 0},
		{"verify for an account", get, "/client/v4/accounts/x/tokens/verify", []string{"Authorization: Bearer " + read}, 200, 0},
		{"verify an unknown one", get, verify, []string{"Authorization: Bearer cvt_wrong"}, 401, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader("{}"))
			r.RemoteAddr = "192.0.2." + string(rune('0'+i%10)) + ":1"
			r.Header.Set("Content-Type", "application/json")
			for _, h := range tt.headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Add(name, value)
			}
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			got := envelope(t, w)
			if got.status != tt.status || tt.code != 0 && got.errors[0].Code != tt.code {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	for _, secret := range []string{write, read, renew} {
		if strings.Contains(b.log.String(), secret) {
			t.Error("the log has a token's secret")
		}
	}
}

func TestVerifyToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	end := start.Add(time.Hour)
	token, secret, err := inventory.NewToken("short", []string{inventory.ScopeRead}, "", &end, start)
	b.ok(err)
	b.ok(b.store.CreateToken(t.Context(), token, root))
	verify := func() reply {
		return b.do(http.MethodGet, "/client/v4/user/tokens/verify", "", "Authorization:", "Authorization: Bearer "+secret)
	}
	if got, want := compact(verify().result), `{"id":"`+token.ID+`","status":"active","expires_on":"2026-03-01T13:00:00Z"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	b.now = end
	verify().refused(t, http.StatusUnauthorized, 1000, "-", "Invalid API Token")
}

// TestAuthorization_SharesTheLimit holds that who fails here is limited at
// POST /renewals, and the other way round.
func TestAuthorization_SharesTheLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 10 {
		target := base
		if i%2 == 0 {
			target = "/renewals"
		}
		r := httptest.NewRequest(http.MethodPost, target, nil)
		r.Header.Set("Authorization", "Bearer cvt_wrong")
		w := httptest.NewRecorder()
		if b.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Fatalf("failure %d: status %d", i+1, w.Code)
		}
	}
	limited := b.do(http.MethodGet, base, "", "Authorization:", "X-Auth-Key: cvt_wrong")
	limited.refused(t, http.StatusTooManyRequests, 971, "-", "throttling")
	if limited.header.Get("Retry-After") == "" || limited.header.Get("X-Should-Retry") != "" {
		t.Errorf("headers %v", limited.header)
	}
	if r := b.do(http.MethodGet, base, ""); r.status != http.StatusOK {
		t.Errorf("a valid token from there: %d %s", r.status, r.body)
	}
}

func TestAccountID(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *v4.Options) { o.AccountID = "mine" })
	for _, tt := range []struct {
		target string
		status int
	}{
		{"/client/v4/accounts/mine/access/certificates", 200},
		{"/client/v4/zones/mine/access/certificates/settings", 200},
		{"/client/v4/accounts/mine/tokens/verify", 200},
		{"/client/v4/user/tokens/verify", 200},
		{"/client/v4/accounts/yours/access/certificates", 404},
		{"/client/v4/accounts/Mine/access/certificates", 404},
		{"/client/v4/zones/yours/access/certificates/settings", 404},
		{"/client/v4/accounts/yours/tokens/verify", 404},
	} {
		r := b.do(http.MethodGet, tt.target, "")
		if r.status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.target, r.status, tt.status)
		}
		if tt.status == http.StatusNotFound {
			r.refused(t, tt.status, 9109, "-", "Unauthorized to access requested resource")
		}
		// Who bears no token learns nothing about ids.
		if r := b.do(http.MethodGet, tt.target, "", "Authorization:"); r.status != http.StatusUnauthorized && r.status != http.StatusTooManyRequests {
			t.Errorf("%s without a token: status %d", tt.target, r.status)
		}
	}
}

type broken struct {
	v4.Reader
	panics bool
}

func (s broken) Bundles(context.Context) ([]inventory.Bundle, error) {
	if s.panics {
		panic("a secret")
	}
	return nil, errors.New("a secret")
}

// TestInternalErrors holds that what breaks inside is an envelope that tells
// nothing of it.
func TestInternalErrors(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		b := newBench(t, func(o *v4.Options) { o.Reader = broken{o.Reader, panics} })
		r := b.do(http.MethodGet, base, "")
		if r.status != http.StatusInternalServerError || r.errors[0].Code != 12001 || strings.Contains(r.body, "secret") || r.header.Get("X-Should-Retry") != "" {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
		if !strings.Contains(b.log.String(), "a secret") {
			t.Error("the log says nothing")
		}
	}
}
