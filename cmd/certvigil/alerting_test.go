package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// An apiClient asks a daemon's reference-compatible API.
type apiClient struct {
	t     *testing.T
	base  string
	token string
}

func newAPIClient(s *site, p *process) apiClient {
	s.t.Helper()
	token := strings.TrimSpace(s.command("token", "create", "--name", "api", "--scope", "write"))
	return apiClient{s.t, "http://" + p.admin + "/client/v4/accounts/x/", token}
}

// ask returns the status, the id in the result if it has one, and the body.
func (c apiClient) ask(method, path string, body any) (status int, id, text string) {
	c.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(string(data)))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var made struct{ Result struct{ ID string } }
	_ = json.Unmarshal(read, &made) // a listing has no id
	return answer.StatusCode, made.Result.ID, string(read)
}

// made asks for a change that must be carried out.
func (c apiClient) made(method, path string, body any) (id string) {
	c.t.Helper()
	status, id, text := c.ask(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return id
}

func (c apiClient) destination(name, address, secret string) string {
	c.t.Helper()
	return c.made(http.MethodPost, "alerting/v3/destinations/webhooks", map[string]any{"name": name, "url": "http://" + address + "/" + name, "secret": secret})
}

func (c apiClient) policy(name string, mechanisms map[string]any) string {
	c.t.Helper()
	return c.made(http.MethodPost, "alerting/v3/policies", map[string]any{
		"name": name, "enabled": true, "alert_type": "access_custom_certificate_expiration_type", "mechanisms": mechanisms,
	})
}

func (c apiClient) upload(name string, days int) {
	c.t.Helper()
	now := time.Now()
	ca := certtest.NewCA(certtest.CommonName(name), certtest.Validity(now.Add(-alert.Day), now.Add(time.Duration(days)*alert.Day)))
	c.made(http.MethodPost, "access/certificates", map[string]any{"name": name, "certificate": string(ca.PEM()), "associated_hostnames": []string{"orders.example.com"}})
}

func ids(id string) []any { return []any{map[string]any{"id": id}} }

const privateTargets = "[notifier]\nallow_private_targets = true\n"

// TestAlerting follows a policy through its life: the destination takes the
// test message and then the alert, the policy at rest tells nothing, and all of
// it outlives the daemon.
func TestAlerting(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	hook, smtp := started(t, startHTTP), started(t, startMail)
	transport := strings.Replace(mailChannel("mail", smtp.addr), "type = ", "default_transport = true\ntype = ", 1)
	s.configure(privateTargets, transport, "[[alert]]\nname = \"deaf\"\nchannels = []\n")
	p := s.start()
	api := newAPIClient(s, p)

	destination := api.destination("ops", hook.addr, "s3cret")
	if got := hook.next(t); got.path != "/ops" || !strings.HasPrefix(got.body, `{"text":"Hello World! This is a test message sent from http`) || got.header.Get("cf-webhook-auth") != "s3cret" {
		t.Errorf("the test message: %+v", got)
	}
	policy := api.policy("ends soon", map[string]any{"webhooks": ids(destination), "email": ids("oncall@example.com")})
	api.upload("First CA", 13)
	var told struct {
		PolicyID   string `json:"policy_id"`
		PolicyName string `json:"policy_name"`
		Data       struct {
			Days      int `json:"days_til_expiration"`
			Hostnames string
		}
	}
	got := hook.next(t)
	if err := json.Unmarshal([]byte(got.body), &told); err != nil {
		t.Fatal(err)
	}
	if told.PolicyID != strings.ReplaceAll(policy, "-", "") || told.PolicyName != "ends soon" || told.Data.Days != 13 || told.Data.Hostnames != "orders.example.com" || got.header.Get("cf-webhook-auth") != "s3cret" {
		t.Errorf("the alert: %+v", got)
	}
	if mail := smtp.next(t); !strings.Contains(mail.body, "To: oncall@example.com") || !strings.Contains(mail.body, "First CA") {
		t.Errorf("the mail: %s", mail.body)
	}
	if list := s.command("channel", "list"); !strings.Contains(list, "ops") {
		t.Errorf("channel list:\n%s", list)
	}
	s.command("channel", "test", "ops")
	if got := hook.next(t); !strings.Contains(got.body, `the channel \"ops\" is configured properly`) {
		t.Errorf("channel test: %s", got.body)
	}

	api.made(http.MethodPut, "alerting/v3/policies/"+policy, map[string]any{"enabled": false})
	p.log.await(t, "applied alerting policies and destinations", "generation=4") // the destination, the policy, and now its change
	api.upload("Second CA", 13)
	if dry := s.command("scan", "--dry-run"); strings.Contains(dry, "Second CA") {
		t.Errorf("a policy at rest would tell:\n%s", dry)
	}
	p.terminate()

	// Another process scans by what is stored, and a new daemon goes by it.
	p = s.start()
	p.log.await(t, "msg=scanned")
	api.base = "http://" + p.admin + "/client/v4/accounts/x/"
	if len(hook.posts)+len(smtp.posts) > 0 {
		t.Errorf("a policy at rest told: %+v", hook.next(t))
	}
	api.made(http.MethodPut, "alerting/v3/policies/"+policy, map[string]any{"enabled": true})
	if got := hook.next(t); !strings.Contains(got.body, "Second CA") {
		t.Errorf("after the policy was woken: %s", got.body)
	}
	smtp.next(t)
	p.log.await(t, "delivery sent", "channel=mail")
	p.log.await(t, "delivery sent", "channel=ops")
	if status, _, history := api.ask(http.MethodGet, "alerting/v3/history", nil); status != http.StatusOK || strings.Count(history, `"policy_id": "`+policy+`"`) != 4 || !strings.Contains(history, "Second CA") {
		t.Errorf("history: %s", history)
	}
	for _, secret := range []string{"s3cret", api.token} {
		if strings.Contains(p.log.text(), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
	p.terminate()
}

// TestAlerting_DeletedDestination holds that nothing is sent to a destination
// that is gone, and that what waited for it is cancelled.
func TestAlerting_DeletedDestination(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	hook := started(t, startHTTP)
	s.configure(privateTargets)
	p := s.start()
	api := newAPIClient(s, p)
	destination := api.destination("ops", hook.addr, "")
	hook.next(t)
	api.policy("ends soon", map[string]any{"webhooks": ids(destination)})
	hook.answer(http.StatusForbidden)
	api.upload("CA", 13)
	hook.next(t)
	p.log.await(t, "channel failing", "channel=ops")
	api.made(http.MethodDelete, "alerting/v3/destinations/webhooks/"+destination, nil)
	deliveries := jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--json"))
	if len(deliveries) != 1 || deliveries[0].State != alert.StateCancelled {
		t.Errorf("%+v", deliveries)
	}
	p.log.await(t, "applied alerting policies and destinations", "generation=4")
	p.terminate()
	if len(hook.posts) > 0 {
		t.Errorf("sent after it was deleted: %+v", hook.next(t))
	}
}

// TestAlerting_Reload holds that a configuration which does not go together
// with what the API made is refused, at a reload and at a start, naming both.
func TestAlerting_Reload(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	hook, smtp := started(t, startHTTP), started(t, startMail)
	transport := strings.Replace(mailChannel("mail", smtp.addr), "type = ", "default_transport = true\ntype = ", 1)
	s.configure(privateTargets, transport, webhookChannel("declared", hook.addr))
	p := s.start()
	api := newAPIClient(s, p)
	destination := api.destination("ops", hook.addr, "")
	hook.next(t)
	_, _, listed := api.ask(http.MethodGet, "alerting/v3/destinations/webhooks", nil)
	declared := jsonOf[struct {
		Result []struct{ ID, Name, URL string }
	}](t, listed).Result
	if len(declared) != 2 || declared[0].Name != "declared" || declared[0].URL != "http://"+hook.addr {
		t.Fatalf("listed: %s", listed)
	}
	policy := api.policy("ends soon", map[string]any{"email": ids("oncall@example.com"), "webhooks": append(ids(destination), ids(declared[0].ID)...)})
	for name, tt := range map[string]struct {
		parts []string
		want  []string
	}{
		"a channel of that name": {[]string{privateTargets, transport, webhookChannel("declared", hook.addr), webhookChannel("ops", hook.addr)}, []string{`"ops"`, destination}},
		"a rule of that name":    {[]string{privateTargets, transport, webhookChannel("declared", hook.addr), "[[alert]]\nname = \"ends soon\"\n"}, []string{`"ends soon"`, policy}},
		"no transport":           {[]string{privateTargets, mailChannel("mail", smtp.addr), webhookChannel("declared", hook.addr)}, []string{`"ends soon"`, "default_transport"}},
		"a channel that is gone": {[]string{privateTargets, transport}, []string{`"ends soon"`, declared[0].ID}},
	} {
		s.configure(tt.parts...)
		out, err := s.try("scan", "--dry-run")
		if err == nil {
			t.Errorf("%s: a dry run takes it for good", name)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in:\n%s", name, want, out)
			}
		}
	}
	p.signal(syscall.SIGHUP)
	p.log.await(t, "reloading the configuration; the old one stays in force")
	p.terminate()
	if out, err := s.try("serve"); exitCode(err) != 1 || !strings.Contains(out, "error: ") {
		t.Errorf("a start by it: %s", out)
	}
}
