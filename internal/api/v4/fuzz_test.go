package v4_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
)

// FuzzRouter holds that no request below the prefix brings a 5xx, a panic or
// anything but an envelope, whoever sends it.
func FuzzRouter(f *testing.F) {
	b := newBench(f)
	made := b.create("root", []string{"a.example.com"}, newCA("Root", 400).PEM())
	one := strings.TrimPrefix(base, v4.Prefix)
	f.Add("GET", one+"?page=2&per_page=1&expiring_before=2026-03-01T12:00:00Z", "application/json", "", true)
	f.Add("POST", one, "application/json", encode(f, "name", "x", "certificate", string(newCA("New", 9).PEM()), "associated_hostnames", []string{"a.example.com"}), true)
	f.Add("PUT", one+"/"+made.ID, "application/json", `{"name":"x","associated_hostnames":["*.example.com"],"certificate":null}`, true)
	f.Add("PUT", one+"/settings", "application/json; charset=utf-8", `{"settings":[{"hostname":"a.example.com","client_certificate_forwarding":true}]}`, true)
	f.Add("PUT", one+"/settings", "application/json", "{\"settings\":[{\"hostname\":\"\x00\xff\"}]}", true)
	f.Add("DELETE", one+"/"+made.ID+"?force=maybe", "", "", true)
	const alerts = "accounts/x/alerting/v3/"
	f.Add("POST", alerts+"destinations/webhooks", "application/json", `{"name":"x","url":"https://hooks.example.com/x","secret":"y"}`, true)
	f.Add("PUT", alerts+"destinations/webhooks/x", "application/json", `{"name":"x","url":"http://[::1]:x/%zz"}`, true)
	f.Add("POST", alerts+"policies", "application/json", policyBody(f, "email", "oncall@example.com"), true)
	f.Add("PUT", alerts+"policies/x", "application/json", `{"filters":{"kinds":["ca"],"before":["1d"],"labels":["a=b"]},"mechanisms":{"webhooks":[{"id":"x"}]}}`, true)
	f.Add("GET", alerts+"history?page=9223372036854775807&per_page=1000&since=2026-03-01T12:00:00Z", "", "", true)
	f.Add("DELETE", alerts+"destinations/pagerduty", "", "", true)
	f.Add("GET", one+"/%2e%2e/%00%zz", "", "", true)
	app := b.make(apps, `{"name":"orders","domain":"orders.example.com/a","policies":[`+accessPolicy("own", "")+`]}`)
	access := strings.TrimPrefix(scope, v4.Prefix)
	f.Add("POST", access+"apps", "application/json", `{"name":"x","destinations":[{"uri":"*.example.com"}],"origin":"https://a.example.com","policies":["x",{"id":"x","precedence":1e9}]}`, true)
	f.Add("PUT", access+"apps/"+app.text("id"), "application/json", `{"domain":"b.example.com/c","tags":["a"],"session_duration":"1h","policies":[{"name":"a","decision":"deny","include":[{"ip":{"ip":["::1"]}}]}]}`, true)
	f.Add("POST", access+"policies", "application/json", `{"name":"x","decision":"bypass","include":[{"issuer":{"issuer":"CN=a","ca":"b"}}],"exclude":[{"email":{}}],"precedence":-0}`, true)
	f.Add("PUT", access+"apps/"+app.text("id")+"/policies/x", "application/json", `{"precedence":2}`, true)
	f.Add("DELETE", access+"policies/x?force=true", "application/json", "", true)
	f.Add("GET", access+"apps?exact=true&name=x&domain=y&aud=z&page=2", "", "", true)
	f.Add("HEAD", "user/tokens/verify", "", "", false)
	f.Add("CONNECT", "zones//access/../x", "text/plain", "", false)
	f.Add("OPTIONS", "*", "", "", true)
	f.Fuzz(func(t *testing.T, method, target, contentType, body string, known bool) {
		r, err := http.NewRequest(method, "http://admin.example.com"+v4.Prefix+target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(r.URL.Path, v4.Prefix) {
			t.Skip("no request for this API")
		}
		r.RequestURI = v4.Prefix + target
		if known {
			r.Header.Set("Authorization", "Bearer "+b.write)
		}
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if got := envelope(t, w); got.status >= 500 {
			t.Fatalf("status %d: %s\n%s", got.status, got.body, b.log)
		}
		b.log.Reset()
	})
}
