package app

import (
	"cmp"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/link"
)

// A deed is one change by its route, and the audit rows that it must leave,
// oldest first: the action, who did it, and whether there is a state before and
// after. What it makes is known by name in later paths and bodies, as "{name}".
type deed struct {
	route, body string
	makes       string
	rows        []string
}

// A trail carries out deeds and holds what they leave.
type trail struct {
	*router

	seen map[string]bool // "METHOD path", as the document has it
}

// TestAudit_EveryRoute carries out a change by each route that the daemon
// describes and that is no reading: one that is not here fails the test.
func TestAudit_EveryRoute(t *testing.T) {
	t.Parallel()
	tr := &trail{router: newRouter(t), seen: map[string]bool{}}
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	tr.reload("[notifier]\nallow_private_targets = true\n" + strings.Replace(tr.guarding(closed, "30d"), "[[channel]]", mailTransport+"[[channel]]", 1))
	tr.prepare(hook.URL)
	for _, base := range []string{"accounts/{account_id}", "zones/{zone_id}"} {
		pem, err := json.Marshal(string(certtest.NewCA(certtest.CommonName("made")).PEM()))
		tr.must(err)
		tr.ids["made.pem"] = string(pem)
		for _, d := range compatibleDeeds {
			d.route = strings.Replace(d.route, "{base}", base, 1)
			tr.carryOut(d)
		}
	}
	for _, d := range ownDeeds {
		tr.carryOut(d)
	}
	for _, e := range tr.endpoints() {
		if e.method != http.MethodGet && !tr.seen[e.method+" "+e.path] {
			t.Errorf("%s %s: no deed here says what row it leaves", e.method, e.path)
		}
	}
}

const mailTransport = `[[channel]]
name = "mail"
type = "email"
default_transport = true
smtp = "127.0.0.1:1"
tls = "none"
from = "a@example.com"
to = ["b@example.com"]
`

const (
	added, changed, removed = " token -+", " token ++", " token +-"
	compatible              = "/client/v4/{base}/access"
	alertingBase            = "/client/v4/accounts/{account_id}/alerting/v3"
)

var compatibleDeeds = []deed{
	{"POST " + compatible + "/certificates", `{"name":"made","certificate":{made.pem},"associated_hostnames":["orders.example.com"]}`, "certificate_id", []string{"ca.add" + added}},
	{"PUT " + compatible + "/certificates/{certificate_id}", `{"name":"renamed","associated_hostnames":[]}`, "", []string{"ca.update" + changed}},
	{"PUT " + compatible + "/certificates/settings", `{"settings":[{"hostname":"orders.example.com","china_network":false,"client_certificate_forwarding":true}]}`, "", []string{"settings.update" + changed}},
	{"PUT " + compatible + "/certificates/settings", `{"settings":[]}`, "", []string{"settings.update" + changed}},
	{"DELETE " + compatible + "/certificates/{certificate_id}", "", "", []string{"item.remove" + changed, "ca.remove" + removed}},
	{"POST " + compatible + "/policies", `{"name":"reusable","decision":"non_identity","include":[{"certificate":{}}]}`, "policy_id", []string{"policy.add" + added}},
	{"PUT " + compatible + "/policies/{policy_id}", `{"name":"again","decision":"non_identity","include":[{"certificate":{}}]}`, "", []string{"policy.update" + changed}},
	{"DELETE " + compatible + "/policies/{policy_id}", "", "", []string{"policy.remove" + removed}},
	{"POST " + compatible + "/apps", `{"name":"made","type":"self_hosted","domain":"api.example.com","origin":"https://origin.example.com","policies":[]}`, "application_id", []string{"application.add" + added}},
	{"PUT " + compatible + "/apps/{application_id}", `{"name":"renamed","type":"self_hosted","domain":"api.example.com","origin":"https://origin.example.com","policies":[]}`, "", []string{"application.update" + changed}},
	{"POST " + compatible + "/apps/{application_id}/policies", `{"name":"own","decision":"non_identity","include":[{"certificate":{}}]}`, "policy_id", []string{"application.update" + changed, "policy.add" + added}},
	{"PUT " + compatible + "/apps/{application_id}/policies/{policy_id}", `{"name":"own too","decision":"non_identity","include":[{"certificate":{}}]}`, "", []string{"policy.update" + changed}},
	{"DELETE " + compatible + "/apps/{application_id}/policies/{policy_id}", "", "", []string{"application.update" + changed, "policy.remove" + removed}},
	{"POST " + compatible + "/apps/{application_id}/revoke_tokens", "{}", "", nil}, // says that there is nothing to revoke
	{"POST " + compatible + "/apps/{application_id}/revoke-tokens", "{}", "", nil},
	{"DELETE " + compatible + "/apps/{application_id}", "", "", []string{"application.remove" + removed}},
}

var ownDeeds = []deed{
	{"POST " + alertingBase + "/destinations/webhooks", `{"name":"ops","url":"{hook}","secret":"s"}`, "destination_id", []string{"alerting.destination.create" + added}},
	{"PUT " + alertingBase + "/destinations/webhooks/{destination_id}", `{"name":"renamed","url":"{hook}"}`, "", []string{"alerting.destination.update" + changed}},
	{"POST " + alertingBase + "/policies", `{"name":"soon","enabled":true,"alert_type":"access_custom_certificate_expiration_type","mechanisms":{"email":[{"id":"a@example.com"}]}}`, "policy_id", []string{"alerting.policy.create" + added}},
	{"PUT " + alertingBase + "/policies/{policy_id}", `{"enabled":false}`, "", []string{"alerting.policy.update" + changed}},
	{"DELETE " + alertingBase + "/policies/{policy_id}", "", "", []string{"alerting.policy.delete" + removed}},
	{"DELETE " + alertingBase + "/destinations/webhooks/{destination_id}", "", "", []string{"alerting.destination.delete" + changed}},
	{"POST " + alertingBase + "/destinations/pagerduty/connect", "", "", nil}, // refused: by the file alone
	{"DELETE " + alertingBase + "/destinations/pagerduty", "", "", nil},
	{"PUT /client/v4/accounts/{account_id}/access/keys", `{"key_rotation_interval_days":30}`, "", []string{"keys.update" + added}},
	{"POST /client/v4/accounts/{account_id}/access/keys/rotate", "", "", []string{"key.add" + added}},
	{"POST /items/{item}/acknowledge", `{"by":"Ana"}`, "", []string{"item.acknowledge" + changed}},
	{"POST /items/{item}/resume", "", "", []string{"item.unacknowledge" + changed}},
	{"POST /items/{item}/snooze", `{"by":"Ana"}`, "", []string{"item.snooze" + changed}},
	{"POST /handle/{handling_token}", "do=acknowledge&by=Ana", "", []string{"item.acknowledge link ++"}},
	{"POST /proposals/{id}/decline", `{"fingerprint":"{fingerprint}"}`, "", []string{"proposal.decline" + removed}},
	{"POST /renew/{token}", "{stranger.form}", "", []string{"item.propose link -+"}},
	{"POST /proposals/{id}/confirm", `{"fingerprint":"{fingerprint}"}`, "", []string{"item.supersede" + changed, "ca.confirm" + changed}},
	{"POST /renewals", "{renewed}", "", []string{"item.supersede" + changed, "item.renew" + changed}},
	{"POST /crls", "{list}", "", []string{"crl.add" + added}},
}

// prepare has files and links for the deeds.
func (tr *trail) prepare(hook string) {
	item, err := tr.store.Item(tr.t.Context(), tr.ids["item"])
	tr.must(err)
	now := tr.App.o.Now()
	valid := certtest.Validity(now.Add(-alert.Day), now.AddDate(7, 0, 0))
	stranger, other := certtest.NewCA(certtest.CommonName("root"), valid), certtest.NewCA(certtest.CommonName("other"))
	form, kind := multipartOf(tr.t, map[string]string{"certificate": string(stranger.PEM()), "step": "confirm"})
	_, _, _, err = inventory.New(tr.store, tr.App.o.Now).AddCA(tr.t.Context(), inventory.Upload{Data: other.PEM(), Name: "other", Actor: inventory.Actor{Kind: inventory.ActorLocal}})
	tr.must(err)
	maps.Copy(tr.ids, map[string]string{
		"hook": hook, "list": string(other.CRL(certtest.CRLNumber(1))), "stranger.form": form, "stranger.kind": kind,
		"handling_token": tr.links.signer.Sign(link.Handle, item.ID, item.NotAfter),
		"renewed":        string(other.Renew(certtest.Validity(now.Add(-alert.Day), now.AddDate(20, 0, 0))).PEM()),
	})
	tr.waiting()
}

func multipartOf(t testing.TB, fields map[string]string) (body, kind string) {
	t.Helper()
	var text strings.Builder
	w := multipart.NewWriter(&text)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String(), w.FormDataContentType()
}

// waiting takes the proposal that waits as the one that is spoken of.
func (tr *trail) waiting() {
	proposals, err := tr.store.Proposals(tr.t.Context())
	tr.must(err)
	if len(proposals) > 0 {
		tr.ids["id"], tr.ids["fingerprint"] = proposals[0].ID, proposals[0].Fingerprint
	}
}

func (tr *trail) carryOut(d deed) {
	tr.t.Helper()
	tr.seen[d.route] = true
	method, path, _ := strings.Cut(d.route, " ")
	target, _ := tr.fill(path, tr.ids)
	body, kind := d.body, "application/json"
	for name, value := range tr.ids {
		body = strings.ReplaceAll(body, "{"+name+"}", value)
	}
	switch {
	case strings.HasPrefix(path, "/handle/"):
		kind = "application/x-www-form-urlencoded"
	case strings.HasPrefix(path, "/renew/"):
		kind = tr.ids["stranger.kind"]
	case path == "/crls":
		kind = "application/pkix-crl"
	case path == "/renewals":
		kind = "application/x-pem-file"
	}
	authorization := "Bearer " + tr.write
	if strings.Contains(path, "token}") && !strings.HasPrefix(path, "/client") {
		authorization = "" // the link is all the authority there is
	}
	before := tr.rows()
	w := tr.serve(method, target, kind, body, authorization)
	if (w.Code/100 == 2) != (len(d.rows) > 0) && !strings.Contains(path, "/revoke") {
		tr.t.Errorf("%s: status %d\n%.500s", d.route, w.Code, w.Body)
	}
	var answer struct{ Result struct{ ID string } }
	if json.Unmarshal(w.Body.Bytes(), &answer) == nil && d.makes != "" {
		tr.ids[d.makes] = answer.Result.ID
	}
	tr.waiting()
	tr.holds(d, tr.rows()[len(before):], w.Header())
}

// rows returns the trail without what the daemon does by itself, oldest first.
func (tr *trail) rows() []inventory.AuditEntry {
	rows, err := tr.store.Audit(tr.t.Context(), inventory.AuditFilter{})
	tr.must(err)
	rows = slices.DeleteFunc(rows, func(e inventory.AuditEntry) bool { return e.ActorKind == inventory.ActorSystem })
	slices.Reverse(rows)
	return rows
}

func (tr *trail) holds(d deed, rows []inventory.AuditEntry, header http.Header) {
	tr.t.Helper()
	is := func(text string) string {
		if text == "" {
			return "-"
		}
		return "+"
	}
	tokens, err := tr.store.Tokens(tr.t.Context())
	tr.must(err)
	var got []string
	for _, e := range rows {
		got = append(got, e.Action+" "+e.ActorKind+" "+is(e.Before)+is(e.After))
		if id := cmp.Or(header.Get("X-Request-Id"), header.Get("Cf-Ray")); id == "" || e.RequestID != id {
			tr.t.Errorf("%s: the row has the request id %q, the answer %q", d.route, e.RequestID, id)
		}
		if want := map[string]string{"token": tokens[0].ID, "link": tr.ids["item"]}[e.ActorKind]; e.ActorID != want || e.Object == "" {
			tr.t.Errorf("%s: the row is by %q on %q, want by %q", d.route, e.ActorID, e.Object, want)
		}
	}
	if !slices.Equal(got, d.rows) {
		tr.t.Errorf("%s leaves\n%q, want\n%q", d.route, got, d.rows)
	}
}
