package alerting_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/fault"
)

// TestType holds each URL to the type that the reference derives from it; what
// would not take our messages is refused by its name.
func TestType(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://hooks.example.com/x":                            "generic",
		"http://hooks.example.com:8080/x?y=z":                    "generic",
		"https://hooks.slack.com/services/T/B/x":                 "slack",
		"https://HOOKS.slack.com./services/T/B/x":                "slack",
		"https://hooks.slack-gov.com/services/T/B/x":             "slack",
		"https://hooks.slack.com.example.com/services/T/B/x":     "generic",
		"https://api.datadoghq.com/api/v1/events":                `"datadog"`,
		"https://discord.com/api/webhooks/1/x":                   `"discord"`,
		"https://discord.com/developers":                         "generic",
		"https://discordapp.com/api/webhooks/1/x":                `"discord"`,
		"https://open.feishu.cn/open-apis/bot/v2/hook/x":         `"feishu"`,
		"https://chat.googleapis.com/v1/spaces/x/messages":       `"gchat"`,
		"https://api.opsgenie.com/v2/alerts":                     `"opsgenie"`,
		"https://splunk.example.com:8088/services/collector":     `"splunk"`,
		"https://prod-1.westeurope.logic.azure.com/workflows/x":  `"teams"`,
		"https://example.webhook.office.com/webhookb2/x":         `"teams"`,
		"https://events.pagerduty.com/v2/enqueue":                `"pagerduty"`,
		"https://user@hooks.example.com/":                        "user or a password",
		"https://hooks.example.com/#x":                           "absolute",
		"https:///x":                                             "absolute",
		"//hooks.example.com/":                                   "absolute",
		"https://hooks.example.com/" + strings.Repeat("x", 2048): "absolute",
		"https://hooks.example.com/%zz":                          "absolute",
		"javascript:alert(1)":                                    "absolute",
		"https://hooks.example.com\r\nX: y/":                     "absolute",
	} {
		got, err := alerting.TypeOf(alerting.Endpoint{URL: url})
		if err != nil {
			got = err.Error()
			if fault.Field(err) != "url" || fault.Hint(err) == "" || strings.Contains(got, "/x") {
				t.Errorf("%s: %v (field %q, hint %q)", url, err, fault.Field(err), fault.Hint(err))
			}
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s is %q, want %q", url, got, want)
		}
	}
}

func TestEndpoint_NeverPrintsItself(t *testing.T) {
	t.Parallel()
	d := alerting.Destination{Name: "ops", Endpoint: alerting.Endpoint{URL: "https://hooks.example.com/top", Secret: "secret-word"}}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "endpoint", d.Endpoint, "destination", d)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s", d, d, d, d.Endpoint), string(text), log.String()} {
		if strings.Contains(shown, "top") || strings.Contains(shown, "secret-word") {
			t.Errorf("shown as %s", shown)
		}
	}
}

// TestVersions holds that a change that keeps the time still makes another
// version of a policy.
func TestVersions(t *testing.T) {
	t.Parallel()
	p := alerting.Policy{ID: "1", Name: "a", Enabled: true, Mechanisms: alerting.Mechanisms{Email: []string{"x"}}, Filters: alerting.Filters{Labels: map[string]string{"a": "b", "c": "d"}}}
	seen := map[string]bool{p.Version(): true}
	for _, change := range []func(*alerting.Policy){
		func(p *alerting.Policy) { p.Name = "b" },
		func(p *alerting.Policy) { p.Enabled = false },
		func(p *alerting.Policy) { p.Mechanisms = alerting.Mechanisms{Webhooks: []string{"x"}} },
		func(p *alerting.Policy) { p.Filters.Labels = map[string]string{"a": "b"} },
		func(p *alerting.Policy) { p.Filters.Before = []time.Duration{1} },
		func(p *alerting.Policy) { p.UpdatedAt = time.UnixMilli(1) },
	} {
		next := p
		if change(&next); seen[next.Version()] {
			t.Errorf("%+v has a version that another one has", next)
		}
		seen[next.Version()] = true
	}
}
