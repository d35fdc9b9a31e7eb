package enforcer_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/certvigil/certvigil/enforcer"
)

// A counted transport counts what goes through it.
type counted struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// verifier is what the reference product's documentation has origins do:
// issuer, key set and audience, and nothing of ours.
func (g *guard) verifier(t *testing.T, audience string, now func() time.Time) (*oidc.IDTokenVerifier, *counted) {
	t.Helper()
	transport := &counted{RoundTripper: g.client(nil).Transport}
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: transport})
	keys := oidc.NewRemoteKeySet(ctx, "https://"+orders+"/cdn-cgi/access/certs")
	return oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, Now: now}), transport
}

// TestOIDC verifies what origin and client are given by coreos/go-oidc,
// through a rotation of the signing key.
func TestOIDC(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	client := g.client(g.james())
	tokens := func() (assertion, cookie string) {
		a := get(t, client, "https://"+orders+"/")
		wantStatus(t, a, 200)
		return (<-g.seen).Header.Get("Cf-Access-Jwt-Assertion"), a.Cookies()[0].Value
	}
	verifier, fetches := g.verifier(t, aud, g.clock.Now)
	verify := func(name, token string, fetched int32) {
		t.Helper()
		before := fetches.n.Load()
		id, err := verifier.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var claims struct {
			Type       string `json:"type"`
			CommonName string `json:"common_name"`
		}
		if err := id.Claims(&claims); err != nil || claims.Type != "app" || claims.CommonName != "James Royal" || id.Subject != "" {
			t.Errorf("%s: claims %+v of %q: %v", name, claims, id.Subject, err)
		}
		if got := fetches.n.Load() - before; got != fetched {
			t.Errorf("%s: fetched the keys %d times, want %d", name, got, fetched)
		}
	}

	oldAssertion, oldCookie := tokens()
	verify("header", oldAssertion, 1)
	verify("cookie", oldCookie, 0)

	second, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.state.SigningKeys = []enforcer.SigningKey{{KID: strings.Repeat("0c", 32), Key: second}, g.state.SigningKeys[0]}
	g.apply()
	verify("old token after the rotation, by the keys at hand", oldCookie, 0)
	newAssertion, newCookie := tokens()
	if newAssertion == oldAssertion || newCookie == oldCookie {
		t.Fatal("the new key does not sign")
	}
	verify("new token, of an unknown key", newAssertion, 1)
	verify("old token, by the new set", oldAssertion, 0)
	fresh, _ := g.verifier(t, aud, g.clock.Now)
	for name, token := range map[string]string{"old": oldCookie, "new": newCookie} {
		if _, err := fresh.Verify(t.Context(), token); err != nil {
			t.Errorf("%s token, by an origin that has just started: %v", name, err)
		}
	}

	g.state.SigningKeys = g.state.SigningKeys[:1]
	g.apply()
	late, _ := g.verifier(t, aud, g.clock.Now)
	if _, err := late.Verify(t.Context(), oldCookie); err == nil {
		t.Error("a token of a key that is gone verifies")
	}
	if _, err := late.Verify(t.Context(), newCookie); err != nil {
		t.Error(err)
	}
}

// TestOIDC_refused: what the tokens say holds them to one application and to
// their time.
func TestOIDC_refused(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	get(t, g.client(g.james()), "https://"+orders+"/")
	token := (<-g.seen).Header.Get("Cf-Access-Jwt-Assertion")
	head, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	claims, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || !strings.Contains(string(claims), "James Royal") {
		t.Fatalf("claims %s: %v", claims, err)
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), "James Royal", "Somebody", 1)))
	now := g.clock.Now
	in := func(d time.Duration) func() time.Time { return func() time.Time { return now().Add(d) } }
	for _, tt := range []struct {
		name, audience, token string
		now                   func() time.Time
		want                  string
	}{
		{"as it is", aud, token, now, ""},
		{"just before its end", aud, token, in(9*time.Minute + 58*time.Second), ""},
		{"after its end", aud, token, in(10*time.Minute + time.Second), "token is expired"},
		{"of another application", strings.Repeat("b", 64), token, now, "expected audience"},
		{"with other claims", aud, head + "." + forged + "." + signature, now, "failed to verify"},
		{"without signature", aud, head + "." + body + ".", now, "failed to verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verifier, _ := g.verifier(t, tt.audience, tt.now)
			_, err := verifier.Verify(t.Context(), tt.token)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
