package walkthrough_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A manager manages the gateway by curl, as the reference page's last part
// does.
type manager struct {
	workshop
	url   string // of the certificates
	token string
}

// newManager makes a token by the command line.
func newManager(t *testing.T, w workshop, s site) manager {
	t.Helper()
	made := mustRun(t, w.dir, w.certvigil, "token", "create", "--name", "curl", "--scope", "write", "--json", "-c", s.config)
	var token struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(made.stdout), &token); err != nil {
		t.Fatalf("certvigil token create --json: %v\n%s", err, made)
	}
	return manager{w, "http://" + s.admin + "/client/v4/zones/0123456789abcdef/access/certificates", token.Token}
}

// ask is `curl --request METHOD --url … --header x-auth-email … --header
// x-auth-key … --data …`, as on the page. It returns the result.
func (m manager) ask(t *testing.T, method, path string, body any) json.RawMessage {
	t.Helper()
	args := []string{
		"-sS", "--noproxy", "*", "--max-time", "20", "--request", method, "--url", m.url + path,
		"--header", "content-type: application/json", "--header", "x-auth-email: someone@example.com", "--header", "x-auth-key: " + m.token,
	}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--data", string(data))
	}
	r := mustRun(t, m.dir, m.curl, args...)
	var envelope struct {
		Success bool            `json:"success"`
		Result  json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &envelope); err != nil || !envelope.Success {
		t.Fatalf("%s %s: %v\n%s", method, path, err, r)
	}
	return envelope.Result
}

// A listener is an origin that remembers the headers it was last sent.
type listener struct {
	*httptest.Server
	mu   sync.Mutex
	last http.Header
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.last = r.Header.Clone()
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) header(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.Get(name)
}

// TestManagementAPI follows the reference page by its API alone: the CA is
// uploaded, its clients enter, the hostname's setting forwards their
// certificates, and what was made goes again.
func TestManagementAPI(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	const config = "ca-config.json"
	w.root(t, "ca", w.csr(t, "Access Testing CA"))
	w.issue(t, "client", "ca", config, "client", w.csr(t, "James Royal", ""))
	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", config, "server", w.csr(t, "gateway", orders))
	o := newListener(t)
	s := newSite(t, w, o.URL, orders)
	startDaemon(t, w.certvigil, s.config, s.admin)
	m, b := newManager(t, w, s), browser{w, s.gateway}
	becomes := func(what string, status int, forwarded bool) {
		t.Helper()
		eventually(t, promptly, what, func() error {
			r := b.get(t, orders, "client")
			if der := o.header("Cf-Client-Cert-Der-Base64"); r.status != status || status == http.StatusOK && (der != "") != forwarded {
				return fmt.Errorf("status %d, the origin is sent %q", r.status, der)
			}
			return nil
		})
	}

	if r := b.get(t, orders, "client"); r.status != http.StatusForbidden {
		t.Fatalf("before the upload: %s", r)
	}
	ca, err := os.ReadFile(filepath.Clean(w.path("ca.pem")))
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		ID string `json:"id"`
	}
	upload := m.ask(t, "POST", "", map[string]any{"name": "Access Testing CA", "certificate": string(ca), "associated_hostnames": []string{orders}})
	if err := json.Unmarshal(upload, &made); err != nil {
		t.Fatal(err)
	}
	becomes("the uploaded CA's client enters", http.StatusOK, false)

	m.ask(t, "PUT", "/settings", map[string]any{"settings": []any{map[string]any{"hostname": orders, "china_network": false, "client_certificate_forwarding": true}}})
	becomes("the certificate is forwarded", http.StatusOK, true)
	client, err := os.ReadFile(filepath.Clean(w.path("client.pem")))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(client)
	if got := o.header("Cf-Client-Cert-Der-Base64"); got != base64.StdEncoding.EncodeToString(block.Bytes) {
		t.Errorf("Cf-Client-Cert-Der-Base64 is %q", got)
	}
	if got, want := o.header("Cf-Client-Cert-Sha256"), fmt.Sprintf("%x", sha256.Sum256(block.Bytes)); got != want {
		t.Errorf("Cf-Client-Cert-Sha256 is %q, want %q", got, want)
	}

	m.ask(t, "PUT", "/settings", map[string]any{})
	becomes("nothing is forwarded any more", http.StatusOK, false)
	m.ask(t, "PUT", "/"+made.ID, map[string]any{"associated_hostnames": []string{}})
	becomes("a hostname without CA lets nobody in", http.StatusForbidden, false)
	m.ask(t, "DELETE", "/"+made.ID, nil)
	if got := strings.TrimSpace(string(m.ask(t, "GET", "", nil))); got != "[]" {
		t.Errorf("left is %s", got)
	}
	for _, action := range []string{"ca.add", "settings.update", "ca.update", "ca.remove"} {
		if out := mustRun(t, w.dir, w.certvigil, "audit", "list", "--json", "-c", s.config).stdout; !strings.Contains(out, `"`+action+`"`) {
			t.Errorf("the audit trail does not tell of %s: %s", action, out)
		}
	}
}
