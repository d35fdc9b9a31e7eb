package walkthrough_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A person looks at the gateway with a browser of their own: headless Chromium
// with a home, a profile and a store of certificates that nobody else has.
type person struct {
	workshop
	chromium, home string
	gateway        string // host:port
}

// newPerson trusts the walk-through's server CA and holds the certificates
// named, which are to be the names of files in the workshop.
func newPerson(t *testing.T, w workshop, gateway string, certificates ...string) person {
	t.Helper()
	chromium, openssl := find(t, "chromium", "chromium"), find(t, "openssl", "openssl")
	certutil, pk12util := find(t, "certutil", "libnss3-tools"), find(t, "pk12util", "libnss3-tools")
	p := person{workshop: w, chromium: chromium, home: t.TempDir(), gateway: gateway}
	store := filepath.Join(p.home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	db := "sql:" + store
	mustRun(t, w.dir, certutil, "-N", "-d", db, "--empty-password")
	mustRun(t, w.dir, certutil, "-A", "-d", db, "-n", "server CA", "-t", "C,,", "-i", "server-ca.pem")
	for _, name := range certificates {
		mustRun(t, w.dir, openssl, "pkcs12", "-export", "-in", name+".pem", "-inkey", name+"-key.pem", "-name", name,
			"-out", name+".p12", "-passout", "pass:")
		mustRun(t, w.dir, pk12util, "-i", name+".p12", "-d", db, "-W", "", "-K", "")
	}
	return p
}

// find returns the path of a program, and fails the test without it.
func find(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("the walk-through needs %s in the PATH; run scripts/setup, or install it (Debian: apt-get install %s), and run the test again",
			program, debian)
	}
	return path
}

// autoSelect sets, for one profile alone, the preference that the managed
// policy AutoSelectCertificateForUrls sets for a machine: without it Chromium
// would ask which certificate to send, and nobody would answer. The filter is
// empty: of the certificates that the gateway's hint leaves over, one is sent.
func (p person) autoSelect(t *testing.T, profile string) {
	t.Helper()
	preferences := map[string]any{"profile": map[string]any{
		"managed_auto_select_certificate_for_urls": []string{`{"pattern":"https://[*.]example.com","filter":{}}`},
	}}
	data, err := json.Marshal(preferences)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(profile, "Default")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Preferences"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// look opens a page in a new browser and returns its document. The screenshot
// goes to the folder $CERTVIGIL_SCREENSHOTS, or away with the test.
func (p person) look(t *testing.T, hostname, name string) string {
	t.Helper()
	profile, shots := t.TempDir(), os.Getenv("CERTVIGIL_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	p.autoSelect(t, profile)
	shot := filepath.Join(shots, name+"-"+path.Base(t.Name())+".png")
	_, port, err := net.SplitHostPort(p.gateway)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 90 * time.Second // a cold start on a loaded machine
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.chromium,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--user-data-dir="+profile, "--window-size=900,600",
		"--host-resolver-rules=MAP "+hostname+" 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--dump-dom", "--screenshot="+shot,
		"https://"+net.JoinHostPort(hostname, port)+"/")
	cmd.Env = append(os.Environ(), "HOME="+p.home, "XDG_CONFIG_HOME="+p.home, "XDG_CACHE_HOME="+p.home)
	// Chromium is a family of processes: all of them end with the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	document, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s\n%s", err, document, stderr.String())
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it may have left behind
	if info, err := os.Stat(shot); err != nil || info.Size() == 0 {
		t.Errorf("no screenshot: %v\n%s", err, stderr.String())
	}
	t.Logf("the screenshot: %s", shot)
	return string(document)
}

// TestBrowser: people come with a browser. It is asked for a certificate, it
// picks the one whose CA the gateway names, and whoever has none sees why not.
func TestBrowser(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	makeCertificates(t, w)
	o := newOrigin(t)
	s := newSite(t, w, o.URL, orders, partners, lonely)
	for hostname, file := range map[string]string{orders: "ca.pem", partners: "partner-chain.pem"} {
		mustRun(t, w.dir, w.certvigil, "ca", "add", "--name", hostname, "--hostname", hostname, file, "-c", s.config)
	}
	d := startDaemon(t, w.certvigil, s.config, s.admin)

	// The one that orders does not want was stored first, and the reverse.
	both, reverse := newPerson(t, w, s.gateway, "partner", "client"), newPerson(t, w, s.gateway, "client", "partner")
	t.Run("with the certificates of two CAs", func(t *testing.T) { both.admitted(t, o, orders, "client") })
	t.Run("with the certificates of two CAs, stored in reverse", func(t *testing.T) { reverse.admitted(t, o, orders, "client") })
	t.Run("with the certificates of two CAs, at the other's application", func(t *testing.T) { reverse.admitted(t, o, partners, "partner") })
	t.Run("without a certificate", func(t *testing.T) {
		newPerson(t, w, s.gateway).denied(t, d, orders, "no_certificate")
	})
	// Had it been offered, the reason would be that it leads to no CA of orders.
	t.Run("with a certificate of another CA alone", func(t *testing.T) {
		newPerson(t, w, s.gateway, "partner").denied(t, d, orders, "no_certificate")
	})
}

// admitted checks that the application's page is shown, and that the gateway
// has vouched for the very certificate that was expected.
func (p person) admitted(t *testing.T, o *origin, hostname, certificate string) {
	t.Helper()
	if document := p.look(t, hostname, "admitted"); !strings.Contains(document, "the application at "+hostname) {
		t.Fatalf("this is not the application's page:\n%s", document)
	}
	assertion, _ := o.assertion.Load().(string)
	if got, want := thumbprint(t, assertion), sum(t, p.path(certificate+".pem")); got != want {
		t.Errorf("the certificate with the SHA-256 %q was sent, want %s with %q", got, certificate, want)
	}
}

// denied checks that the gateway's page is shown, and that its request ID
// leads to the reason in the log.
func (p person) denied(t *testing.T, d *daemon, hostname, reason string) {
	t.Helper()
	document := p.look(t, hostname, "denied")
	if !strings.Contains(document, "<h1>Access is denied</h1>") || !strings.Contains(document, `<p class="status">403</p>`) {
		t.Fatalf("this is not the page for 403:\n%s", document)
	}
	id := regexp.MustCompile(`<dd><code>([0-9a-f]{32})</code></dd>`).FindStringSubmatch(document)
	if id == nil {
		t.Fatalf("no request ID on the page:\n%s", document)
	}
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, "request_id="+id[1]) {
			if !strings.Contains(line, "reason="+reason+" ") {
				t.Errorf("want the reason %s in %s", reason, line)
			}
			return
		}
	}
	t.Errorf("the request ID %s is not in the log", id[1])
}

// thumbprint returns the certificate's SHA-256 that a JWT is bound to
// (RFC 8705), without checking the signature.
func thumbprint(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"x5t#S256"`
		} `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Confirmation.Thumbprint
}

// sum returns the SHA-256 of a certificate as thumbprint does.
func sum(t *testing.T, file string) string {
	t.Helper()
	block, _ := pem.Decode(readFile(t, file))
	if block == nil {
		t.Fatalf("%s is not PEM", file)
	}
	digest := sha256.Sum256(block.Bytes)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
