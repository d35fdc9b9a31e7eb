package enforcer_test

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// spelled writes an answer out, with <id> and <time> for what always differs.
func spelled(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(a.Header[name], ", "))
	}
	fmt.Fprintf(&b, "\n%s", a.body)
	text := strings.ReplaceAll(b.String(), a.Header.Get("X-Request-Id"), "<id>")
	return strings.ReplaceAll(text, a.Header.Get("Date"), "<time>")
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestDeny_sameBytes: whoever is denied, for whatever reason, gets the same
// bytes but for the request id; the reason stands beside that id in the log.
func TestDeny_sameBytes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	g := newGuard(t)
	g.state.Applications[0].Policies = []enforcer.Policy{
		policy("no guests", enforcer.Block, named("Guest")), policy("staff", enforcer.Allow, named("James Royal")),
	}
	revoked := g.james()
	g.revoke(cert.Fingerprint(revoked.Leaf))
	for _, mode := range []struct{ name, accept string }{{"html", "text/html"}, {"json", "application/json"}} {
		for reason, client := range map[enforcer.Reason]*http.Client{
			enforcer.ReasonNoCertificate: g.client(nil),
			enforcer.ReasonUntrusted:     g.client(leaf(g.other, certtest.Client())),
			enforcer.ReasonExpired:       g.client(g.james(certtest.Validity(now.AddDate(0, 0, -2), now.AddDate(0, 0, -1)))),
			enforcer.ReasonRevoked:       g.client(revoked),
			enforcer.ReasonLeafIsCA:      g.client(leaf(g.ca, certtest.IsCA(true), certtest.Client())),
			enforcer.ReasonBlocked:       g.client(leaf(g.ca, certtest.CommonName("Guest"), certtest.Client())),
			enforcer.ReasonNoPolicy:      g.client(leaf(g.ca, certtest.CommonName("Somebody"), certtest.Client())),
		} {
			a := get(t, client, "https://"+orders+"/", "Accept", mode.accept)
			wantGolden(t, "deny."+mode.name+".golden", spelled(a))
			line := "request_id=" + a.Header.Get("X-Request-Id") + " application=orders reason=" + string(reason) + " "
			if !strings.Contains(g.log.String(), line) {
				t.Errorf("the log lacks %q", line)
			}
		}
	}
}

// parsed is an operator's page.
func parsed(text string) *template.Template {
	return template.Must(template.New("page").Parse(text))
}

func address(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestDeny_custom(t *testing.T) {
	t.Parallel()
	const (
		html, json, any = "text/html,*/*;q=0.8", "application/json", "*/*"
		words           = "Ask <b>Ann</b>\nin room 7"
		away            = "https://help.example.net/denied?from=gateway"
	)
	message, page := enforcer.Denial{Message: words}, enforcer.Denial{Page: parsed("<p>{{.Status}} {{.Title}} {{.RequestID}}{{.Message}}</p>")}
	broken := enforcer.Denial{Page: parsed("<p>half {{index .Title 99999}}"), Message: words}
	elsewhere := enforcer.Denial{URL: address(t, away), Message: words}
	for _, tt := range []struct {
		name         string
		deny         enforcer.Denial
		method, path string
		accept       string
		status       int
		has, lacks   string
		location     string
	}{
		{"message", message, "GET", "/", html, 403, "Ask &lt;b&gt;Ann&lt;/b&gt;\nin room 7", "<b>", ""},
		{"message for a program", message, "GET", "/", json, 403, `"message":"Ask \u003cb\u003eAnn`, "html>", ""},
		{"page", page, "GET", "/", html, 403, "<p>403 Access is denied ", "DOCTYPE", ""},
		{"page, nothing asked for", page, "GET", "/", any, 403, "<p>403 Access is denied ", "DOCTYPE", ""},
		{"page for a program", page, "GET", "/", json, 403, `"status":403`, "<p>", ""},
		{"page that fails", broken, "GET", "/", html, 403, "<h1>Access is denied</h1>", "half", ""},
		{"redirect", elsewhere, "GET", "/?next=https://evil.example", html, 302, "", "evil", away},
		{"redirect of HEAD", elsewhere, "HEAD", "/", html, 302, "", "x", away},
		{"redirect for a program", elsewhere, "GET", "/", json, 403, `"status":403`, "help.example", ""},
		{"redirect for whoever does not ask for HTML", elsewhere, "GET", "/", any, 403, "Ask &lt;b&gt;", "help.example", ""},
		{"redirect of a POST", elsewhere, "POST", "/", html, 403, "Ask &lt;b&gt;", "help.example", ""},
		{"not for another status", page, "GET", "/cdn-cgi/access/nothing", html, 404, "There is no such page", "<p>404", ""},
		{"no redirect for another status", elsewhere, "GET", "/cdn-cgi/access/nothing", html, 404, "There is no such page", "Ask", ""},
	} {
		for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Deny = tt.deny })
				req, err := http.NewRequest(tt.method, "https://"+orders+tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", tt.accept)
				a := do(t, g.client(nil, mode), req)
				wantStatus(t, a, tt.status)
				if !strings.Contains(a.body, tt.has) || strings.Contains(a.body, tt.lacks) {
					t.Errorf("body lacks %q or has %q:\n%s", tt.has, tt.lacks, a.body)
				}
				if got := a.Header.Get("Location"); got != tt.location {
					t.Errorf("Location %q, want %q", got, tt.location)
				}
				id := a.Header.Get("X-Request-Id")
				if len(id) != 32 || a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("header %v", a.Header)
				}
				if tt.status == 403 && tt.method != "HEAD" && !strings.Contains(a.body, id) {
					t.Errorf("the id %s is not in the answer:\n%s", id, a.body)
				}
				csp := a.Header.Get("Content-Security-Policy")
				if own := strings.HasPrefix(a.body, "<p>403"); strings.Contains(csp, "img-src data: https:;") != own || strings.Contains(csp, "script") || !strings.HasPrefix(csp, "default-src 'none'; ") {
					t.Errorf("policy %q", csp)
				}
				if failed := strings.Contains(g.log.String(), `msg="rendering a page failed"`); failed != (tt.name == "page that fails") {
					t.Errorf("log:\n%s", g.log)
				}
			})
		}
	}
}

// TestDeny_others: what an application says of its denials stays its own.
func TestDeny_others(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Deny = enforcer.Denial{Message: "Ask Ann"} })
	if a := get(t, g.client(nil), "https://"+admin+"/"); strings.Contains(a.body, "Ann") {
		t.Error("another application's page has the message")
	}
	if a := get(t, g.client(g.james()), "https://"+orders+"/", "Host", admin); a.StatusCode != 421 || strings.Contains(a.body, "Ann") {
		t.Errorf("misdirected: %d\n%s", a.StatusCode, a.body)
	}
}

// TestDeny_detail: the log tells of a certificate's fault only where that was
// the reason.
func TestDeny_detail(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Path = "/below" })
	stranger := g.client(leaf(g.other, certtest.Client()))
	for path, want := range map[string]bool{"/below": true, "/": false} {
		a := get(t, stranger, "https://"+orders+path)
		wantStatus(t, a, 403)
		if line := lineWith(g.log, a.Header.Get("X-Request-Id")); line == "" || strings.Contains(line, "detail=") != want {
			t.Errorf("%s: the log says %q", path, line)
		}
	}
}

// TestDeny_pendingBody has a denial reach clients that still have a body to
// send, without the origin seeing any of it.
func TestDeny_pendingBody(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for _, mode := range []struct {
		name   string
		change func(*http.Transport)
		expect string
	}{
		{"HTTP/1.1", func(*http.Transport) {}, ""},
		{"HTTP/1.1, 100-continue", func(tr *http.Transport) { tr.ExpectContinueTimeout = time.Minute }, "100-continue"},
		{"HTTP/2", http2, ""},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			client := g.client(nil, mode.change)
			for range 2 {
				// The pipe has no end of its own: only an answer ends this request.
				body, pen := io.Pipe()
				go func() {
					for {
						if _, err := pen.Write(bytes.Repeat([]byte("x"), 1<<14)); err != nil {
							return
						}
						time.Sleep(time.Millisecond)
					}
				}()
				req, err := http.NewRequest(http.MethodPost, "https://"+orders+"/upload", body)
				if err != nil {
					t.Fatal(err)
				}
				if mode.expect != "" {
					req.Header.Set("Expect", mode.expect)
				}
				a := do(t, client, req)
				_ = body.Close()
				wantStatus(t, a, 403)
				if !strings.Contains(a.body, a.Header.Get("X-Request-Id")) {
					t.Errorf("cut short:\n%s", a.body)
				}
			}
		})
	}
	t.Cleanup(func() {
		if len(g.seen) > 0 {
			t.Error("the origin saw a request")
		}
	})
}

func TestDeny_head(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
		req, err := http.NewRequest(http.MethodHead, "https://"+orders+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, g.client(nil, mode), req)
		wantStatus(t, a, 403)
		if a.body != "" || a.ContentLength <= 0 {
			t.Errorf("length %d, body %q", a.ContentLength, a.body)
		}
	}
}

func TestDeny_refused(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	sub := g.state.Applications[0]
	sub.Name, sub.Path = "help", "/help"
	for _, tt := range []struct{ name, url, want string }{
		{"relative", "/denied", "is not an http or https URL"},
		{"other scheme", "javascript:alert(1)", "is not an http or https URL"},
		{"no host", "https:///denied", "is not an http or https URL"},
		{"password", "https://a:b@help.example.net/", "has a user or a password"},
		{"itself", "https://" + orders + "/denied", "leads to the application itself"},
		{"itself, spelled otherwise", "https://ORDERS.example.com.:8443", "leads to the application itself"},
		{"another application", "https://" + admin + "/", ""},
		{"another application of that host", "https://" + orders + "/help/denied", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := g.state
			state.Applications = append(slices.Clone(g.state.Applications), sub)
			state.Applications[0].Deny.URL = address(t, tt.url)
			err := g.Apply(state)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "a:b") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
	both := g.state
	both.Applications = slices.Clone(g.state.Applications)
	both.Applications[0].Deny = enforcer.Denial{URL: address(t, "https://help.example.net/"), Page: parsed("x")}
	if err := g.Apply(both); err == nil || !strings.Contains(err.Error(), "both a page and a URL") {
		t.Errorf("error %v", err)
	}
}
