package clients_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v0 "github.com/cloudflare/cloudflare-go"
	"github.com/cloudflare/cloudflare-go/v6"
	"github.com/cloudflare/cloudflare-go/v6/alerting"
	"github.com/cloudflare/cloudflare-go/v6/zero_trust"
)

const (
	alertType = "access_custom_certificate_expiration_type"
	patience  = 20 * time.Second
	// declared is what the configuration of these tests declares.
	declared = `[notifier]
allow_private_targets = true
[[channel]]
name = "mail"
type = "email"
smtp = "127.0.0.1:1"
tls = "none"
from = "certvigil@example.com"
to = ["boss@example.com"]
default_transport = true
[[alert]]
name = "declared"
channels = ["mail"]
before = ["1d"]
`
)

// A hook is where a destination's messages go.
type hook struct {
	*httptest.Server
	got chan hooked
}

type hooked struct {
	secret string
	Text   string
	ID     string `json:"policy_id"`
	Name   string `json:"policy_name"`
	Type   string `json:"alert_type"`
	Data   struct {
		Days      int `json:"days_til_expiration"`
		Hostnames string
	}
}

func newHook(t *testing.T) hook {
	t.Helper()
	h := hook{got: make(chan hooked, 10)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		m := hooked{secret: r.Header.Get("cf-webhook-auth")}
		if err := errors.Join(err, json.Unmarshal(body, &m)); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		h.got <- m
	}))
	t.Cleanup(h.Close)
	return h
}

func (h hook) next(t *testing.T) hooked {
	t.Helper()
	select {
	case m := <-h.got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		return hooked{}
	}
}

// tested checks that the destination took the test message.
func (h hook) tested(t *testing.T, g gateway) {
	t.Helper()
	want := "Hello World! This is a test message sent from " + strings.TrimSuffix(g.api, "/client/v4") + ". If you can see this, your webhook is configured properly."
	if m := h.next(t); m.Text != want || m.secret != "s3cret" || m.Type != "" {
		t.Errorf("the test message is %+v", m)
	}
}

// told checks that the destination was told of a CA that ends in 13 days.
func (h hook) told(t *testing.T, policyID, name string) {
	t.Helper()
	m := h.next(t)
	if m.ID != strings.ReplaceAll(policyID, "-", "") || m.Name != name || m.Type != alertType || m.Data.Days != 13 || m.Data.Hostnames != "a.example.com" || m.secret != "s3cret" {
		t.Errorf("told %+v", m)
	}
}

// until tries until it succeeds or time is up.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if try() {
			return
		}
	}
	t.Fatal(what)
}

// TestV0_Alerting makes a destination and a policy, is told, puts the policy to
// rest and takes all of it away, by the older client.
func TestV0_Alerting(t *testing.T) {
	t.Parallel()
	g, h := newGateway(t, declared), newHook(t)
	ctx, api := t.Context(), v0Client(t, g, g.write)
	made, err := api.CreateNotificationWebhooks(ctx, account, &v0.NotificationUpsertWebhooks{Name: "ops", URL: h.URL + "/certs", Secret: "s3cret"})
	if err != nil || made.Result.ID == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	h.tested(t, g)
	hookID := made.Result.ID
	read, err := api.GetNotificationWebhooks(ctx, account, hookID)
	if d := read.Result; err != nil || d.ID != hookID || d.Name != "ops" || d.URL != h.URL+"/certs" || d.Type != "generic" || d.CreatedAt.IsZero() || d.LastSuccess == nil || d.LastFailure != nil {
		t.Errorf("read %+v, %v", d, err)
	}
	if _, err := api.UpdateNotificationWebhooks(ctx, account, hookID, &v0.NotificationUpsertWebhooks{Name: "renamed", URL: h.URL + "/certs"}); err != nil {
		t.Error(err)
	}
	if list, err := api.ListNotificationWebhooks(ctx, account); err != nil || len(list.Result) != 1 || list.Result[0].Name != "renamed" {
		t.Errorf("listed %+v, %v", list.Result, err)
	}

	policy := v0.NotificationPolicy{
		Name: "ends soon", Description: "by v0", Enabled: true, AlertType: alertType,
		Mechanisms: map[string]v0.NotificationMechanismIntegrations{"webhooks": {{ID: hookID}}, "email": {{ID: "oncall@example.com", Name: "ignored"}}},
	}
	saved, err := api.CreateNotificationPolicy(ctx, account, policy)
	if err != nil || saved.Result.ID == "" {
		t.Fatalf("%+v, %v", saved, err)
	}
	stored, err := api.GetNotificationPolicy(ctx, account, saved.Result.ID)
	if p := stored.Result; err != nil || p.Name != "ends soon" || p.Description != "by v0" || !p.Enabled || p.AlertType != alertType || p.Created.IsZero() || p.Modified.IsZero() ||
		len(p.Mechanisms["webhooks"]) != 1 || p.Mechanisms["webhooks"][0].Name != "renamed" || len(p.Mechanisms["email"]) != 1 || p.Mechanisms["email"][0].ID != "oncall@example.com" {
		t.Errorf("read %+v, %v", p, err)
	}
	if list, err := api.ListNotificationPolicies(ctx, account); err != nil || len(list.Result) != 2 || list.Result[0].Name != "declared" || list.Result[1].ID != saved.Result.ID {
		t.Errorf("listed %+v, %v", list.Result, err)
	}

	if _, err := api.CreateAccessMutualTLSCertificate(ctx, v0Scopes["account"], v0.CreateAccessMutualTLSCertificateParams{Name: "ca", Certificate: newCA(t, "Root", 13).pem, AssociatedHostnames: []string{"a.example.com"}}); err != nil {
		t.Fatal(err)
	}
	h.told(t, saved.Result.ID, "ends soon")
	until(t, "the history does not tell of it", func() bool {
		history, info, err := api.ListNotificationHistory(ctx, account, v0.AlertHistoryFilter{TimeRange: v0.TimeRange{Since: "2020-01-01T00:00:00Z"}, PaginationOptions: v0.PaginationOptions{Page: 1, PerPage: 10}})
		return err == nil && len(history) == 1 && info.Total == 1 && history[0].Name == "ends soon" && history[0].Description == "by v0" && history[0].AlertType == alertType &&
			history[0].Mechanism == "renamed" && history[0].MechanismType == "webhook" && strings.Contains(history[0].AlertBody, "Root") && !history[0].Sent.IsZero()
	})

	rest := stored.Result
	rest.Enabled, rest.Filters = false, map[string][]string{"kinds": {"ca"}, "before": {"60d"}}
	if _, err := api.UpdateNotificationPolicy(ctx, account, &rest); err != nil {
		t.Error(err)
	}
	if got, err := api.GetNotificationPolicy(ctx, account, rest.ID); err != nil || got.Result.Enabled || got.Result.Filters["before"][0] != "60d" || len(got.Result.Mechanisms["webhooks"]) != 1 {
		t.Errorf("at rest %+v, %v", got.Result, err)
	}
	if gone, err := api.DeleteNotificationWebhooks(ctx, account, hookID); err != nil || gone.Result.ID != hookID {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	if got, err := api.GetNotificationPolicy(ctx, account, rest.ID); err != nil || len(got.Result.Mechanisms["webhooks"]) != 0 {
		t.Errorf("without its destination %+v, %v", got.Result, err)
	}
	if gone, err := api.DeleteNotificationPolicy(ctx, account, rest.ID); err != nil || gone.Result.ID != rest.ID {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	_, err = api.GetNotificationPolicy(ctx, account, rest.ID)
	if missing, ok := errors.AsType[*v0.NotFoundError](err); !ok || !missing.InternalErrorCodeIs(12135) {
		t.Errorf("reading it after that: %T %v", err, err)
	}
}

func TestV0_AlertingRefusals(t *testing.T) {
	t.Parallel()
	g, h := newGateway(t, declared), newHook(t)
	ctx, api := t.Context(), v0Client(t, g, g.write)
	types, err := api.GetAvailableNotificationTypes(ctx, account)
	if a := types.Result["SSL/TLS"]; err != nil || len(a) != 1 || a[0].Type != alertType || a[0].DisplayName == "" || a[0].Description == "" {
		t.Errorf("available: %+v, %v", types.Result, err)
	}
	h.Close()
	_, err = api.CreateNotificationWebhooks(ctx, account, &v0.NotificationUpsertWebhooks{Name: "ops", URL: h.URL, Secret: "s3cret"})
	if refused, ok := errors.AsType[*v0.RequestError](err); !ok || !refused.InternalErrorCodeIs(12130) || !strings.Contains(err.Error(), "did not take the test message") {
		t.Errorf("a destination that is not there: %T %v", err, err)
	}
	_, err = api.CreateNotificationPolicy(ctx, account, v0.NotificationPolicy{Name: "x", AlertType: "universal_ssl_event_type", Mechanisms: map[string]v0.NotificationMechanismIntegrations{"email": {{ID: "a@example.com"}}}})
	if refused, ok := errors.AsType[*v0.RequestError](err); !ok || !refused.InternalErrorCodeIs(12130) || !strings.Contains(err.Error(), "universal_ssl_event_type") {
		t.Errorf("another type: %T %v", err, err)
	}
	_, err = v0Client(t, g, g.read).DeleteNotificationPolicy(ctx, account, "x")
	if forbidden, ok := errors.AsType[*v0.AuthenticationError](err); !ok || !forbidden.InternalErrorCodeIs(9109) {
		t.Errorf("a read token: %T %v", err, err)
	}
	// The two calls of this client that cannot work: it reads another shape than
	// the newer one, which is served.
	if _, err := api.GetEligibleNotificationDestinations(ctx, account); err == nil {
		t.Error("the eligible destinations have the older shape: docs/api.md says otherwise")
	}
	if _, err := api.ListPagerDutyNotificationDestinations(ctx, account); err == nil {
		t.Error("the pagers have the older shape: docs/api.md says otherwise")
	}
}

// TestV6_Alerting is TestV0_Alerting by the newer client.
func TestV6_Alerting(t *testing.T) {
	t.Parallel()
	g, h := newGateway(t, declared), newHook(t)
	ctx, client, id := t.Context(), v6Client(g, g.write), cloudflare.F(account)
	webhooks, policies := client.Alerting.Destinations.Webhooks, client.Alerting.Policies
	made, err := webhooks.New(ctx, alerting.DestinationWebhookNewParams{AccountID: id, Name: cloudflare.F("ops"), URL: cloudflare.F(h.URL + "/certs"), Secret: cloudflare.F("s3cret")})
	if err != nil || made.ID == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	h.tested(t, g)
	read, err := webhooks.Get(ctx, made.ID, alerting.DestinationWebhookGetParams{AccountID: id})
	if err != nil || read.ID != made.ID || read.Name != "ops" || read.URL != h.URL+"/certs" || read.Type != alerting.WebhooksTypeGeneric || read.LastSuccess.IsZero() || !read.LastFailure.IsZero() {
		t.Errorf("read %+v, %v", read, err)
	}
	if same, err := webhooks.Update(ctx, made.ID, alerting.DestinationWebhookUpdateParams{AccountID: id, Name: cloudflare.F("renamed"), URL: cloudflare.F(read.URL)}); err != nil || same.ID != made.ID {
		t.Errorf("updated %+v, %v", same, err)
	}
	names := []string{}
	pager := webhooks.ListAutoPaging(ctx, alerting.DestinationWebhookListParams{AccountID: id})
	for pager.Next() {
		names = append(names, pager.Current().Name)
	}
	if pager.Err() != nil || len(names) != 1 || names[0] != "renamed" {
		t.Errorf("listed %v, %v", names, pager.Err())
	}

	saved, err := policies.New(ctx, alerting.PolicyNewParams{
		AccountID: id, Name: cloudflare.F("ends soon"), Description: cloudflare.F("by v6"), Enabled: cloudflare.F(true), AlertType: cloudflare.F(alerting.PolicyNewParamsAlertType(alertType)),
		Mechanisms: cloudflare.F(alerting.MechanismParam{
			Webhooks: cloudflare.F([]alerting.MechanismWebhookParam{{ID: cloudflare.F(made.ID)}}), Email: cloudflare.F([]alerting.MechanismEmailParam{{ID: cloudflare.F("oncall@example.com")}}),
		}),
	})
	if err != nil || saved.ID == "" {
		t.Fatalf("%+v, %v", saved, err)
	}
	stored := func() *alerting.Policy {
		t.Helper()
		p, err := policies.Get(ctx, saved.ID, alerting.PolicyGetParams{AccountID: id})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := stored(); p.Name != "ends soon" || p.Description != "by v6" || !p.Enabled || p.AlertType != alerting.PolicyAlertTypeAccessCustomCertificateExpirationType || p.Created.IsZero() ||
		len(p.Mechanisms.Webhooks) != 1 || p.Mechanisms.Webhooks[0].ID != made.ID || len(p.Mechanisms.Email) != 1 || p.Mechanisms.Email[0].ID != "oncall@example.com" {
		t.Errorf("read %+v", p)
	}
	var listed []alerting.Policy
	all := policies.ListAutoPaging(ctx, alerting.PolicyListParams{AccountID: id})
	for all.Next() {
		listed = append(listed, all.Current())
	}
	if all.Err() != nil || len(listed) != 2 || listed[0].Name != "declared" || listed[1].ID != saved.ID {
		t.Errorf("listed %+v, %v", listed, all.Err())
	}

	if _, err := client.ZeroTrust.Access.Certificates.New(ctx, zero_trust.AccessCertificateNewParams{
		AccountID: id, Name: cloudflare.F("ca"), Certificate: cloudflare.F(newCA(t, "Root", 13).pem), AssociatedHostnames: cloudflare.F([]string{"a.example.com"}),
	}); err != nil {
		t.Fatal(err)
	}
	h.told(t, saved.ID, "ends soon")
	until(t, "the history does not tell of it", func() bool {
		var records []alerting.History
		pager := client.Alerting.History.ListAutoPaging(ctx, alerting.HistoryListParams{AccountID: id, PerPage: cloudflare.F(1.0), Since: cloudflare.F(time.Now().Add(-time.Hour))})
		for pager.Next() {
			records = append(records, pager.Current())
		}
		return pager.Err() == nil && len(records) == 1 && records[0].PolicyID == saved.ID && records[0].Mechanism == "renamed" && records[0].MechanismType == alerting.HistoryMechanismTypeWebhook &&
			records[0].AlertType == alertType && strings.Contains(records[0].AlertBody, "Root")
	})

	// What this client does not send stays as it is.
	if rest, err := policies.Update(ctx, saved.ID, alerting.PolicyUpdateParams{AccountID: id, Enabled: cloudflare.F(false)}); err != nil || rest.ID != saved.ID {
		t.Errorf("updated %+v, %v", rest, err)
	}
	if p := stored(); p.Enabled || p.Name != "ends soon" || len(p.Mechanisms.Webhooks) != 1 {
		t.Errorf("at rest %+v", p)
	}
	if gone, err := webhooks.Delete(ctx, made.ID, alerting.DestinationWebhookDeleteParams{AccountID: id}); err != nil || !bool(gone.Success) {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	if p := stored(); len(p.Mechanisms.Webhooks) != 0 || len(p.Mechanisms.Email) != 1 {
		t.Errorf("without its destination %+v", p)
	}
	if gone, err := policies.Delete(ctx, saved.ID, alerting.PolicyDeleteParams{AccountID: id}); err != nil || !bool(gone.Success) {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	_, err = policies.Get(ctx, saved.ID, alerting.PolicyGetParams{AccountID: id})
	if status, code := v6Code(err); status != http.StatusNotFound || code != 12135 {
		t.Errorf("reading it after that: %v", err)
	}
}

func TestV6_AlertingRefusals(t *testing.T) {
	t.Parallel()
	g, h := newGateway(t, declared), newHook(t)
	ctx, client, id := t.Context(), v6Client(g, g.write), cloudflare.F(account)
	eligible, err := client.Alerting.Destinations.Eligible.Get(ctx, alerting.DestinationEligibleGetParams{AccountID: id})
	if e := *eligible; err != nil || len(e["email"]) != 1 || !e["email"][0].Ready || e["email"][0].Type != alerting.DestinationEligibleGetResponseItemTypeEmail || e["webhooks"][0].Type != alerting.DestinationEligibleGetResponseItemTypeWebhook || e["pagerduty"][0].Eligible {
		t.Errorf("eligible: %+v, %v", eligible, err)
	}
	available, err := client.Alerting.AvailableAlerts.List(ctx, alerting.AvailableAlertListParams{AccountID: id})
	if a := (*available)["SSL/TLS"]; err != nil || len(a) != 1 || a[0].Type != alertType || len(a[0].FilterOptions) != 3 {
		t.Errorf("available: %+v, %v", available, err)
	}
	if pagers, err := client.Alerting.Destinations.Pagerduty.Get(ctx, alerting.DestinationPagerdutyGetParams{AccountID: id}); err != nil || len(pagers.Result) != 0 {
		t.Errorf("pagers: %+v, %v", pagers, err)
	}
	h.Close()
	policy := func(name, kind, address string) error {
		_, err := client.Alerting.Policies.New(ctx, alerting.PolicyNewParams{
			AccountID: id, Name: cloudflare.F(name), Enabled: cloudflare.F(true), AlertType: cloudflare.F(alerting.PolicyNewParamsAlertType(kind)),
			Mechanisms: cloudflare.F(alerting.MechanismParam{Email: cloudflare.F([]alerting.MechanismEmailParam{{ID: cloudflare.F(address)}})}),
		})
		return err
	}
	destination := func(name, url string) error {
		_, err := client.Alerting.Destinations.Webhooks.New(ctx, alerting.DestinationWebhookNewParams{AccountID: id, Name: cloudflare.F(name), URL: cloudflare.F(url)})
		return err
	}
	_, connect := client.Alerting.Destinations.Pagerduty.New(ctx, alerting.DestinationPagerdutyNewParams{AccountID: id})
	for name, tt := range map[string]struct {
		err     error
		status  int
		code    int64
		pointer string
	}{
		"a destination that is not there": {destination("ops", h.URL), 422, 12130, "/url"},
		"a metadata service":              {destination("ops", "http://169.254.169.254/"), 422, 12130, "/url"},
		"the name of a channel":           {destination("mail", "https://hooks.example.com/"), 409, 12132, "/name"},
		"the name of a rule":              {policy("declared", alertType, "a@example.com"), 409, 12132, "/name"},
		"another type":                    {policy("x", "universal_ssl_event_type", "a@example.com"), 400, 12130, "/alert_type"},
		"no address":                      {policy("x", alertType, "nobody"), 400, 12130, "/mechanisms/email/0/id"},
		"a pager":                         {connect, 422, 12130, ""},
	} {
		if status, code := v6Code(tt.err); status != tt.status || code != tt.code {
			t.Errorf("%s: %v", name, tt.err)
		}
		if e, ok := errors.AsType[*cloudflare.Error](tt.err); ok && e.Errors[0].Source.Pointer != tt.pointer {
			t.Errorf("%s is refused at %q", name, e.Errors[0].Source.Pointer)
		}
	}
}
