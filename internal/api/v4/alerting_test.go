package v4_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/inventory"
)

const (
	alerts   = "/client/v4/accounts/0123456789abcdef/alerting/v3"
	policies = alerts + "/policies"
	webhooks = alerts + "/destinations/webhooks"
	hookURL  = "https://hooks.example.com/certs?token=in-the-url"
	slackURL = "https://hooks.slack.com/services/T0001/B0001/slack-secret"
)

// policyBody is that of a new policy that tells somebody by a mechanism.
func policyBody(t testing.TB, mechanism, id string) string {
	t.Helper()
	return encode(t, "name", "ends soon", "enabled", true, "alert_type", alerting.AlertType,
		"mechanisms", map[string]any{mechanism: []any{map[string]string{"id": id}}})
}

// made returns the id of what was made.
func (r reply) made(t testing.TB) string {
	t.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal(r.result, &made); err != nil || !r.success || made.ID == "" {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return made.ID
}

// destination makes a destination that must be taken.
func (b *bench) destination(name, url string) string {
	b.t.Helper()
	return b.do(http.MethodPost, webhooks, encode(b.t, "name", name, "url", url, "secret", "")).made(b.t)
}

// declare has the configuration declare a rule, a channel of each type, and a
// server for addresses.
func (b *bench) declare() {
	b.declared = alerting.Declared{
		Policies:     []alerting.Policy{{ID: "11111111-1111-5111-8111-111111111111", Name: "default", Enabled: true, Declared: true, Mechanisms: alerting.Mechanisms{Email: []string{"boss@example.com"}}}},
		Destinations: []alerting.Destination{{ID: "22222222-2222-5222-8222-222222222222", Name: "hook", Type: "generic", Endpoint: alerting.Endpoint{URL: "https://declared.example.com"}, Declared: true}},
		PagerDuty:    []alerting.Destination{{ID: "33333333-3333-5333-8333-333333333333", Name: "pager", Type: "pagerduty", Declared: true}},
		Channels:     []string{"mail", "hook", "pager"}, Transport: "mail", PublicURL: b.declared.PublicURL,
	}
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.do(http.MethodPost, webhooks, encode(t, "name", "ops", "url", hookURL, "secret", "s3cret")).made(t)
	if want := "Hello World! This is a test message sent from https://vigil.example.com. If you can see this, your webhook is configured properly."; b.text != want {
		t.Errorf("the test message is %q", b.text)
	}
	one := webhooks + "/" + id
	want := `{"id":"` + id + `","name":"ops","type":"generic","url":"` + hookURL + `","created_at":"2026-03-01T12:00:00Z","last_success":"2026-03-01T12:00:00Z","last_failure":null}`
	read := b.do(http.MethodGet, one, "")
	if compact(read.result) != want || read.header.Get("ETag") == "" {
		t.Errorf("read %s", read.body)
	}
	if list := b.do(http.MethodGet, webhooks, ""); compact(list.result) != "["+want+"]" {
		t.Errorf("listed %s", list.body)
	}

	// What changes nothing about where it goes is not tried again, and keeps the
	// secret that nobody can read back.
	for _, body := range []string{`{"name":"renamed","url":"` + hookURL + `"}`, `{"name":"again","url":"` + hookURL + `","secret":""}`, `{"name":"again"}`} {
		if got := b.do(http.MethodPut, one, body).made(t); got != id {
			t.Errorf("updated %s", got)
		}
	}
	stored, err := b.store.OpenAlerting(t.Context())
	b.ok(err)
	if d := stored.Destinations[0]; d.Name != "again" || d.Endpoint.Secret != "s3cret" || len(b.tried) != 1 {
		t.Errorf("stored %+v, tried %d times", d, len(b.tried))
	}
	// With another URL the secret is not sent along: it might be to a thief.
	b.do(http.MethodPut, one, `{"url":"https://other.example.com/"}`).made(t)
	if d := b.tried[len(b.tried)-1]; len(b.tried) != 2 || d.Endpoint != (alerting.Endpoint{URL: "https://other.example.com/"}) {
		t.Errorf("tried with a secret that was not given again: %q", d.Endpoint.Secret)
	}
	// Another secret has to be taken.
	b.tryErr = errors.New("answered 401 Unauthorized")
	b.do(http.MethodPut, one, `{"secret":"wrong"}`).refused(t, 422, 12130, "/url", "answered 401")
	b.tryErr = nil
	b.do(http.MethodDelete, one, "").made(t)
	b.do(http.MethodGet, one, "").refused(t, 404, 12135, "-", "alerting.api.error.not_found")
	for _, secret := range []string{"s3cret", "in-the-url"} {
		audit, err := b.store.Audit(t.Context(), inventory.AuditFilter{})
		b.ok(err)
		if strings.Contains(fmt.Sprint(audit), secret) || strings.Contains(b.log.String(), secret) || strings.Contains(fmt.Sprintf("%+v", stored), secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

// TestDestinations_Slack holds that the secret of a Slack webhook is told to
// nobody, that a client may send back what it read, and that one given apart
// leaves the URL as it was given.
func TestDestinations_Slack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := webhooks + "/" + b.destination("slack", slackURL)
	shown := func() (d struct{ Type, URL string }) {
		t.Helper()
		b.ok(json.Unmarshal(b.do(http.MethodGet, one, "").result, &d))
		return d
	}
	if d := shown(); d.Type != "slack" || d.URL != "https://hooks.slack.com/services/T0001/B0001" {
		t.Errorf("shown %+v", d)
	}
	b.do(http.MethodPut, one, `{"name":"renamed","url":"https://hooks.slack.com/services/T0001/B0001"}`).made(t)
	if got := b.tried[0].Address(); got != slackURL || len(b.tried) != 1 {
		t.Errorf("%d were tried, the first at %q", len(b.tried), got)
	}
	b.do(http.MethodPut, one, `{"url":"https://hooks.slack.com/services/T0002/B0002","secret":"apart"}`).made(t)
	if got := b.tried[1].Address(); got != "https://hooks.slack.com/services/T0002/B0002/apart" {
		t.Errorf("tried at %q", got)
	}
	if d := shown(); d.URL != "https://hooks.slack.com/services/T0002/B0002" {
		t.Errorf("shown %+v", d)
	}
	b.do(http.MethodPut, one, `{"url":"`+slackURL+`","secret":"slack-secret"}`).made(t)
	if got := b.tried[2].Address(); got != slackURL || shown().URL != slackURL {
		t.Errorf("tried at %q, shown %+v", got, shown())
	}
}

func TestAlertPolicies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.declare()
	hook := b.destination("ops", hookURL)
	made := b.do(http.MethodPost, policies, encode(t, "name", "ends soon", "description", "of the payments team", "enabled", true, "alert_type", alerting.AlertType,
		"mechanisms", map[string]any{
			"email":     []any{map[string]string{"id": "On Call <oncall@example.com>"}, map[string]string{"id": "ONCALL@example.com"}},
			"webhooks":  []any{map[string]string{"id": hook}, map[string]string{"id": "22222222-2222-5222-8222-222222222222"}},
			"pagerduty": []any{map[string]string{"id": "33333333-3333-5333-8333-333333333333"}},
		},
		"filters", map[string][]string{"kinds": {"crl", "ca"}, "before": {"12h", "60d"}, "labels": {"team=payments"}, "zones": {}}))
	id := made.made(t)
	one := policies + "/" + id
	read := b.do(http.MethodGet, one, "")
	want := `{"id":"` + id + `","name":"endssoon","description":"ofthepaymentsteam","enabled":true,"alert_type":"access_custom_certificate_expiration_type","mechanisms":{` +
		`"email":[{"id":"oncall@example.com"}],"pagerduty":[{"id":"33333333-3333-5333-8333-333333333333","name":"pager"}],` +
		`"webhooks":[{"id":"` + hook + `","name":"ops"},{"id":"22222222-2222-5222-8222-222222222222","name":"hook"}]},` +
		`"filters":{"before":["60d","12h"],"kinds":["ca","crl"],"labels":["team=payments"]},"created":"2026-03-01T12:00:00Z","modified":"2026-03-01T12:00:00Z"}`
	if diff := cmp.Diff(want, compact(read.result)); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if read.header.Get("ETag") != made.header.Get("ETag") {
		t.Error("the ETag of what was made is not that of what is read")
	}

	// What is left out stays; null filters are none, as v0 says it.
	b.now = b.now.Add(time.Hour)
	b.do(http.MethodPut, one, `{"enabled":false}`).made(t)
	b.do(http.MethodPut, one, `{"id":"ignored","created":"0001-01-01T00:00:00Z","modified":"0001-01-01T00:00:00Z","conditions":null,"filters":null,"mechanisms":null,"alert_interval":""}`).made(t)
	want = strings.NewReplacer(`"enabled":true`, `"enabled":false`, `{"before":["60d","12h"],"kinds":["ca","crl"],"labels":["team=payments"]}`, `{}`,
		`"modified":"2026-03-01T12:00:00Z"`, `"modified":"2026-03-01T13:00:00.001Z"`).Replace(want)
	if diff := cmp.Diff(want, compact(b.do(http.MethodGet, one, "").result)); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}

	var list []struct{ Name string }
	b.ok(json.Unmarshal(b.do(http.MethodGet, policies, "").result, &list))
	if len(list) != 2 || list[0].Name != "default" || list[1].Name != "ends soon" {
		t.Errorf("listed %+v", list)
	}
	gone := b.do(http.MethodDelete, webhooks+"/"+hook, "")
	if len(gone.message) != 1 || !strings.Contains(gone.message[0].Message, `"ends soon" tells this destination no longer`) {
		t.Errorf("deleting its destination: %s", gone.body)
	}
	if read := b.do(http.MethodGet, one, ""); strings.Contains(read.body, hook) {
		t.Errorf("it still names the destination: %s", read.body)
	}
	b.do(http.MethodDelete, one, "").made(t)
	b.do(http.MethodGet, one, "").refused(t, 404, 12135, "-", "list them")
}

// TestDeletingADestination tells of policies that are left with nobody.
func TestDeletingADestination(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hook := b.destination("ops", hookURL)
	id := b.do(http.MethodPost, policies, policyBody(t, "webhooks", hook)).made(t)
	gone := b.do(http.MethodDelete, webhooks+"/"+hook, "")
	if len(gone.message) != 1 || !strings.Contains(gone.message[0].Message, "tells nobody any more") {
		t.Errorf("%s", gone.body)
	}
	if read := b.do(http.MethodGet, policies+"/"+id, ""); !strings.Contains(compact(read.result), `"mechanisms":{}`) {
		t.Errorf("%s", read.body)
	}
	b.do(http.MethodPut, policies+"/"+id, `{"description":"left alone"}`).made(t)
	b.do(http.MethodPut, policies+"/"+id, `{"enabled":true}`).refused(t, 400, 12130, "/mechanisms", "tell nobody")
	b.do(http.MethodPut, policies+"/"+id, `{"enabled":false}`).made(t)
}

func TestAlerting_Refusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.declare()
	hook := b.destination("ops", hookURL)
	policy := b.do(http.MethodPost, policies, policyBody(t, "webhooks", hook)).made(t)
	const post, put, del, bad, conflict, declared = http.MethodPost, http.MethodPut, http.MethodDelete, 12130, 12132, "declared in the configuration file"
	with := func(pairs ...any) string {
		fields := append([]any{"name", "new", "alert_type", alerting.AlertType, "mechanisms", map[string]any{"email": []any{map[string]string{"id": "a@example.com"}}}}, pairs...)
		return encode(t, fields...)
	}
	to := func(name, url string) string { return encode(t, "name", name, "url", url) }
	mechanisms := func(text string) string { return `{"mechanisms":` + text + `}` }
	tried := len(b.tried)
	for _, tt := range []struct {
		name, method, target, body string
		status, code               int
		pointer, message           string
	}{
		{"a destination without a name", post, webhooks, `{"url":"https://a.example.com"}`, 400, bad, "/name", "missing"},
		{"an empty name", post, webhooks, to("", "https://a.example.com"), 400, bad, "/name", "1 to 255 characters"},
		{"a name with a line break", post, webhooks, to("a\nb", "https://a.example.com"), 400, bad, "/name", "cannot be shown"},
		{"a name that is a number", post, webhooks, `{"name":1,"url":"https://a.example.com"}`, 400, bad, "/name", "not a string"},
		{"no URL", post, webhooks, `{"name":"x","url":null}`, 400, bad, "/url", "missing"},
		{"a URL that is none", post, webhooks, to("x", "hooks.example.com"), 400, bad, "/url", "absolute http or https URL"},
		{"another scheme", post, webhooks, to("x", "file:///etc/passwd"), 400, bad, "/url", "absolute http or https URL"},
		{"a very long URL", post, webhooks, to("x", "https://a.example.com/"+strings.Repeat("x", 2048)), 400, bad, "/url", "2048 characters"},
		{"a password in the URL", post, webhooks, to("x", "https://u:p4ss@a.example.com/"), 400, bad, "/url", "send the credential as secret"},
		{"a loopback target", post, webhooks, to("x", "http://127.0.0.1:1/"), 422, bad, "/url", "notifier.allow_private_targets"},
		{"a private target", post, webhooks, to("x", "https://10.1.2.3/"), 422, bad, "/url", "private"},
		{"a metadata service", post, webhooks, to("x", "http://169.254.169.254/latest"), 422, bad, "/url", "metadata"},
		{"a service whose body we do not speak", post, webhooks, to("x", "https://discord.com/api/webhooks/1/x"), 422, bad, "/url", `type "discord"`},
		{"Splunk", post, webhooks, to("x", "https://splunk.example.com:8088/services/collector/event"), 422, bad, "/url", `type "splunk"`},
		{"a secret that is no header", post, webhooks, encode(t, "name", "x", "url", "https://a.example.com", "secret", "a\r\nb"), 400, bad, "/secret", "one line"},
		{"a secret that is a list", post, webhooks, `{"name":"x","url":"https://a.example.com","secret":[]}`, 400, bad, "/secret", "not a string"},
		{"the name of a destination", post, webhooks, to("ops", "https://a.example.com"), 409, conflict, "/name", hook},
		{"the name of a declared channel", post, webhooks, to("mail", "https://a.example.com"), 409, conflict, "/name", "configuration file's channel"},
		{"the name of a declared channel, in an update", put, webhooks + "/" + hook, `{"name":"hook"}`, 409, conflict, "/name", "configuration file's channel"},
		{"a declared channel", put, webhooks + "/22222222-2222-5222-8222-222222222222", to("x", "https://a.example.com"), 409, conflict, "", declared},
		{"a declared channel, deleted", del, webhooks + "/22222222-2222-5222-8222-222222222222", "", 409, conflict, "", declared},
		{"no such destination", put, webhooks + "/nobody", to("x", "https://a.example.com"), 404, 12135, "-", "no destination"},
		{"no such destination, deleted", del, webhooks + "/nobody", "", 404, 12135, "-", "no destination"},

		{"a policy without a name", post, policies, with("name", nil), 400, bad, "/name", "missing"},
		{"a policy without a type", post, policies, with("alert_type", nil), 400, bad, "/alert_type", "missing"},
		{"another type", post, policies, with("alert_type", "universal_ssl_event_type"), 400, bad, "/alert_type", "use access_custom_certificate_expiration_type"},
		{"without mechanisms", post, policies, with("mechanisms", nil), 400, bad, "/mechanisms", "missing"},
		{"mechanisms of nobody", post, policies, with("mechanisms", map[string]any{"email": []any{}}), 400, bad, "/mechanisms", "tell nobody"},
		{"mechanisms that are a list", put, policies + "/" + policy, mechanisms(`[]`), 400, bad, "/mechanisms", "not an object"},
		{"an unknown mechanism", put, policies + "/" + policy, mechanisms(`{"pigeon":[]}`), 400, bad, "/mechanisms/pigeon", "not a mechanism"},
		{"an address that is none", put, policies + "/" + policy, mechanisms(`{"email":[{"id":"a@example.com"},{"id":"nobody"}]}`), 400, bad, "/mechanisms/email/1/id", "no e-mail address"},
		{"an address that is a text", put, policies + "/" + policy, mechanisms(`{"email":["a@example.com"]}`), 400, bad, "/mechanisms/email/0", "not an object"},
		{"a target without an id", put, policies + "/" + policy, mechanisms(`{"webhooks":[{"name":"ops"}]}`), 400, bad, "/mechanisms/webhooks/0/id", "missing"},
		{"an unknown destination", put, policies + "/" + policy, mechanisms(`{"webhooks":[{"id":"` + policy + `"}]}`), 400, bad, "/mechanisms/webhooks/0/id", "no destination"},
		{"a pager among the webhooks", put, policies + "/" + policy, mechanisms(`{"webhooks":[{"id":"33333333-3333-5333-8333-333333333333"}]}`), 400, bad, "/mechanisms/webhooks/0/id", "no destination"},
		{"too many", put, policies + "/" + policy, mechanisms(`{"email":[` + strings.Repeat(`{"id":"a@example.com"},`, 50) + `{"id":"b@example.com"}]}`), 400, bad, "/mechanisms/email", "at most 50"},
		{"an interval", post, policies, with("alert_interval", "30m"), 400, bad, "/alert_interval", "not supported"},
		{"conditions", post, policies, with("conditions", map[string]any{"a": 1}), 400, bad, "/conditions", "not supported"},
		{"enabled as a text", post, policies, with("enabled", "yes"), 400, bad, "/enabled", "true or false"},
		{"a filter of another product", post, policies, with("filters", map[string][]string{"zones": {"x"}}), 400, bad, "/filters/zones/0", "not supported"},
		{"filters that are a list", post, policies, with("filters", []string{}), 400, bad, "/filters", "not an object"},
		{"a filter that is a text", post, policies, with("filters", map[string]string{"kinds": "ca"}), 400, bad, "/filters/kinds", "not an array"},
		{"an unknown kind", post, policies, with("filters", map[string][]string{"kinds": {"ca", "pope"}}), 400, bad, "/filters/kinds/1", "no kind"},
		{"a threshold that is none", post, policies, with("filters", map[string][]string{"before": {"soon"}}), 400, bad, "/filters/before/0", "no span of time"},
		{"thresholds without end", post, policies, with("filters", map[string][]string{"before": slices.Repeat([]string{"1d"}, 21)}), 400, bad, "/filters/before", "at most 20"},
		{"a label without a value", post, policies, with("filters", map[string][]string{"labels": {"team"}}), 400, bad, "/filters/labels/0", "team=payments"},
		{"a description without end", post, policies, with("description", strings.Repeat("x", 2001)), 400, bad, "/description", "2000 characters"},
		{"the name of a policy", post, policies, with("name", "ends soon"), 409, conflict, "/name", policy},
		{"the name of a declared rule", post, policies, with("name", "default"), 409, conflict, "/name", "configuration file's alert rule"},
		{"a declared rule", put, policies + "/11111111-1111-5111-8111-111111111111", `{"enabled":false}`, 409, conflict, "", declared},
		{"a declared rule, deleted", del, policies + "/11111111-1111-5111-8111-111111111111", "", 409, conflict, "", declared},
		{"no such policy", put, policies + "/nobody", `{}`, 404, 12135, "-", "list them"},
		{"no such policy, deleted", del, policies + "/nobody", "", 404, 12135, "-", "list them"},
		{"half a body", post, policies, `{"name":`, 400, bad, "", "not JSON"},

		{"a pager to connect", post, alerts + "/destinations/pagerduty/connect", "", 422, bad, "", "[[channel]]"},
		{"a pager that was connected", http.MethodGet, alerts + "/destinations/pagerduty/connect/token", "", 422, bad, "", "[[channel]]"},
		{"pagers, deleted", del, alerts + "/destinations/pagerduty", "", 422, bad, "", "[[channel]]"},
		{"a history since some time", http.MethodGet, alerts + "/history?since=yesterday", "", 400, bad, "?since", "RFC 3339"},
		{"a page of no size", http.MethodGet, alerts + "/history?per_page=0", "", 400, bad, "?per_page", "from 1 on"},
		{"of a zone", http.MethodGet, strings.Replace(policies, "accounts", "zones", 1), "", 404, 7003, "-", "Could not route"},
		{"another method", del, policies, "", 405, 10405, "-", "use GET, HEAD, POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.state()
			b.do(tt.method, tt.target, tt.body).refused(t, tt.status, tt.code, tt.pointer, tt.message)
			if b.state() != before {
				t.Error("it changed something")
			}
		})
	}
	if len(b.tried) != tried {
		t.Errorf("a refused destination was sent something: %+v", b.tried)
	}
	b.declared.Transport = ""
	b.do(post, policies, with()).refused(t, 422, bad, "/mechanisms/email", "default_transport = true")
	if strings.Contains(b.log.String(), "p4ss") {
		t.Error("the log has a password")
	}
}

// TestDestination_Unreachable holds that what does not take the test message is
// not stored, whatever it answers.
func TestDestination_Unreachable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.tryErr = errors.New("answered 500 Internal Server Error: out of order")
	before := b.state()
	b.do(http.MethodPost, webhooks, encode(t, "name", "x", "url", hookURL)).refused(t, 422, 12130, "/url", "answered 500 Internal Server Error: out of order")
	// A name that leads into a private network is found out when it is dialled.
	b.tryErr = fmt.Errorf("dialling: %w", egress.Policy{}.Control("tcp", "10.0.0.1:443", nil))
	b.do(http.MethodPost, webhooks, encode(t, "name", "x", "url", hookURL)).refused(t, 422, 12130, "/url", "notifier.allow_private_targets")
	if b.state() != before {
		t.Error("something was stored")
	}
}

func TestAlerting_IfMatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hook := b.destination("ops", hookURL)
	policy := b.do(http.MethodPost, policies, policyBody(t, "webhooks", hook)).made(t)
	for one, change := range map[string]string{policies + "/" + policy: `{"description":"x"}`, webhooks + "/" + hook: `{"name":"other"}`} {
		tag := b.do(http.MethodGet, one, "").header.Get("ETag")
		if fresh := b.do(http.MethodPut, one, change, "If-Match: "+tag); fresh.status != 200 || fresh.header.Get("ETag") == tag {
			t.Errorf("%d %s", fresh.status, fresh.body)
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			b.do(method, one, change, "If-Match: "+tag).refused(t, 412, 12132, "-", "If-Match")
		}
		if r := b.do(http.MethodDelete, one, "", "If-Match: "+b.do(http.MethodGet, one, "").header.Get("ETag")); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

func TestAlerting_WhatThereIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	eligible := func() string { return compact(b.do(http.MethodGet, alerts+"/destinations/eligible", "").result) }
	if got, want := eligible(), `{"email":[{"eligible":true,"ready":false,"type":"email"}],"pagerduty":[{"eligible":false,"ready":false,"type":"pagerduty"}],"webhooks":[{"eligible":true,"ready":true,"type":"webhook"}]}`; got != want {
		t.Errorf("eligible: %s", got)
	}
	b.declare()
	if got := eligible(); strings.Contains(got, "false") {
		t.Errorf("eligible, with a server and a pager: %s", got)
	}
	if got := compact(b.do(http.MethodGet, alerts+"/destinations/pagerduty", "").result); got != `[{"id":"33333333-3333-5333-8333-333333333333","name":"pager"}]` {
		t.Errorf("pagers: %s", got)
	}
	if got := compact(b.do(http.MethodGet, webhooks, "").result); got != `[{"id":"22222222-2222-5222-8222-222222222222","name":"hook","type":"generic","url":"https://declared.example.com","created_at":null,"last_success":null,"last_failure":null}]` {
		t.Errorf("declared: %s", got)
	}
	var products map[string][]struct {
		DisplayName, Type, Description string
		FilterOptions                  []struct{ Key string } `json:"filter_options"`
	}
	b.ok(json.Unmarshal(b.do(http.MethodGet, alerts+"/available_alerts", "").result, &products))
	if a := products["SSL/TLS"]; len(a) != 1 || a[0].Type != alerting.AlertType || len(a[0].FilterOptions) != 3 {
		t.Errorf("available: %+v", products)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.declare()
	b.destination("ops", hookURL)
	policy := b.do(http.MethodPost, policies, policyBody(t, "email", "oncall@example.com")).made(t)
	// Two messages by the policy, one by a rule that is gone; and one that was
	// not sent.
	for i, d := range []struct{ rule, channel, recipient string }{{"ends soon", "mail", "oncall@example.com"}, {"ends soon", "ops", "ops"}, {"gone", "pager", "pager"}, {"gone", "mail", "dead@example.com"}} {
		b.send(d.rule, d.channel, d.recipient, i < 3)
		b.now = b.now.Add(time.Minute)
	}
	type record struct {
		PolicyID string `json:"policy_id"`
		Name     string `json:"name"`
		Type     string `json:"alert_type"`
		Body     string `json:"alert_body"`
		To       string `json:"mechanism"`
		By       string `json:"mechanism_type"`
		Sent     time.Time
	}
	read := func(query string) (list []record, r reply) {
		t.Helper()
		r = b.do(http.MethodGet, alerts+"/history"+query, "")
		b.ok(json.Unmarshal(r.result, &list))
		return list, r
	}
	got, r := read("")
	want := []record{
		{"", "gone", alerting.AlertType, "1 of 1", "pager", "pagerduty", start.Add(2 * time.Minute)},
		{policy, "ends soon", alerting.AlertType, "1 of 1", "ops", "webhook", start.Add(time.Minute)},
		{policy, "ends soon", alerting.AlertType, "1 of 1", "oncall@example.com", "email", start},
	}
	if diff := cmp.Diff(want, got); diff != "" || r.info == nil || r.info.TotalCount != 3 || r.info.TotalPages != 1 {
		t.Errorf("%+v (-want +got):\n%s", r.info, diff)
	}
	for query, n := range map[string]int{
		"?per_page=2": 2, "?per_page=2&page=2": 1, "?page=2": 0, "?page=9223372036854775807&per_page=1000": 0,
		"?since=2026-03-01T12:00:00Z": 2, "?before=2026-03-01T12:01:00Z": 1, "?since=2026-03-01T12:00:30Z&before=2026-03-01T12:01:30Z": 1,
	} {
		if list, r := read(query); len(list) != n || r.info.Count != n {
			t.Errorf("%s: %s", query, r.body)
		}
	}
	// Under another name the policy keeps its history.
	b.do(http.MethodPut, policies+"/"+policy, `{"name":"renamed"}`).made(t)
	if got, _ := read(""); got[1].PolicyID != policy || got[1].Name != "renamed" || got[1].To != "ops" {
		t.Errorf("after renaming: %+v", got)
	}
}

// send queues a message about a client of its own, and settles it.
func (b *bench) send(rule, channel, recipient string, sent bool) {
	b.t.Helper()
	leaf := newCA("Issuer", 400).Issue(certtest.CommonName("device"), certtest.Client(), certtest.Validity(start.Add(-day), start.Add(10*day)))
	if _, _, err := b.service.AddCertificate(b.t.Context(), alert.KindClient, inventory.Upload{Data: leaf.PEM()}); err != nil {
		b.t.Fatal(err)
	}
	b.ok(b.store.Scan(b.t.Context(), b.now, func(candidates []alert.Candidate) alert.Plan {
		plan := alert.Plan{Next: map[string]time.Time{}}
		for _, c := range candidates {
			a := alert.Alert{ID: alert.ID(c.Item.ID, 1, rule, 0, alert.EventExpiring), Subject: c.Item.ID, ItemID: c.Item.ID, Epoch: 1, Rule: rule, Event: alert.EventExpiring, CreatedAt: b.now}
			plan.Alerts = append(plan.Alerts, a)
			plan.Deliveries = append(plan.Deliveries, alert.NewDelivery(channel, recipient, rule, []string{a.ID}, b.now))
			plan.Next[c.Item.ID] = time.Time{}
		}
		return plan
	}))
	jobs, err := b.store.Claim(b.t.Context(), "me", channel, b.now, b.now.Add(time.Hour), 10)
	b.ok(err)
	i := slices.IndexFunc(jobs, func(j alert.Job) bool { return j.Delivery.Recipient == recipient })
	state := alert.StateDead
	if sent {
		state = alert.StateSent
	}
	b.ok(b.store.Settle(b.t.Context(), "me", jobs[i].Delivery.ID, alert.Outcome{State: state, At: b.now}))
}
