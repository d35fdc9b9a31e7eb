package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// A watch is a clock that tests set.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// admit stores a CA for the application, and returns it with a client.
func (h *house) admit() (ca, client *certtest.Certificate) { return h.admitAs("root") }

func (h *house) admitAs(name string) (ca, client *certtest.Certificate) {
	h.t.Helper()
	now := h.App.o.Now()
	ca = certtest.NewCA(certtest.CommonName(name), certtest.Validity(now.Add(-alert.Day), now.AddDate(5, 0, 0)))
	if _, _, _, err := inventory.New(h.store, h.o.Now).AddCA(h.t.Context(), inventory.Upload{
		Data: ca.PEM(), Name: name, Hostnames: []string{orders}, Actor: inventory.Actor{Kind: inventory.ActorLocal},
	}); err != nil {
		h.t.Fatal(err)
	}
	return ca, ca.Issue(certtest.Client(), certtest.CommonName("device"), certtest.Validity(now.Add(-alert.Day), now.AddDate(4, 0, 0)))
}

// ask makes a request as a client, which may be nil, on a connection of its own.
func (h *house) ask(client *certtest.Certificate, path string) (*http.Response, string) {
	h.t.Helper()
	config := &tls.Config{RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS12}
	if client != nil {
		config.Certificates = []tls.Certificate{client.TLS()}
	}
	transport := &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, h.address("enforcer"))
		},
	}
	answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + orders + path)
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

func (h *house) keySet() jose.JSONWebKeySet {
	h.t.Helper()
	_, body := h.ask(nil, "/cdn-cgi/access/certs")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		h.t.Fatal(err)
	}
	return set
}

// cookie returns the token that a client gets.
func (h *house) cookie(client *certtest.Certificate) string {
	h.t.Helper()
	answer, _ := h.ask(client, "/")
	for _, c := range answer.Cookies() {
		if c.Name == "CF_Authorization" {
			return c.Value
		}
	}
	h.t.Fatalf("status %d without a cookie", answer.StatusCode)
	return ""
}

// verify checks a token as an origin does, by the set that it has.
func verify(set jose.JSONWebKeySet, text string) (kid string, ends time.Time, ok bool) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(token.Headers) != 1 {
		return "", time.Time{}, false
	}
	var claims jwt.Claims
	kid = token.Headers[0].KeyID
	if len(set.Key(kid)) != 1 || token.Claims(set.Key(kid)[0].Key, &claims) != nil {
		return kid, time.Time{}, false
	}
	return kid, claims.Expiry.Time(), true
}

// For fifty days a client works and an origin verifies its tokens, by a key set
// that is up to an hour old. Nobody notices that the key changes.
func TestRotate_FiftyDays(t *testing.T) {
	t.Parallel()
	clock := &testClock{at: time.Now().UTC().Truncate(time.Hour)}
	began := clock.now()
	h := newHouse(t, func(h *house) string { h.now = clock.now; return h.guarding(closed, "30d") })
	_, client := h.admit()
	eventually(t, "the client admitted", func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == http.StatusOK })
	type held struct {
		token string
		ends  time.Time
	}
	var tokens []held
	signers, fresh := map[string]bool{}, h.keySet()
	for clock.now().Sub(began) < 50*alert.Day {
		step := 12 * time.Hour
		if age := clock.now().Sub(began) - sixWeeks; age >= -time.Hour && age < 3*time.Hour {
			step = 30 * time.Minute // around the rotation
		}
		stale := fresh // the origin's copy, which it took one step before
		clock.advance(step)
		if err := h.rotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		fresh = h.keySet()
		token := h.cookie(client)
		kid, ends, ok := verify(fresh, token)
		if !ok {
			t.Fatalf("after %s: a new token does not verify", clock.now().Sub(began))
		}
		if _, _, ok := verify(stale, token); !ok && step <= time.Hour {
			t.Fatalf("after %s: a new token does not verify by a key set of %s ago", clock.now().Sub(began), step)
		}
		signers[kid] = true
		tokens = append(tokens, held{token, ends})
		for _, old := range tokens {
			if _, _, ok := verify(fresh, old.token); !ok && clock.now().Before(old.ends) {
				t.Fatalf("after %s: a token that lasts until %s does not verify", clock.now().Sub(began), old.ends)
			}
		}
	}
	keys, err := h.store.SigningKeys(t.Context())
	if err != nil || len(keys) != 1 || len(signers) != 2 {
		t.Errorf("%d keys are left and %d signed, %v; want the new one alone, and 2", len(keys), len(signers), err)
	}
}

// What another replica did to the keys counts at once: it may sign with a new
// one in an hour.
func TestWatch_TakesUpKeysOfOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	if n := len(h.keySet().Keys); n != 1 {
		t.Fatalf("%d keys at first", n)
	}
	other, err := store.Open(t.Context(), store.Options{DSN: h.cfg.Storage.DSN, KeyFile: h.cfg.Storage.KeyFile, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := addSigningKey(t.Context(), other, rotation); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both keys published", func() bool { return len(h.keySet().Keys) == 2 })
	if strings.Contains(h.log.String(), "level=ERROR") {
		t.Errorf("errors in the log:\n%s", h.log)
	}
}
