package v4_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// TestApplication_Refusals holds that bad input is told by its place, and
// changes nothing.
func TestApplication_Refusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shared := b.make(reusable, accessPolicy("shared", "")).text("id")
	first := b.make(apps, `{"name":"first","domain":"first.example.com","policies":["`+shared+`",`+accessPolicy("own", "")+`]}`)
	b.make(apps, `{"name":"second","domain":"second.example.com/x"}`)
	one := apps + "/" + first.text("id")
	own := first["policies"].([]any)[1].(map[string]any)["id"].(string)
	app := func(more string) string { return `{"name":"new","domain":"new.example.com"` + more + `}` }
	include := func(selector string) string { return `{"name":"p","decision":"allow","include":[` + selector + `]}` }
	key := string(newCA("Key", 9).KeyPEM())
	const (
		post, put, del, get    = http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodGet
		bad, conflict, unknown = 12130, 12132, 12135
	)
	for _, tt := range []struct {
		name, method, target, body string
		status, code               int
		pointer, message           string
	}{
		{"no JSON", post, apps, `{`, 400, bad, "", "JSON"},
		{"a list", post, apps, `[]`, 400, bad, "", "not an object"},
		{"no name", post, apps, `{"domain":"new.example.com"}`, 400, bad, "/name", "empty"},
		{"an empty name", post, apps, `{"name":"","domain":"new.example.com"}`, 400, bad, "/name", "empty"},
		{"a name that is a number", post, apps, `{"name":7,"domain":"new.example.com"}`, 400, bad, "/name", "not a string"},
		{"a long name", post, apps, `{"name":"` + strings.Repeat("é", 351) + `","domain":"new.example.com"}`, 400, bad, "/name", "350"},
		{"a name in use", post, apps, `{"name":"first","domain":"new.example.com"}`, 409, conflict, "/name", "choose another"},
		{"a name in use, in an update", put, one, `{"name":"second"}`, 409, conflict, "/name", "choose another"},
		{"a private key", post, apps, app(`,"custom_deny_message":` + string(mustJSON(t, key))), 422, bad, "/custom_deny_message", "private key"},

		{"no domain", post, apps, `{"name":"new"}`, 400, bad, "/domain", "no domain"},
		{"a domain with a scheme", post, apps, `{"name":"new","domain":"https://new.example.com"}`, 400, bad, "/domain", "without scheme"},
		{"a domain with a port", post, apps, `{"name":"new","domain":"new.example.com:443"}`, 400, bad, "/domain", "without scheme"},
		{"a domain that is an address", post, apps, `{"name":"new","domain":"192.0.2.1/x"}`, 400, bad, "/domain", "address"},
		{"a domain with a star in its path", post, apps, `{"name":"new","domain":"new.example.com/*"}`, 400, bad, "/domain", "no path prefix"},
		{"a domain with a slash at its end", post, apps, `{"name":"new","domain":"new.example.com/a/"}`, 400, bad, "/domain", "no path prefix"},
		{"a domain with dots", post, apps, `{"name":"new","domain":"new.example.com/../a"}`, 400, bad, "/domain", "no path prefix"},
		{"a domain in use", post, apps, `{"name":"new","domain":"SECOND.example.com/x"}`, 409, conflict, "/domain", "(second)"},
		{"a domain in use, in an update", put, one, `{"destinations":[{"uri":"first.example.com"},{"uri":"second.example.com/x"}]}`, 409, conflict, "/destinations", "(second)"},
		{"a domain twice", put, one, `{"self_hosted_domains":["first.example.com","First.example.com"]}`, 400, bad, "/self_hosted_domains", "twice"},
		{"six domains", put, one, `{"self_hosted_domains":["a.b","b.b","c.b","d.b","e.b","f.b"]}`, 400, bad, "", "5 is the most"},
		{"a domain that is not among the destinations", put, one, `{"domain":"a.example.com","destinations":[{"uri":"b.example.com"}]}`, 400, bad, "/domain", "not among destinations"},
		{"destinations that are an object", put, one, `{"destinations":{}}`, 400, bad, "/destinations", "not an array"},
		{"a destination that is a string", put, one, `{"destinations":["a.b"]}`, 400, bad, "/destinations/0", "not an object"},
		{"a private destination", put, one, `{"destinations":[{"type":"private","cidr":"10.0.0.0/8"}]}`, 400, bad, "/destinations/0/type", "private"},
		{"a destination with a port range", put, one, `{"destinations":[{"uri":"a.b","port_range":"80"}]}`, 400, bad, "/destinations/0/port_range", "cannot be set"},
		{"a destination of nowhere", put, one, `{"destinations":[{"type":"public"}]}`, 400, bad, "/destinations/0/uri", "missing"},

		{"an SSH application", post, apps, app(`,"type":"ssh"`), 400, bad, "/type", "app type is missing or invalid"},
		{"a bookmark", put, one, `{"type":"bookmark"}`, 400, bad, "/type", "bookmark"},
		{"a private domain", post, apps, app(`,"domain_type":"private"`), 400, bad, "/domain_type", "private"},
		{"a session that is none", post, apps, app(`,"session_duration":"1 day"`), 400, bad, "/session_duration", "24h"},
		{"a session without end", post, apps, app(`,"session_duration":"2540400h"`), 400, bad, "/session_duration", "8760h"},
		{"a session of nothing", post, apps, app(`,"session_duration":"300ms"`), 400, bad, "/session_duration", "1s"},
		{"a session that is a number", post, apps, app(`,"session_duration":24`), 400, bad, "/session_duration", "not a string"},
		{"a deny URL that is none", post, apps, app(`,"custom_non_identity_deny_url":"javascript:alert(1)"`), 400, bad, "/custom_non_identity_deny_url", "no absolute"},
		{"a deny URL with a password", post, apps, app(`,"custom_non_identity_deny_url":"https://a:b@c.d"`), 400, bad, "/custom_non_identity_deny_url", "password"},
		{"a deny message beyond bounds", post, apps, app(`,"custom_deny_message":"` + strings.Repeat("x", 1001) + `"`), 400, bad, "/custom_deny_message", "1001"},
		{"a SameSite of its own", post, apps, app(`,"same_site_cookie_attribute":"loose"`), 400, bad, "/same_site_cookie_attribute", "strict"},
		{"a flag that is a string", post, apps, app(`,"options_preflight_bypass":"yes"`), 400, bad, "/options_preflight_bypass", "true or false"},

		{"an origin with a path", post, apps, app(`,"origin":"https://a.example.com/x"`), 400, bad, "/origin", "alone"},
		{"an origin with a password", post, apps, app(`,"origin":"https://a:secret@a.example.com"`), 400, bad, "/origin", "alone"},
		{"an origin of another scheme", post, apps, app(`,"origin":"ftp://a.example.com"`), 400, bad, "/origin", "no http"},
		{"an origin on this host", post, apps, app(`,"origin":"http://127.0.0.1:1"`), 422, bad, "/origin", "private"},
		{"an origin on this host, by name", put, one, `{"origin":"h2c://localhost:1"}`, 422, bad, "/origin", "this host"},
		{"an origin that gives away secrets", put, one, `{"origin":"http://169.254.169.254"}`, 422, bad, "/origin", "metadata"},
		{"an origin that is a list", post, apps, app(`,"origin":[]`), 400, bad, "/origin", "not a string"},

		{"identity providers", post, apps, app(`,"allowed_idps":["a"]`), 400, bad, "/allowed_idps", "no identity provider"},
		{"a login page", post, apps, app(`,"auto_redirect_to_identity":true`), 400, bad, "/auto_redirect_to_identity", "no identity provider"},
		{"a binding cookie", post, apps, app(`,"enable_binding_cookie":true`), 400, bad, "/enable_binding_cookie", "bound to the certificate"},
		{"401 for programs", post, apps, app(`,"service_auth_401_redirect":true`), 400, bad, "/service_auth_401_redirect", "403"},
		{"CORS headers", post, apps, app(`,"cors_headers":{"allow_all_origins":true}`), 400, bad, "/cors_headers", "the origin sends them"},
		{"a field nobody knows", post, apps, app(`,"nbf":1e999999`), 400, bad, "/nbf", "not known"},
		{"a launcher that is a string", post, apps, app(`,"app_launcher_visible":"yes"`), 400, bad, "/app_launcher_visible", "true or false"},
		{"tags of numbers", post, apps, app(`,"tags":[1]`), 400, bad, "/tags/0", "not a string"},

		{"policies that are a string", put, one, `{"policies":"` + shared + `"}`, 400, bad, "/policies", "not an array"},
		{"an unknown policy", put, one, `{"policies":["nobody"]}`, 400, bad, "/policies", "to attach"},
		{"a policy twice", put, one, `{"policies":["` + shared + `","` + shared + `"]}`, 400, bad, "/policies", "twice"},
		{"a policy that is a number", put, one, `{"policies":[7]}`, 400, bad, "/policies/0", "not an object"},
		{"a policy without a name", put, one, `{"policies":[{"decision":"allow"}]}`, 400, bad, "/policies/0/name", "empty"},
		{"a precedence twice", put, one, `{"policies":[{"id":"` + shared + `","precedence":2},{"id":"` + own + `","precedence":2}]}`, 409, conflict, "/policies", "precedence 2"},
		{"a huge precedence", put, one, `{"policies":[{"id":"` + shared + `","precedence":99999999999999999999}]}`, 400, bad, "/policies/0/precedence", "whole number"},
		{"another reusable policy than it is", put, one, `{"policies":[` + accessPolicy("other", `,"id":"`+shared+`"`) + `]}`, 409, conflict, "/policies", "access/policies"},

		{"a policy of nobody", post, reusable, `{"name":"p","decision":"allow","include":[]}`, 400, bad, "/include", "missing"},
		{"a policy of no decision", post, reusable, `{"name":"p",` + anyone + `}`, 400, bad, "/decision", "missing"},
		{"a policy of another decision", post, reusable, `{"name":"p","decision":"block",` + anyone + `}`, 400, bad, "/decision", "non_identity"},
		{"a policy without a name, by itself", post, one + "/policies", `{"decision":"allow",` + anyone + `}`, 400, bad, "/name", "empty"},
		{"a precedence in use", post, one + "/policies", accessPolicy("p", `,"precedence":1`), 409, conflict, "/precedence", `"shared"`},
		{"a precedence in use, in an update", put, one + "/policies/" + own, accessPolicy("p", `,"precedence":1`), 409, conflict, "/precedence", `"shared"`},
		{"a precedence beyond bounds", post, one + "/policies", accessPolicy("p", `,"precedence":1048577`), 400, bad, "/precedence", "1048576"},
		{"a precedence below nought", post, one + "/policies", accessPolicy("p", `,"precedence":-1`), 400, bad, "/precedence", "whole number"},
		{"half a precedence", post, one + "/policies", accessPolicy("p", `,"precedence":1.5`), 400, bad, "/precedence", "whole number"},
		{"approval", post, reusable, accessPolicy("p", `,"approval_required":true`), 400, bad, "/approval_required", "no identity provider"},
		{"justification", post, reusable, accessPolicy("p", `,"purpose_justification_required":true`), 400, bad, "/purpose_justification_required", "login"},
		{"connection rules", post, reusable, accessPolicy("p", `,"connection_rules":{"ssh":{"usernames":["root"]}}`), 400, bad, "/connection_rules", "self_hosted"},
		{"include that is an object", post, reusable, `{"name":"p","decision":"allow","include":{"certificate":{}}}`, 400, bad, "/include", "not an array"},
		{"a selector that is a string", post, reusable, include(`"everyone"`), 400, bad, "/include/0", "not an object"},
		{"a selector of nothing", post, reusable, include(`{}`), 400, bad, "/include/0", "has 0"},
		{"a selector of two", post, reusable, include(`{"everyone":{},"certificate":{}}`), 400, bad, "/include/0", "has 2"},
		{"a selector without its object", post, reusable, include(`{"certificate":true}`), 400, bad, "/include/0/certificate", "not an object"},
		{"a selector with more to it", post, reusable, include(`{"certificate":{"serial":"01"}}`), 400, bad, "/include/0/certificate/serial", "cannot be set"},
		{"a selector without a value", post, reusable, include(`{"ip":{}}`), 400, bad, "/include/0/ip/ip", "no value"},
		{"a selector of an empty value", post, reusable, include(`{"common_name":{"common_name":""}}`), 400, bad, "/include/0/common_name/common_name", "empty"},
		{"a selector of no values", post, reusable, include(`{"common_name":{"common_name":[]}}`), 400, bad, "/include/0/common_name/common_name", "no value"},
		{"an address that is none", post, reusable, include(`{"ip":{"ip":"10.0.0.1/8"}}`), 400, bad, "/include/0/ip/ip", "10.0.0.0/8"},
		{"a fingerprint that is none", post, reusable, include(`{"fingerprint":{"fingerprint":"ab"}}`), 400, bad, "/include/0/fingerprint/fingerprint", "SHA-256"},
		{"a CA that is a number", post, reusable, include(`{"certificate":{"ca":7}}`), 400, bad, "/include/0/certificate/ca", "not a string"},

		{"an unknown application", get, apps + "/nobody", "", 404, unknown, "-", "no application"},
		{"an unknown application, changed", put, apps + "/nobody", `{}`, 404, unknown, "-", "no application"},
		{"an unknown application, deleted", del, apps + "/nobody", "", 404, unknown, "-", "no application"},
		{"an unknown application's policies", get, apps + "/nobody/policies", "", 404, unknown, "-", "no application"},
		{"an unknown application's new policy", post, apps + "/nobody/policies", accessPolicy("p", ""), 404, unknown, "-", "no application"},
		{"an unknown policy, read", get, one + "/policies/nobody", "", 404, unknown, "-", "no policy"},
		{"an unknown policy, changed", put, one + "/policies/nobody", accessPolicy("p", ""), 404, unknown, "-", "no policy"},
		{"an unknown policy, deleted", del, one + "/policies/nobody", "", 404, unknown, "-", "no policy"},
		{"an unknown reusable policy", del, reusable + "/nobody?force=true", "", 404, unknown, "-", "no policy"},
		{"an own policy for a reusable one", get, reusable + "/" + own, "", 404, unknown, "-", "no policy"},
		{"a reusable policy changed by an application", put, one + "/policies/" + shared, accessPolicy("p", ""), 409, conflict, "", "access/policies"},
		{"a reusable policy deleted by an application", del, one + "/policies/" + shared, "", 409, conflict, "", "access/policies"},
		{"half a force", del, reusable + "/" + shared + "?force=1", "", 400, bad, "?force", "force=true"},
		{"half a match", get, apps + "?exact=1", "", 400, bad, "?exact", "exact=true"},
		{"a page that is none", get, one + "/policies?page=x", "", 400, bad, "?page", "page=1"},
		{"another method", http.MethodPatch, one, "{}", 405, 10405, "-", "use DELETE, GET, HEAD, PUT"},
		{"another method for tokens", get, one + "/revoke_tokens", "", 405, 10405, "-", "use POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.state()
			b.do(tt.method, tt.target, tt.body).refused(t, tt.status, tt.code, tt.pointer, tt.message)
			if b.state() != before {
				t.Error("it changed something")
			}
		})
	}
	if strings.Contains(b.log.String(), "secret@") || strings.Contains(b.log.String(), strings.Split(key, "\n")[1]) {
		t.Error("the log has a secret")
	}
}

// TestPolicy_ForeignSelectors holds that none of the reference's selectors that
// cannot work here is passed over, wherever it stands.
func TestPolicy_ForeignSelectors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, inner := range map[string]string{
		"email": `{"email":"a@example.com"}`, "email_list": `{"id":"x"}`, "email_domain": `{"domain":"example.com"}`, "ip_list": `{"id":"x"}`, "geo": `{"country_code":"PT"}`,
		"service_token": `{"token_id":"x"}`, "any_valid_service_token": `{}`, "group": `{"id":"x"}`, "login_method": `{"id":"x"}`, "device_posture": `{"integration_uid":"x"}`,
		"auth_method": `{"auth_method":"mfa"}`, "external_evaluation": `{"evaluate_url":"https://a"}`, "gsuite": `{}`, "github-organization": `{}`, "azureAD": `{}`, "okta": `{}`,
		"saml": `{}`, "oidc": `{}`, "auth_context": `{}`, "linked_app_token": `{}`, "user_risk_score": `null`, "tomorrow's": `7`,
	} {
		for _, list := range []string{"include", "require", "exclude"} {
			body := `{"name":"p","decision":"allow","include":[{"certificate":{}}]}`
			if list == "include" {
				body = fmt.Sprintf(`{"name":"p","decision":"allow","include":[{"certificate":{}},{%q:%s}]}`, name, inner)
			} else {
				body = fmt.Sprintf(`%s,%q:[{"everyone":{}},{%q:%s}]}`, strings.TrimSuffix(body, "}"), list, name, inner)
			}
			before := b.state()
			b.do(http.MethodPost, reusable, body).refused(t, http.StatusBadRequest, 12130, "/"+list+"/1/"+name, `there is no selector "`+name+`" here`)
			if b.state() != before {
				t.Errorf("%s in %s changed something", name, list)
			}
		}
	}
}

// TestApplication_NotEnforceable holds that what the listener would not take is
// not stored.
func TestApplication_NotEnforceable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.make(apps, `{"name":"orders","domain":"orders.example.com"}`)
	one := apps + "/" + a.text("id")
	b.file.refuse = fault.New(fault.Invalid, "deny_url", "the URL leads to the application itself")
	before := b.state()
	b.do(http.MethodPost, apps, `{"name":"x","domain":"x.example.com"}`).refused(t, 400, 12130, "/custom_non_identity_deny_url", "itself")
	b.do(http.MethodPut, one, `{}`).refused(t, 400, 12130, "/custom_non_identity_deny_url", "itself")
	b.do(http.MethodPost, one+"/policies", accessPolicy("p", "")).refused(t, 400, 12130, "", "itself")
	b.do(http.MethodDelete, one, "").refused(t, 400, 12130, "", "itself")
	b.file.refuse = errors.New("the database is on fire")
	if r := b.do(http.MethodPut, one, `{}`); r.status != 500 || strings.Contains(r.body, "fire") {
		t.Errorf("an internal error: %s", r.body)
	}
	if b.state() != before {
		t.Error("a refusal changed something")
	}
}

func TestPolicy_Quota(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.store.EditAccess(t.Context(), func(all *inventory.Access) error {
		for i := range 1000 {
			all.Reusable = append(all.Reusable, inventory.Policy{
				ID: fmt.Sprint(i), Name: "p", Action: "allow", Include: []inventory.Selector{{Key: "certificate"}}, Reusable: true,
			})
		}
		return nil
	}, root)
	b.ok(err)
	b.do(http.MethodPost, reusable, `{"name":"x","decision":"allow","include":[{"certificate":{}}]}`).
		refused(t, http.StatusBadRequest, 12130, "", "maximum number of reusable policies has been reached")
}

func TestApplication_Quota(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 500 {
		b.make(apps, fmt.Sprintf(`{"name":"app %d","domain":"a%d.example.com"}`, i, i))
	}
	b.do(http.MethodPost, apps, `{"name":"x","domain":"x.example.com"}`).refused(t, http.StatusBadRequest, 12130, "", "maximum number of applications has been reached")
}
