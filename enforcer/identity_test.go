package enforcer_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

// spoofs are what a client may try to smuggle to the origin.
var spoofs = []string{
	"X-Original-URL", "x_original_url", "X-Rewrite-Url", "Proxy",
	"Cf-Access-Jwt-Assertion", "CF-ACCESS-JWT-ASSERTION", "Cf_Access_Jwt_Assertion", "cf_access-jwt_assertion", "Cf.Access.Jwt.Assertion",
	"Cf-Access-Authenticated-User-Email", "Cf-Client-Cert-Sha256", "Cf_Client_Cert_Sha256", "Cf-Client-Cert-Der-Base64",
	"cf-cert-verified", "Cf_Cert_Verified", "Client-Cert", "client_cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "X_SSL_Client_Verify",
	"X-Client-Cert", "X-Client-Certificate", "X-Forwarded-Client-Cert", "X_Forwarded_Client_Cert", "X-Forwarded-Tls-Client-Cert",
	"X-Forwarded-Tls-Client-Cert-Info", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X_Forwarded_For", "X-Real-Ip", "Forwarded", "Content_Length", "Transfer_Encoding",
}

// raw sends a request as it is spelled and returns what the origin saw.
func (g *guard) raw(pair *tls.Certificate, request string) *http.Request {
	g.t.Helper()
	if status := g.rawStatus(pair, request); status != 200 {
		g.t.Fatalf("status %d", status)
	}
	return <-g.seen
}

func everyoneBypasses(s *enforcer.State) {
	s.Applications[0].Policies = []enforcer.Policy{{Name: "open", Action: enforcer.Bypass, Include: []enforcer.Selector{{Everyone: true}}}}
}

func reportsOnly(s *enforcer.State) { s.Applications[0].ReportOnly = true }

// TestSpoofedHeaders: on every path to the origin, nothing that a client says
// about identity arrives.
func TestSpoofedHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		state func(*enforcer.State)
		cert  bool
		jwt   bool
	}{
		{"admitted", func(s *enforcer.State) { s.Applications[0].Forwarding = enforcer.ForwardEvery }, true, true},
		{"forwarding off", func(*enforcer.State) {}, true, true},
		{"bypass without certificate", everyoneBypasses, false, false},
		{"bypass with certificate", everyoneBypasses, true, false},
		{"report only without certificate", reportsOnly, false, false},
		{"report only with certificate", reportsOnly, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, tt.state)
			var pair *tls.Certificate
			if tt.cert {
				pair = g.james()
			}
			var lines strings.Builder
			for _, name := range spoofs {
				fmt.Fprintf(&lines, "%s: spoofed\r\n%s: spoofed twice\r\n", name, name)
			}
			seen := g.raw(pair, "POST /x HTTP/1.1\r\nHost: "+orders+"\r\n"+lines.String()+
				"Connection: Cf-Access-Jwt-Assertion, Cf-Client-Cert-Sha256, X-Forwarded-For, Cookie\r\n"+
				"Cookie: a=1; CF_Authorization=spoofed; b=2\r\ncookie: cf_authorization = spoofed\r\n"+
				"Trailer: Cf-Access-Jwt-Assertion\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"2\r\nhi\r\n0\r\nCf-Access-Jwt-Assertion: spoofed\r\nCf-Cert-Verified: spoofed\r\n\r\n")
			for name, values := range seen.Header {
				if strings.Contains(strings.Join(values, " "), "spoofed") {
					t.Errorf("%s: %q arrived", name, values)
				}
			}
			if len(seen.Trailer) > 0 {
				t.Errorf("trailers arrived: %v", seen.Trailer)
			}
			if got := seen.Header.Get("Cf-Access-Jwt-Assertion") != ""; got != tt.jwt {
				t.Errorf("assertion present: %v, want %v", got, tt.jwt)
			}
			if got := seen.Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("X-Forwarded-For %q", got)
			}
		})
	}
}

func TestOriginHeaders(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Forwarding = enforcer.ForwardEvery })
	pair := g.james()
	get(t, g.client(pair), "https://"+orders+"/a%2fb//c/../d?x=%zz;y", "Cookie", "theme=dark; CF_Authorization=old")
	seen := <-g.seen
	sum := sha256.Sum256(pair.Leaf.Raw)
	assertion := seen.Header.Get("Cf-Access-Jwt-Assertion")
	got := map[string]string{
		"Host": seen.Host, "URI": seen.RequestURI,
		"For": seen.Header.Get("X-Forwarded-For"), "Proto": seen.Header.Get("X-Forwarded-Proto"), "XHost": seen.Header.Get("X-Forwarded-Host"),
		"DER": seen.Header.Get("Cf-Client-Cert-Der-Base64"), "Hash": seen.Header.Get("Cf-Client-Cert-Sha256"),
		"Cookie": seen.Header.Get("Cookie"),
	}
	want := map[string]string{
		"Host": orders, "URI": "/a%2fb//c/../d?x=%zz;y",
		"For": "127.0.0.1", "Proto": "https", "XHost": orders,
		"DER": base64.StdEncoding.EncodeToString(pair.Leaf.Raw), "Hash": hex.EncodeToString(sum[:]),
		"Cookie": "theme=dark; CF_Authorization=" + assertion,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the origin saw (-want +got):\n%s", diff)
	}
}

func TestForwardingFirst(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Forwarding = enforcer.ForwardFirst })
	client := g.client(g.james())
	for i, want := range []bool{true, false, false} {
		get(t, client, "https://"+orders+"/")
		if got := (<-g.seen).Header.Get("Cf-Client-Cert-Sha256") != ""; got != want {
			t.Errorf("request %d: forwarded %v, want %v", i+1, got, want)
		}
	}
	client.CloseIdleConnections()
	get(t, client, "https://"+orders+"/")
	if (<-g.seen).Header.Get("Cf-Client-Cert-Sha256") == "" {
		t.Error("not forwarded on a new connection")
	}
}

// TestBypass_anonymous: a bypass asserts nothing, so the origin is told nothing
// of the client that it let in, by none of the switches.
func TestBypass_anonymous(t *testing.T) {
	t.Parallel()
	for _, forwarding := range []enforcer.Forwarding{enforcer.ForwardEvery, enforcer.ForwardFirst} {
		g := newGuard(t, everyoneBypasses, func(s *enforcer.State) {
			app := &s.Applications[0]
			app.Forwarding, app.RFC9440, app.TLSClientAuthHeaders = forwarding, true, true
			app.RequestHeaders = map[string]string{"X-Client": "{cn}"}
			closed := *app
			closed.Name, closed.Path = "closed", "/closed"
			closed.Policies = []enforcer.Policy{policy("devices", enforcer.ServiceAuth, certified...)}
			s.Applications = append(s.Applications, closed)
		})
		client := g.client(g.james())
		a := get(t, client, "https://"+orders+"/")
		open := <-g.seen
		get(t, client, "https://"+orders+"/closed")
		closed := <-g.seen
		for _, name := range []string{"Cf-Access-Jwt-Assertion", "Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256", "Client-Cert", "Cf-Cert-Subject-Dn", "X-Client", "Cookie"} {
			if got := open.Header[name]; got != nil {
				t.Errorf("%s: past a bypass the origin is told %s: %q", forwarding, name, got)
			}
			if closed.Header.Get(name) == "" {
				t.Errorf("%s: past a policy it is not told %s", forwarding, name)
			}
		}
		if len(a.Cookies()) > 0 {
			t.Errorf("cookie %v", a.Cookies())
		}
	}
}

// verify checks a token by what the listener publishes.
func verify(t *testing.T, client *http.Client, token string) map[string]any {
	t.Helper()
	a := get(t, client, "https://"+orders+"/cdn-cgi/access/certs")
	wantStatus(t, a, 200)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.body), &set); err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders["typ"] != "JWT" || len(header.KeyID) != 64 {
		t.Errorf("header %+v", header)
	}
	keys := set.Key(header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d keys for %q", len(keys), header.KeyID)
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                  string
		configured            time.Duration // session_duration
		left, header, session time.Duration
	}{
		{"full life", 24 * time.Hour, 365 * 24 * time.Hour, 10 * time.Minute, 24 * time.Hour},
		{"a short session", 5 * time.Minute, 365 * 24 * time.Hour, 10 * time.Minute, 5 * time.Minute},
		{"a leaf with an hour left", 24 * time.Hour, time.Hour, 10 * time.Minute, time.Hour},
		{"a leaf with a minute left", 24 * time.Hour, time.Minute, time.Minute, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, func(s *enforcer.State) { s.Applications[0].SessionDuration = tt.configured })
			now := g.clock.Now().Truncate(time.Second)
			pair := g.james(certtest.Validity(now.Add(-time.Hour), now.Add(tt.left)))
			client := g.client(pair)
			a := get(t, client, "https://"+orders+"/")
			cookies := a.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("cookies %v", cookies)
			}
			thumb := sha256.Sum256(pair.Leaf.Raw)
			anonymous := g.client(nil) // the keys are public
			for token, life := range map[string]time.Duration{
				(<-g.seen).Header.Get("Cf-Access-Jwt-Assertion"): tt.header,
				cookies[0].Value: tt.session,
			} {
				claims := verify(t, anonymous, token)
				if left := time.Unix(int64(claims["exp"].(float64)), 0).Sub(now); left != life {
					t.Errorf("ends in %v, want %v", left, life)
				}
				if iat := int64(claims["iat"].(float64)); iat != now.Unix() {
					t.Errorf("iat %d, want %d", iat, now.Unix())
				}
				delete(claims, "exp")
				delete(claims, "iat")
				want := map[string]any{
					"type": "app", "aud": []any{aud}, "iss": issuer, "sub": "", "common_name": "James Royal",
					"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(thumb[:])},
				}
				if diff := cmp.Diff(want, claims); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
			}
			c := cookies[0]
			if c.Name != "CF_Authorization" || !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != http.SameSiteNoneMode || c.Domain != "" {
				t.Errorf("cookie %q", c.Raw)
			}
			if !c.Expires.Equal(now.Add(tt.session)) || strings.Contains(c.Raw, "Max-Age") {
				t.Errorf("cookie %q, want it to expire at %v, as its token", c.Raw, now.Add(tt.session))
			}
		})
	}
}

// TestCookie: set when absent, foreign or half-way through; never admitting.
func TestCookie(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	client := g.client(g.james())
	first := get(t, client, "https://"+orders+"/").Cookies()[0].Value
	sent := "CF_Authorization=" + first
	steps := []struct {
		name   string
		cookie string
		want   bool
	}{
		{"the same one", sent, false},
		{"among others", "a=b; " + sent + "; c=d", false},
		{"none", "a=b", true},
		{"another's", "CF_Authorization=x", true},
	}
	for _, s := range steps {
		if got := len(get(t, client, "https://"+orders+"/", "Cookie", s.cookie).Cookies()) > 0; got != s.want {
			t.Errorf("%s: set %v, want %v", s.name, got, s.want)
		}
	}
	g.clock.advance(12*time.Hour + time.Second)
	if len(get(t, client, "https://"+orders+"/", "Cookie", sent).Cookies()) == 0 {
		t.Error("not renewed after half its life")
	}
	wantStatus(t, get(t, g.client(nil), "https://"+orders+"/", "Cookie", sent), 403)
}

func TestCerts(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	old := g.state.SigningKeys[0]
	old.KID = strings.Repeat("0b", 32)
	g.state.SigningKeys = append(g.state.SigningKeys, old)
	g.apply()
	client := g.client(nil)
	a := get(t, client, "https://"+lonely+"/cdn-cgi/access/certs")
	wantStatus(t, a, 200)
	var doc struct {
		Keys       []map[string]string `json:"keys"`
		PublicCert struct {
			KID, Cert string
		} `json:"public_cert"`
		PublicCerts []struct {
			KID, Cert string
		} `json:"public_certs"`
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Keys) != 2 || len(doc.PublicCerts) != 2 || doc.PublicCert != doc.PublicCerts[0] {
		t.Fatalf("document %s", a.body)
	}
	for _, name := range []string{"kid", "kty", "alg", "use", "e", "n"} {
		if doc.Keys[0][name] == "" {
			t.Errorf("the key lacks %q", name)
		}
	}
	block, _ := pem.Decode([]byte(doc.PublicCert.Cert))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !signingKey().PublicKey.Equal(c.PublicKey) {
		t.Errorf("public_cert: %v", err)
	}
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405} {
		req, _ := http.NewRequest(method, "https://"+orders+"/cdn-cgi/access/certs", nil)
		wantStatus(t, do(t, client, req), want)
	}
	wantStatus(t, get(t, client, "https://"+orders+"/cdn-cgi/access/certs/x"), 404)
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer, forwarded, want string
	}{
		{"untrusted peer", "203.0.113.9", "198.51.100.1", "203.0.113.9"},
		{"one proxy", "10.0.0.1", "198.51.100.1", "198.51.100.1"},
		{"claim left of the proxy's", "10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"},
		{"two proxies", "10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"with port", "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"},
		{"IPv6 with port", "fd00::1", "[2001:db8::1]:4711", "2001:db8::1"},
		{"mapped", "10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"none", "10.0.0.1", "", "10.0.0.1"},
		{"garbage", "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"},
		{"all trusted", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"X-Forwarded-For": {tt.forwarded}}
			if got := enforcer.ClientAddr(netip.MustParseAddr(tt.peer), trusted, h); got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTrustedProxy(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	get(t, g.client(g.james()), "https://"+orders+"/", "X-Forwarded-For", "198.51.100.1", "X-Forwarded-Host", "public.example.com", "X-Forwarded-Proto", "http")
	h := (<-g.seen).Header
	if h.Get("X-Forwarded-For") != "198.51.100.1, 127.0.0.1" || h.Get("X-Forwarded-Host") != "public.example.com" || h.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("forwarded %v", h)
	}
}

func TestStripCookie(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a=1":                                  "a=1",
		"a=1;b=2":                              "a=1;b=2",
		"CF_Authorization=x":                   "",
		"a=1; CF_Authorization=x; b=2":         "a=1; b=2",
		"a=1;cf_authorization=x":               "a=1",
		"a=1; CF_Authorization =x":             "a=1",
		"a=1, CF_Authorization=x; b=2":         "b=2",
		`a="1; CF_Authorization=x"; b=2`:       `a="1; b=2`,
		"a=1 CF_Authorization=x; b=2":          "b=2",
		"=CF_Authorization=x; b=2":             "b=2", // a cookie without a name
		"a=1; = CF_Authorization=x":            "a=1",
		"CF_AuthorizationX=1":                  "CF_AuthorizationX=1",
		"CF_AppSession=1; XCF_Authorization=2": "CF_AppSession=1; XCF_Authorization=2",
	} {
		h := http.Header{"Cookie": {in}}
		enforcer.Strip(h)
		if got := h.Get("Cookie"); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzStrip(f *testing.F) {
	for _, name := range spoofs {
		f.Add(name, "a=1; CF_Authorization=x")
	}
	f.Add("Accept", "a=b")
	f.Fuzz(func(t *testing.T, name, cookie string) {
		h := http.Header{name: {"v"}, "Cookie": {cookie}}
		enforcer.Strip(h)
		for left := range h {
			if folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(left)); strings.HasPrefix(folded, "cf-access-") || folded == "client-cert" {
				t.Errorf("%q passed", left)
			}
		}
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if strings.EqualFold(c.Name, "CF_Authorization") {
				t.Errorf("cookie %q passed as %q", cookie, h.Get("Cookie"))
			}
		}
	})
}
