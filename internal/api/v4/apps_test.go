package v4_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/inventory"
)

const (
	scope    = "/client/v4/accounts/0123456789abcdef/access/"
	apps     = scope + "apps"
	reusable = scope + "policies"
)

// An object is the result of an answer about one.
type object map[string]any

func (r reply) object(t testing.TB) (o object) {
	t.Helper()
	if err := json.Unmarshal(r.result, &o); err != nil || !r.success {
		t.Fatalf("status %d, %v: %s", r.status, err, r.body)
	}
	return o
}

func (o object) text(field string) string { return fmt.Sprint(o[field]) }

// make creates an object that must be taken.
func (b *bench) make(target, body string) object {
	b.t.Helper()
	r := b.do(http.MethodPost, target, body)
	if r.status != http.StatusCreated || len(r.message) != 0 { // v0 cannot read one with messages
		b.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return r.object(b.t)
}

const anyone = `"include":[{"certificate":{}}]`

func accessPolicy(name, more string) string {
	return fmt.Sprintf(`{"name":%q,"decision":"non_identity",%s%s}`, name, anyone, more)
}

func TestApplication(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *v4.Options) {
		o.ApplicationRemarks = func(context.Context, inventory.Application) []string { return []string{"a word"} }
	})
	a := b.make(apps, `{"name":"orders","domain":"Orders.example.com","type":"self_hosted","app_launcher_visible":true,"tags":[],"allowed_idps":[],
		"cors_headers":null,"landing_page_design":{"title":"","image_url":""},"private_address":"","destinations":null,
		"policies":[{"name":"devices","decision":"non_identity","include":[{"certificate":{}}]}]}`)
	for field, want := range map[string]string{
		"domain": "orders.example.com", "self_hosted_domains": "[orders.example.com]", "destinations": "[map[type:public uri:orders.example.com]]", "origin": "", "type": "self_hosted",
		"session_duration": "24h", "http_only_cookie_attribute": "true", "path_cookie_attribute": "false", "app_launcher_visible": "true", "tags": "[]", "uid": a.text("id"),
		"warnings": "[app_launcher_visible has no effect: there is no App Launcher a word]",
	} {
		if got := a.text(field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	if len(a.text("aud")) != 64 {
		t.Errorf("aud is %s", a.text("aud"))
	}
	one := apps + "/" + a.text("id")
	b.now = b.now.Add(time.Minute)
	r := b.do(http.MethodPut, one, `{"type":"self_hosted","destinations":[{"type":"public","uri":"shop.example.com"},{"uri":"*.example.com/a/b"}],"domain":"*.example.com/a/b","same_site_cookie_attribute":"lax","http_only_cookie_attribute":false}`)
	changed := r.object(t)
	for field, want := range map[string]string{
		"name": "orders", "domain": "*.example.com/a/b", "self_hosted_domains": "[shop.example.com *.example.com/a/b]", "aud": a.text("aud"), "http_only_cookie_attribute": "false",
		"same_site_cookie_attribute": "lax", "app_launcher_visible": "<nil>", "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:01:00Z",
	} {
		if got := changed.text(field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	if len(r.message) != 0 || changed["policies"] == nil || changed.text("policies") != a.text("policies") {
		t.Errorf("the policies are %s, were %s", changed.text("policies"), a.text("policies"))
	}
	// What was answered may be sent again.
	again := b.do(http.MethodPut, one, string(r.result))
	if diff := cmp.Diff(changed, again.object(t)); diff != "" {
		t.Errorf("sent again (-was +is):\n%s", diff)
	}
	if got := b.do(http.MethodPost, one+"/revoke_tokens", "{}"); got.status != http.StatusOK || len(got.message) != 1 {
		t.Errorf("revoking tokens: %s", got.body)
	}
	if got := b.do(http.MethodDelete, one, "").object(t); got.text("id") != a.text("id") {
		t.Errorf("deleted %v", got)
	}
	b.do(http.MethodGet, one, "").refused(t, http.StatusNotFound, 12135, "-", "no application")
	b.do(http.MethodPost, one+"/revoke-tokens", "").refused(t, http.StatusNotFound, 12135, "-", "no application")
}

func TestApplication_List(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.file.applications = []inventory.Application{{ID: "declared", Name: "file", Declared: true, Places: []inventory.Place{{Hostname: "file.example.com", Path: "/"}}}}
	for i := range 30 {
		b.now = b.now.Add(time.Second)
		b.make(apps, fmt.Sprintf(`{"name":"app %02d","domain":"a%d.example.com","origin":"https://origin.example.com"}`, i, i))
	}
	for query, want := range map[string]string{
		"?per_page=3":                       "file,app 00,app 01",
		"?per_page=3&page=11":               "app 29",
		"?per_page=3&page=12":               "",
		"?page=99":                          "",
		"?name=app%200&per_page=2":          "app 00,app 01",
		"?name=APP%2005":                    "app 05",
		"?name=app%200&exact=true":          "",
		"?domain=a7.example.com&exact=true": "app 07",
		"?search=file.example":              "file",
		"?aud=" + strings.Repeat("0", 64):   "",
		"?name=app%2003&domain=a4.exa":      "",
	} {
		var list []object
		r := b.do(http.MethodGet, apps+query, "")
		if err := json.Unmarshal(r.result, &list); err != nil || r.info == nil || list == nil {
			t.Fatalf("%s: %v: %s", query, err, r.body)
		}
		names := make([]string, len(list))
		for i, a := range list {
			names[i] = a.text("name")
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%s lists %s, want %s", query, got, want)
		}
	}
}

// TestApplication_Declared holds that what the configuration declares is shown
// and never changed, and that nothing collides with it.
func TestApplication_Declared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.file.applications = []inventory.Application{{
		ID: "declared", Name: "file", Declared: true, AUD: strings.Repeat("0", 64), SessionDuration: "24h", Places: []inventory.Place{{Hostname: "file.example.com", Path: "/"}},
		Policies: []inventory.AttachedPolicy{{Precedence: 1, Policy: inventory.Policy{
			ID: "policy", Name: "devices", Action: "block", Declared: true,
			Include: []inventory.Selector{{Key: "common_name", Values: []string{"a", "b"}, CA: "root"}}, Require: []inventory.Selector{{Key: "ip", Values: []string{"192.0.2.0/24", "10.0.0.0/8"}}},
		}}},
	}}
	one := apps + "/declared"
	a := b.do(http.MethodGet, one, "").object(t)
	if a.text("read_only") != "true" || a["created_at"] != nil || a["warnings"] != nil {
		t.Errorf("shown %v", a)
	}
	p := b.do(http.MethodGet, one+"/policies/policy", "").object(t)
	if p.text("decision") != "deny" || p.text("include") != "[map[common_name:map[ca:root common_name:a]] map[common_name:map[ca:root common_name:b]]]" ||
		p.text("require") != "[map[ip:map[ip:[192.0.2.0/24 10.0.0.0/8]]]]" || p.text("read_only") != "true" {
		t.Errorf("its policy is %v", p)
	}
	for name, r := range map[string]reply{
		"changed":            b.do(http.MethodPut, one, `{"name":"x"}`),
		"deleted":            b.do(http.MethodDelete, one, ""),
		"given a policy":     b.do(http.MethodPost, one+"/policies", accessPolicy("x", "")),
		"policy changed":     b.do(http.MethodPut, one+"/policies/policy", accessPolicy("x", "")),
		"robbed of a policy": b.do(http.MethodDelete, one+"/policies/policy", ""),
	} {
		t.Run(name, func(t *testing.T) { r.refused(t, http.StatusConflict, 12132, "", "configuration file declares") })
	}
	b.do(http.MethodPost, apps, `{"name":"file","domain":"x.example.com"}`).refused(t, http.StatusConflict, 12132, "/name", "which the configuration file declares")
	b.do(http.MethodPost, apps, `{"name":"x","destinations":[{"uri":"x.example.com"},{"uri":"file.example.com"}]}`).
		refused(t, http.StatusConflict, 12132, "/destinations", "which the configuration file declares")
}

// TestApplication_TwoWriters holds that a change for another version is refused.
func TestApplication_TwoWriters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shared := b.make(reusable, accessPolicy("shared", ""))
	a := b.make(apps, `{"name":"orders","domain":"orders.example.com","policies":["`+shared.text("id")+`"]}`)
	own := b.make(apps+"/"+a.text("id")+"/policies", accessPolicy("own", `,"precedence":4`))
	for name, tt := range map[string]struct{ target, body string }{
		"an application":      {apps + "/" + a.text("id"), `{"custom_deny_message":"no"}`},
		"a policy of its own": {apps + "/" + a.text("id") + "/policies/" + own.text("id"), accessPolicy("own 2", "")},
		"a reusable policy":   {reusable + "/" + shared.text("id"), accessPolicy("shared 2", "")},
	} {
		read := b.do(http.MethodGet, tt.target, "").header.Get("ETag")
		r := b.do(http.MethodPut, tt.target, tt.body, "If-Match: "+read)
		if r.status != http.StatusOK || r.header.Get("ETag") == read {
			t.Fatalf("%s: ETag %s, then %s: %s", name, read, r.header.Get("ETag"), r.body)
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			before := b.state()
			b.do(method, tt.target, tt.body, "If-Match: "+read).refused(t, http.StatusPreconditionFailed, 12132, "-", r.header.Get("ETag"))
			if b.state() != before {
				t.Errorf("%s: a refused %s changed something", name, method)
			}
		}
		if again := b.do(http.MethodPut, tt.target, tt.body, "If-Match: "+r.header.Get("ETag")); again.header.Get("ETag") != r.header.Get("ETag") {
			t.Errorf("%s: the same again has another ETag: %s", name, again.body)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	selectors := `[{"everyone":{}},{"certificate":{"ca":"root"}},{"common_name":{"common_name":["a","b"]}},{"ip":{"ip":"10.0.0.0/8"}},{"san_dns":{"san_dns":"*.X.example.com","ca":"root"}},
		{"san_uri":{"san_uri":"spiffe://a/*"}},{"issuer":{"issuer":"cn=Root,O=Example"}},{"serial":{"serial":"0a:0b"}},{"fingerprint":{"fingerprint":"` + strings.Repeat("AB:", 31) + `AB"}}]`
	shown := `[map[everyone:map[]] map[certificate:map[ca:root]] map[common_name:map[common_name:[a b]]] map[ip:map[ip:10.0.0.0/8]] map[san_dns:map[ca:root san_dns:*.x.example.com]] ` +
		`map[san_uri:map[san_uri:spiffe://a/*]] map[issuer:map[issuer:CN=Root,O=Example]] map[serial:map[serial:0A0B]] map[fingerprint:map[fingerprint:` + strings.Repeat("ab", 32) + `]]]`
	p := b.make(reusable, `{"name":"all","decision":"deny","include":`+selectors+`,"require":`+selectors+`,"exclude":`+selectors+`,"session_duration":"90m","approval_required":false,"precedence":7}`)
	for _, field := range []string{"include", "require", "exclude"} {
		if got := p.text(field); got != shown {
			t.Errorf("%s is %s\nwant %s", field, got, shown)
		}
	}
	if p.text("decision") != "deny" || p.text("session_duration") != "90m" || p.text("reusable") != "true" {
		t.Errorf("made %v", p)
	}
	one := reusable + "/" + p.text("id")
	if again := b.do(http.MethodPut, one, string(mustJSON(t, p))).object(t); again.text("include") != shown {
		t.Errorf("sent again it is %v", again)
	}
	changed := b.do(http.MethodPut, one, accessPolicy("other", "")).object(t)
	if changed.text("decision") != "non_identity" || changed.text("exclude") != "[]" || changed["session_duration"] != nil || changed.text("id") != p.text("id") {
		t.Errorf("changed to %v", changed)
	}
}

// TestPolicy_Attached holds the ways in which an application gets its policies.
func TestPolicy_Attached(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shared, second := b.make(reusable, accessPolicy("shared", "")), b.make(reusable, accessPolicy("second", ""))
	a := b.make(apps, `{"name":"orders","domain":"orders.example.com","policies":[{"id":"`+shared.text("id")+`","precedence":5},`+accessPolicy("own", "")+`]}`)
	one := apps + "/" + a.text("id")
	order := func(r reply) string {
		var names []string
		for _, p := range r.object(t)["policies"].([]any) {
			names = append(names, fmt.Sprintf("%v:%v", p.(map[string]any)["name"], p.(map[string]any)["precedence"]))
		}
		return strings.Join(names, " ")
	}
	put := func(policies string) reply { return b.do(http.MethodPut, one, `{"policies":`+policies+`}`) }
	read := func() reply { return b.do(http.MethodGet, one, "") }
	ownID := a["policies"].([]any)[1].(map[string]any)["id"].(string)
	if got := order(read()); got != "shared:5 own:6" {
		t.Fatalf("made with %s", got)
	}
	if got := order(put(`["` + ownID + `","` + second.text("id") + `"]`)); got != "own:1 second:2" {
		t.Errorf("by their ids: %s", got)
	}
	added := b.make(one+"/policies", accessPolicy("third", ""))
	if added.text("precedence") != "3" {
		t.Errorf("added as %v", added)
	}
	b.do(http.MethodPut, reusable+"/"+second.text("id"), accessPolicy("second, changed", ""))
	if got := order(read()); got != "own:1 second, changed:2 third:3" {
		t.Errorf("after a change of a reusable one: %s", got)
	}
	if got := order(b.do(http.MethodPut, one, `{"custom_deny_message":"x","policies":null}`)); got != "own:1 second, changed:2 third:3" {
		t.Errorf("left out: %s", got)
	}
	moved := b.do(http.MethodPut, one+"/policies/"+added.text("id"), `{"precedence":9}`).object(t)
	if moved.text("precedence") != "9" || moved.text("name") != "third" {
		t.Errorf("moved to %v", moved)
	}
	if got := order(put(`[` + accessPolicy("own, changed", `,"id":"`+ownID+`"`) + `]`)); got != "own, changed:1" {
		t.Errorf("changed by the way: %s", got)
	}
	b.do(http.MethodGet, one+"/policies/"+added.text("id"), "").refused(t, http.StatusNotFound, 12135, "-", "no policy")
	put(`["` + shared.text("id") + `"]`)
	b.do(http.MethodDelete, reusable+"/"+shared.text("id"), "").refused(t, http.StatusConflict, 12132, "", "in use by the applications orders")
	if r := b.do(http.MethodDelete, reusable+"/"+shared.text("id")+"?force=true", ""); r.status != http.StatusOK {
		t.Errorf("by force: %s", r.body)
	}
	if got := order(put(`[]`)); got != "" {
		t.Errorf("left are %s", got)
	}
}
