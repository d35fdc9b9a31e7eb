package walkthrough_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The hostnames of the walk-through.
const (
	orders   = "orders.example.com"   // the page's CA
	partners = "partners.example.com" // an intermediate and its root
	lonely   = "lonely.example.com"   // an application without any CA
)

// An origin is the protected application.
type origin struct {
	*httptest.Server
	requests  atomic.Int64
	assertion atomic.Value // string: the last Cf-Access-Jwt-Assertion
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		o.assertion.Store(r.Header.Get("Cf-Access-Jwt-Assertion"))
		_, _ = fmt.Fprintf(w, "the application at %s", r.Host)
	}))
	t.Cleanup(o.Close)
	return o
}

// TestWalkthrough follows the reference page from its first command to its
// last curl, then goes on to intermediates and to the end of the server.
func TestWalkthrough(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	makeCertificates(t, w)
	o := newOrigin(t)
	s := newSite(t, w, o.URL, orders, partners, lonely)

	add := func(name, hostname, file string) result {
		return run(t, w.dir, w.certvigil, "ca", "add", "--name", name, "--hostname", hostname, file, "-c", s.config)
	}
	t.Run("what is not a CA is refused", func(t *testing.T) { refusals(t, w, add) })
	if stored := bundles(t, w, s); len(stored) != 0 {
		t.Fatalf("what was refused is stored: %v", stored)
	}
	if r := add("Access Testing CA", orders, "ca.pem"); r.code != 0 {
		t.Fatalf("certvigil ca add: %s", r)
	}
	mustRun(t, w.dir, w.certvigil, "config", "check", "-c", s.config)
	d := startDaemon(t, w.certvigil, s.config, s.admin)
	b := browser{w, s.gateway}

	t.Run("without a certificate", func(t *testing.T) { b.denied(t, o, orders, "") })
	t.Run("with a certificate", func(t *testing.T) { b.admitted(t, o, orders, "client") })
	for _, options := range [][]string{{"--http1.1"}, {"--tls-max", "1.2"}} {
		t.Run("with a certificate "+strings.Join(options, " "), func(t *testing.T) { b.admitted(t, o, orders, "client", options...) })
	}
	t.Run("with a certificate of another CA of the same name", func(t *testing.T) { b.denied(t, o, orders, "stranger") })
	t.Run("at an application whose hostname has no CA", func(t *testing.T) { b.denied(t, o, lonely, "client") })
	t.Run("through an intermediate that is not uploaded yet", func(t *testing.T) { b.denied(t, o, partners, "partner") })

	if r := add("Partner CA", partners, "partner-chain.pem"); r.code != 0 {
		t.Fatalf("certvigil ca add with a chain: %s", r)
	}
	t.Run("through an intermediate, sending the leaf alone", func(t *testing.T) {
		eventually(t, promptly, "the running server admits the new CA's client", func() error {
			if r := b.get(t, partners, "partner"); r.status != http.StatusOK {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		b.admitted(t, o, partners, "partner")
	})
	t.Run("one hostname's client at the other", func(t *testing.T) {
		b.denied(t, o, partners, "client")
		b.denied(t, o, orders, "partner")
	})
	t.Run("SIGTERM ends the server with 0", func(t *testing.T) {
		if code := d.terminate(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// makeCertificates carries out the page's commands for ca.pem and client.pem,
// then makes what else the walk-through needs, with faster keys.
func makeCertificates(t *testing.T, w workshop) {
	t.Helper()
	const config = "ca-config.json"
	w.root(t, "ca", "ca-csr.json")
	w.issue(t, "client", "ca", config, "client", "client-csr.json")

	w.root(t, "impostor", w.csr(t, "Access Testing CA"))
	w.issue(t, "stranger", "impostor", config, "client", w.csr(t, "James Royal", ""))

	w.root(t, "partner-root", w.csr(t, "Partner Root"))
	w.issue(t, "partner-ca", "partner-root", "intermediate-config.json", "intermediate", w.csr(t, "Partner Issuing CA"))
	w.issue(t, "partner", "partner-ca", config, "client", w.csr(t, "Partner Device", ""))
	w.concat(t, "partner-chain.pem", "partner-ca.pem", "partner-root.pem")

	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", config, "server", w.csr(t, "gateway", orders, partners, lonely))
}

// refusals tries what people upload by mistake from the same folder.
func refusals(t *testing.T, w workshop, add func(name, hostname, file string) result) {
	w.concat(t, "ca-and-key.pem", "ca.pem", "ca-key.pem")
	for file, word := range map[string]string{
		"ca-key.pem": "private key", "ca-and-key.pem": "private key", "ca.csr": "signing request",
		"client.pem": "not a CA", "ca-csr.json": "PEM",
	} {
		t.Run(file, func(t *testing.T) {
			r := add("mistake", orders, file)
			if r.code != 1 || !strings.Contains(r.stderr, "error: ") || !strings.Contains(r.stderr, "hint: ") || !strings.Contains(r.stderr, word) {
				t.Errorf("want exit code 1 and an error with a hint about %q, got %s", word, r)
			}
		})
	}
}

// bundles returns the names of the stored CAs.
func bundles(t *testing.T, w workshop, s site) []string {
	t.Helper()
	var list []struct {
		Name string `json:"name"`
	}
	out := mustRun(t, w.dir, w.certvigil, "ca", "list", "--json", "-c", s.config).stdout
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("decoding certvigil ca list --json: %v\n%s", err, out)
	}
	names := []string{}
	for _, b := range list {
		names = append(names, b.Name)
	}
	return names
}

// denied checks that the request gets 403 and no cookie, and that the origin
// does not see it.
func (b browser) denied(t *testing.T, o *origin, hostname, certificate string) {
	t.Helper()
	before := o.requests.Load()
	r := b.get(t, hostname, certificate)
	if r.status != http.StatusForbidden {
		t.Errorf("want 403: %s", r)
	}
	if r.cookie() != "" {
		t.Errorf("a denied request sets the cookie: %s", r)
	}
	if o.requests.Load() != before {
		t.Error("the origin saw a denied request")
	}
}

// admitted checks that the request reaches the origin, gets 200 and the
// cookie, and that the origin is told whose certificate it was.
func (b browser) admitted(t *testing.T, o *origin, hostname, certificate string, options ...string) {
	t.Helper()
	before := o.requests.Load()
	r := b.get(t, hostname, certificate, options...)
	if r.status != http.StatusOK || !strings.HasPrefix(r.body, "the application at "+hostname) {
		t.Fatalf("want 200 and the origin's page: %s", r)
	}
	if o.requests.Load() != before+1 {
		t.Errorf("the origin saw %d requests, want 1", o.requests.Load()-before)
	}
	want := map[string]string{"client": "James Royal", "partner": "Partner Device"}[certificate]
	if got := commonName(t, r.cookie()); got != want {
		t.Errorf("the cookie is for %q, want %q: %s", got, want, r)
	}
	assertion, _ := o.assertion.Load().(string)
	if got := commonName(t, assertion); got != want {
		t.Errorf("the origin is told %q, want %q", got, want)
	}
}

// commonName reads a claim of a JWT without checking its signature.
func commonName(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Errorf("%q is not a JWT", token)
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Errorf("decoding the JWT: %v", err)
		return ""
	}
	var claims struct {
		CommonName string `json:"common_name"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Errorf("decoding the JWT's claims: %v", err)
	}
	return claims.CommonName
}
