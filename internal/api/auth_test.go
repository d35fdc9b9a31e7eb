package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/inventory"
)

func TestAuthorization(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *api.Options) {
		o.Renewer = renewerFunc(func(context.Context, inventory.RenewRequest) (inventory.Renewal, error) {
			return inventory.Renewal{Status: inventory.StatusRenewed}, nil
		})
	})
	hour := start.Add(time.Hour)
	renew, write, read, short := b.token(t, "", nil, "renew"), b.token(t, "", nil, "write"), b.token(t, "", nil, "read"), b.token(t, "", &hour, "renew")
	const realm, invalid = `Bearer realm="certvigil"`, `Bearer realm="certvigil", error="invalid_token"`
	for i, tt := range []struct {
		name      string
		headers   []string
		at        time.Time
		status    int
		rule      string
		challenge string
	}{
		{"scope renew", []string{"Bearer " + renew}, start, 201, "", ""},
		{"scope write", []string{"Bearer " + write}, start, 201, "", ""},
		{"the scheme in another case", []string{"bearer " + renew}, start, 201, "", ""},
		{"scope read", []string{"Bearer " + read}, start, 403, "scope", realm + `, error="insufficient_scope", scope="renew"`},
		{"a second before its end", []string{"Bearer " + short}, hour.Add(-time.Second), 201, "", ""},
		{"exactly at its end", []string{"Bearer " + short}, hour, 401, "token", invalid},
		{"no header", nil, start, 401, "token", realm},
		{"an empty header", []string{""}, start, 401, "token", realm},
		{"no token", []string{"Bearer "}, start, 401, "token", realm},
		{"another scheme", []string{"Basic " + renew}, start, 401, "token", realm},
		{"two headers", []string{"Bearer " + renew, "Bearer " + write}, start, 401, "token", realm},
		{"an unknown token", []string{"Bearer cvt_unknown"}, start, 401, "token", invalid},
		{"a token cut short", []string{"Bearer " + renew[:len(renew)-1]}, start, 401, "token", invalid},
		{"a huge token", []string{"Bearer " + strings.Repeat("x", 100_000)}, start, 401, "token", realm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.now = tt.at
			r := httptest.NewRequest(http.MethodPost, "/renewals", strings.NewReader("x"))
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i)
			r.Header["Authorization"] = tt.headers
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			if tt.rule != "" {
				refused(t, w, tt.status, tt.rule)
			} else if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", got, tt.challenge)
			}
		})
	}
	for _, secret := range []string{renew, write, read, short} {
		if strings.Contains(b.log.String(), secret) {
			t.Error("the log has a token's secret")
		}
	}
}

func TestAuthorization_LimitsFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	fail := func(from string) int { return b.do(t, call{token: "cvt_wrong", from: from}).Code }
	for i := range 10 {
		if got := fail("192.0.2.1:" + fmt.Sprint(1000+i)); got != http.StatusUnauthorized {
			t.Fatalf("failure %d: status %d, want 401", i+1, got)
		}
	}
	w := b.do(t, call{token: "cvt_wrong", from: "192.0.2.1:9"})
	refused(t, w, http.StatusTooManyRequests, "rate")
	if got := w.Header().Get("Retry-After"); got != "6" {
		t.Errorf("Retry-After %q, want 6", got)
	}
	if got := strings.Count(b.log.String(), "without a valid token"); got != 10 {
		t.Errorf("%d warnings, want one for each failure below the limit", got)
	}
	if got := fail("192.0.2.2:1"); got != http.StatusUnauthorized {
		t.Errorf("another address: status %d, want 401", got)
	}
	good := b.do(t, call{token: b.token(t, "", nil, "renew"), from: "192.0.2.1:1", body: []byte("x")})
	if good.Code == http.StatusTooManyRequests || good.Code == http.StatusUnauthorized {
		t.Errorf("a valid token from the limited address: status %d", good.Code)
	}
	b.now = b.now.Add(6 * time.Second)
	if got := fail("192.0.2.1:1"); got != http.StatusUnauthorized {
		t.Errorf("after waiting: status %d, want 401", got)
	}
	if got := fail("192.0.2.1:1"); got != http.StatusTooManyRequests {
		t.Errorf("once more: status %d, want 429", got)
	}
}

func TestAuthorization_LimitsIPv6ByNetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	last := 0
	for i := range 11 {
		last = b.do(t, call{token: "cvt_wrong", from: fmt.Sprintf("[2001:db8::%x]:1", i)}).Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 11th address of one network: status %d, want 429", last)
	}
	if got := b.do(t, call{token: "cvt_wrong", from: "[2001:db8:0:1::1]:1"}).Code; got != http.StatusUnauthorized {
		t.Errorf("another network: status %d, want 401", got)
	}
}

type brokenTokens struct{}

func (brokenTokens) TokenByHash(context.Context, []byte) (inventory.Token, error) {
	return inventory.Token{}, errors.New("the store broke")
}

func (brokenTokens) TouchToken(context.Context, string, time.Time) error { return nil }

func TestAuthorization_StoreBrokenIsNoRefusal(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *api.Options) { o.Tokens = brokenTokens{} })
	refused(t, b.do(t, call{token: "cvt_any"}), http.StatusInternalServerError, "")
}

// A store that finds a token by less than its whole hash admits nobody.
type nearbyTokens struct{ brokenTokens }

func (nearbyTokens) TokenByHash(_ context.Context, hash []byte) (inventory.Token, error) {
	other := append([]byte(nil), hash...)
	other[len(other)-1] ^= 1
	return inventory.Token{ID: "t", Scopes: []string{"write"}, Hash: other}, nil
}

func TestAuthorization_ComparesTheWholeHash(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *api.Options) { o.Tokens = nearbyTokens{} })
	refused(t, b.do(t, call{token: "cvt_any"}), http.StatusUnauthorized, "token")
}

// A token that was let in tells when, and one that was refused does not.
func TestAuthorization_RecordsTheLastUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hour := start.Add(time.Hour)
	secret := b.token(t, "", &hour, "renew")
	for _, at := range []time.Time{start.Add(time.Minute), hour} { // the second is its end
		b.now = at
		b.do(t, call{token: secret, body: []byte("x")})
		tokens, err := b.store.Tokens(t.Context())
		if err != nil || len(tokens) != 1 || tokens[0].LastUsedAt == nil || !tokens[0].LastUsedAt.Equal(start.Add(time.Minute)) {
			t.Errorf("at %s it was last used as %+v, %v", at, tokens, err)
		}
	}
}
