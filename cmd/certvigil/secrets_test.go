package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
)

// A watchword is a secret that may stand nowhere, by what it is.
type watchwords map[string]string

// TestSecrets_StandNowhere drives every route of a daemon, its notifier and the
// command line with secrets that are known by heart, and looks for them in all
// that is written: answers, output, the log, the audit trail, metrics, notices.
func TestSecrets_StandNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.flags = []string{"--log-level", "debug"}
	echo, mail, hook := startEcho(t), started(t, startMail), started(t, startHTTP)
	ca := certtest.NewCA(certtest.CommonName("Partner CA"))
	client := ca.Issue(certtest.CommonName("device"), certtest.Client())
	key := strings.Split(string(ca.KeyPEM()), "\n")[1]
	secrets := watchwords{
		"the secret of a channel": "s1gning-s3cret-of-the-hook", "the path of a webhook": "T0PSECRETPATH", "the query of a webhook": "k3y-1n-the-query",
		"the path of a Slack webhook": "SL4CKPATH", "the secret of a destination": "d3stination-s3cret", "the path of a destination": "D3STPATH", "a private key": key,
	}
	s.configure("[notifier]\nallow_private_targets = true\nfallback = [\"mail\"]\n", strings.Replace(mailChannel("mail", mail.addr), "type = ", "default_transport = true\ntype = ", 1), fmt.Sprintf(`[[channel]]
name = "hook"
type = "webhook"
url = "http://%s/hooks/T0PSECRETPATH?key=k3y-1n-the-query"
secret = "s1gning-s3cret-of-the-hook"
[[channel]]
name = "slack"
type = "slack"
webhook_url = "http://%s/services/SL4CKPATH"
`, echo, echo), s.application("orders", guarded), alerting("hook", "slack", "mail"))
	s.command("ca", "add", "--name", "partner", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	p := s.start()
	api := newAPIClient(s, p)
	secrets["a token"] = api.token
	notices := mail.next(t).body
	links := regexp.MustCompile(`/(?:renew|handle)/([A-Za-z0-9_-]{20,})`).FindAllStringSubmatch(textOf(t, notices), -1)
	for i, found := range links {
		secrets[fmt.Sprintf("link %d", i)] = found[1]
	}
	if len(links) == 0 {
		t.Fatal("the mail has no link")
	}
	written := map[string]string{}
	api.made(http.MethodPost, "alerting/v3/destinations/webhooks", map[string]any{"name": "ops", "url": "http://" + hook.addr + "/D3STPATH", "secret": "d3stination-s3cret"})
	if got := hook.next(t); got.path != "/D3STPATH" || got.header.Get("cf-webhook-auth") != "d3stination-s3cret" {
		t.Errorf("the destination itself was asked as %+v", got)
	}
	maps.Copy(written, p.everyRoute(api.token, string(ca.KeyPEM())))
	secrets["a session"] = s.session(p, client)
	for _, args := range [][]string{
		{"ca", "add", s.write("key.pem", ca.KeyPEM())},
		{"cert", "add", s.path("key.pem")},
		{"crl", "add", s.path("key.pem")},
		{"channel", "test", "hook"},
		{"channel", "test", "slack"},
		{"channel", "list", "--json"},
		{"config", "check"},
		{"token", "list", "--json"},
		{"audit", "list", "--json", "--limit", "0"},
		{"audit", "list"},
		{"delivery", "list", "--json"},
		{"alert", "list", "--json"},
		{"ca", "list", "--json"},
		{"cert", "list", "--json"},
	} {
		out, _ := s.everything(args...) // what is refused is looked at too
		written[strings.Join(args[:2], " ")+" by the command line"] = out
	}
	p.terminate()
	files, err := filepath.Glob(s.path("certvigil*key"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the key file is one of %q, %v", files, err)
	}
	sealing, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	secrets["the key file"] = strings.TrimSpace(string(sealing))
	written["the log"] = p.log.text()
	secrets.in(t, written)
	for name := range secrets { // a notice must have its links
		if strings.HasPrefix(name, "link ") {
			delete(secrets, name)
		}
	}
	for more := true; more; {
		secrets.in(t, map[string]string{"a notice": notices, "its text": textOf(t, notices)})
		select {
		case p := <-mail.posts:
			notices = p.body
		default:
			more = false
		}
	}
}

func (words watchwords) in(t *testing.T, written map[string]string) {
	t.Helper()
	for where, text := range written {
		for what, word := range words {
			if what == "the path of a destination" && strings.HasPrefix(where, "GET /client/v4/accounts/{account_id}/alerting/v3/destinations/webhooks ") {
				continue // whoever may read the API is told it, as docs/api.md says; never the secret
			}
			if word == "" || strings.Contains(text, word) {
				t.Errorf("%s stands in %s:\n%.2000s", what, where, text)
			}
		}
	}
}

// session returns the token that a client gets for the application.
func (s *site) session(p *process, client *certtest.Certificate) string {
	s.t.Helper()
	answer, err := s.client(p, client, false, nil).Get("https://" + guarded + "/")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	for _, c := range answer.Cookies() {
		if c.Name == "CF_Authorization" {
			return c.Value
		}
	}
	s.t.Fatalf("no session: status %d", answer.StatusCode)
	return ""
}

// everyRoute asks each operation that the daemon describes, with a private key
// wherever something is taken, and returns the answers with their headers.
func (p *process) everyRoute(token, key string) map[string]string {
	p.t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	_, text := p.ask(http.MethodGet, "/openapi.json", token, "application/json", "")
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		p.t.Fatal(err)
	}
	quoted, _ := json.Marshal(key) // a text is always JSON
	bodies := map[string]string{
		"application/json":       fmt.Sprintf(`{"name":%[1]s,"certificate":%[1]s,"by":%[1]s,"url":%[1]s,"domain":%[1]s,"fingerprint":%[1]s,"hostname":%[1]s}`, quoted),
		"application/x-pem-file": key, "application/pkix-crl": key,
	}
	answers := map[string]string{}
	for path, item := range document.Paths {
		target := regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, "x")
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if item[strings.ToLower(method)] == nil {
				continue
			}
			for kind, body := range bodies {
				status, answer := p.ask(method, target, token, kind, body)
				answers[method+" "+path+" with "+kind] = answer
				if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable && status != http.StatusNotImplemented {
					p.t.Errorf("%s %s: %d", method, path, status)
				}
			}
		}
	}
	for _, needed := range []string{"GET /metrics", "POST /renewals", "GET /client/v4/accounts/{account_id}/alerting/v3/destinations/webhooks"} {
		if answers[needed+" with application/json"] == "" {
			p.t.Errorf("%s was not asked", needed)
		}
	}
	return answers
}

func (p *process) ask(method, target, token, kind, body string) (status int, answer string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+target, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", kind)
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	read, err := io.ReadAll(w.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasSuffix(target, "openapi.json") {
		return w.StatusCode, string(read)
	}
	return w.StatusCode, fmt.Sprint(w.Header) + "\n" + string(read)
}
