package v4_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
)

// TestRefusals holds each way to get a change wrong to its answer, and that
// nothing changes by it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca, leaf := newCA("Root", 400), newCA("Root", 400).Issue()
	stored := b.create("root", []string{"orders.example.com"}, ca.PEM())
	b.create("other", nil, newCA("Other", 400).PEM())
	one := base + "/" + stored.ID
	const post, put, del, get = http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodGet
	fresh := string(newCA("Fresh", 400).PEM())
	upload := func(name, pem any) string { return encode(t, "name", name, "certificate", pem) }
	host := func(names ...any) string { return encode(t, "associated_hostnames", names) }
	setting := func(pairs ...any) string { return `{"settings":[` + encode(t, pairs...) + `]}` }
	key := string(ca.KeyPEM())
	const bad, conflict = 12130, 12132
	for _, tt := range []struct {
		name, method, target, body string
		status, code               int
		pointer, message           string
		headers                    []string
	}{
		{"no body", post, base, "", 400, bad, "", "the body is missing", nil},
		{"half a body", post, base, `{"name":`, 400, bad, "", "damaged at byte", nil},
		{"two bodies", post, base, `{} {}`, 400, bad, "", "not JSON", nil},
		{"null", post, base, "null", 400, bad, "", "not an object", nil},
		{"an array", put, one, "[]", 400, bad, "", "not an object", nil},
		{"a number", put, settings, "1e999999", 400, bad, "", "not an object", nil},
		{"deeper than JSON goes", put, settings, strings.Repeat("[", 20_000), 400, bad, "", "not JSON", nil},
		{"a form", post, base, "name=x", 415, bad, "", "Content-Type", []string{"Content-Type:", "Content-Type: application/x-www-form-urlencoded"}},
		{"text, as a page may send it", put, settings, "{}", 415, bad, "", "application/json", []string{"Content-Type:", "Content-Type: text/plain"}},
		{"no content type", put, one, "{}", 415, bad, "", "application/json", []string{"Content-Type:"}},
		{"a content type that is none", put, one, "{}", 415, bad, "", "application/json", []string{"Content-Type:", "Content-Type: ;;"}},
		{"a body of more than 1 MiB", put, one, `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, bad, "", "larger than 1048576 bytes", nil},

		{"no name", post, base, encode(t, "certificate", fresh), 400, bad, "/name", `"name" is missing`, nil},
		{"an empty name", post, base, upload("  ", fresh), 400, bad, "/name", "missing", nil},
		{"a name that is null", post, base, upload(nil, fresh), 400, bad, "/name", "missing", nil},
		{"a name that is a number", post, base, upload(json.Number("1e400"), fresh), 400, bad, "/name", "not a string", nil},
		{"a name that is too long", post, base, upload(strings.Repeat("é", 351), fresh), 400, bad, "/name", "350 characters", nil},
		{"a name with a line break", put, one, encode(t, "name", "a\nb"), 400, bad, "/name", "cannot be shown", nil},
		{"a name in use", post, base, upload("root", fresh), 409, conflict, "/name", "choose another name", nil},
		{"a name in use, in an update", put, one, encode(t, "name", "other"), 409, conflict, "/name", "in use", nil},
		{"the same certificates again", post, base, upload("root", string(ca.PEM())), 409, conflict, "/certificate", stored.ID, nil},
		{"the same certificates under another name", post, base, upload("second", string(ca.PEM())), 409, conflict, "/certificate", `stored as "root"`, nil},

		{"no certificate", post, base, encode(t, "name", "x"), 400, bad, "/certificate", "missing", nil},
		{"a certificate that is a list", post, base, upload("x", []string{fresh}), 400, bad, "/certificate", "not a string", nil},
		{"an empty certificate", post, base, upload("x", ""), 400, bad, "/certificate", "empty", nil},
		{"an empty certificate, in an update", put, one, encode(t, "certificate", ""), 400, bad, "/certificate", "empty", nil},
		{"what is no PEM", post, base, upload("x", "MIIB"), 400, bad, "/certificate", "neither PEM nor", nil},
		{"a damaged PEM", post, base, upload("x", strings.Replace(fresh, "MII", "!!!", 1)), 400, bad, "/certificate", "damaged", nil},
		{"a leaf", post, base, upload("x", string(leaf.PEM())), 422, bad, "/certificate", "not a CA", nil},
		{"a signing request", post, base, upload("x", string(leaf.CSR())), 422, bad, "/certificate", "signing request", nil},
		{"an expired CA", post, base, upload("x", string(newCA("Old", 0, certtest.Validity(start.Add(-2*day), start.Add(-day))).PEM())), 422, bad, "/certificate", "expired", nil},
		{"an Ed25519 CA", post, base, upload("x", string(newCA("Ed", 400, certtest.Ed25519()).PEM())), 422, bad, "/certificate", "Ed25519", nil},
		{"a private key", post, base, upload("x", key), 422, bad, "/certificate", "private key", nil},
		{"a private key behind the certificate", post, base, upload("x", fresh+key), 422, bad, "/certificate", "private key", nil},
		{"a private key as a renewal", put, one, encode(t, "certificate", key), 422, bad, "/certificate", "private key", nil},
		{"a private key as a name", post, base, upload(key, fresh), 422, bad, "/name", "private key", nil},
		{"a private key in a field that is ignored", post, base, encode(t, "name", "x", "certificate", fresh, "private_key", key), 422, bad, "/private_key", "private key", nil},
		{"a private key as a hostname", put, one, host(key), 422, bad, "/associated_hostnames/0", "private key", nil},
		{"a private key in a setting", put, settings, setting("hostname", "a.example.com", "a/b~c", key), 422, bad, "/settings/0/a~1b~0c", "private key", nil},
		{"another CA as a renewal", put, one, encode(t, "certificate", fresh), 422, bad, "/certificate", "", nil},
		{"an earlier end as a renewal", put, one, encode(t, "certificate", string(newCA("Root", 300).PEM())), 422, bad, "/certificate", "", nil},

		{"hostnames that are a string", put, one, encode(t, "associated_hostnames", "a.example.com"), 400, bad, "/associated_hostnames", "not an array", nil},
		{"a hostname that is a number", put, one, host("a.example.com", 7), 400, bad, "/associated_hostnames/1", "not a string", nil},
		{"a hostname that is null", put, one, host(nil), 400, bad, "/associated_hostnames/0", "not a string", nil},
		{"a hostname with a path", post, base, encode(t, "name", "x", "certificate", fresh, "associated_hostnames", []string{"a.example.com/x"}), 400, bad, "/associated_hostnames/0", "without scheme, port or path", nil},
		{"a hostname that is an address", put, one, host("192.0.2.1"), 400, bad, "/associated_hostnames/0", "address", nil},

		{"settings that are an object", put, settings, `{"settings":{}}`, 400, bad, "/settings", "not an array", nil},
		{"a setting that is a string", put, settings, `{"settings":["a.example.com"]}`, 400, bad, "/settings/0", "not an object", nil},
		{"a setting without hostname", put, settings, setting("china_network", false), 400, bad, "/settings/0/hostname", "missing", nil},
		{"a setting of no hostname", put, settings, setting("hostname", "a b"), 400, bad, "/settings/0/hostname", "not a DNS host name", nil},
		{"a setting of a number", put, settings, setting("hostname", 5), 400, bad, "/settings/0/hostname", "not a string", nil},
		{"the china network", put, settings, setting("hostname", "a.example.com", "china_network", true), 400, bad, "/settings/0/china_network", "china_network", nil},
		{"forwarding that is a string", put, settings, setting("hostname", "a.example.com", "client_certificate_forwarding", "true"), 400, bad, "/settings/0/client_certificate_forwarding", "true or false", nil},
		{"one hostname twice", put, settings, `{"settings":[{"hostname":"a.example.com"},{"hostname":"A.example.com."}]}`, 400, bad, "/settings/1/hostname", "twice", nil},

		{"a page that is no number", get, base + "?page=x", "", 400, bad, "?page", "page=1", nil},
		{"a page before the first", get, base + "?page=0", "", 400, bad, "?page", "page=1", nil},
		{"a huge page", get, base + "?page=99999999999999999999999", "", 400, bad, "?page", "page=1", nil},
		{"a negative size of pages", get, base + "?per_page=-1", "", 400, bad, "?per_page", "per_page=25", nil},
		{"a time that is none", get, base + "?expiring_before=30d", "", 400, bad, "?expiring_before", "RFC 3339", nil},
		{"half a force", del, one + "?force=yes", "", 400, bad, "?force", "force=true", nil},

		{"an unknown id", get, base + "/ffffffff-ffff-4fff-8fff-ffffffffffff", "", 404, 12135, "-", "access.api.error.not_found", nil},
		{"an unknown id, in an update", put, base + "/nobody", "{}", 404, 12135, "-", "not_found", nil},
		{"an unknown id, deleted", del, base + "/nobody?force=true", "", 404, 12135, "-", "not_found", nil},
		{"a name for an id", del, base + "/other", "", 404, 12135, "-", "not_found", nil},
		{"a prefix for an id", put, base + "/" + stored.ID[:12], "{}", 404, 12135, "-", "not_found", nil},
		{"an id with a slash", get, base + "/a%2Fb", "", 404, 12135, "-", "not_found", nil},

		{"a method of another path", put, base, "{}", 405, 10405, "-", "use GET, HEAD, POST", nil},
		{"a method of another path, one below", post, one, "{}", 405, 10405, "-", "use DELETE, GET, HEAD, PUT", nil},
		{"a method of another path, the settings", del, settings, "", 405, 10405, "-", "use GET, HEAD, PUT", nil},
		{"PATCH", http.MethodPatch, one, "{}", 405, 10405, "-", "PATCH", nil},
		{"OPTIONS", http.MethodOptions, base, "", 405, 10405, "-", "OPTIONS", nil},
		{"no path", get, "/client/v4/", "", 404, 7003, "-", "Could not route", nil},
		{"a slash at the end", get, base + "/", "", 404, 7003, "-", "Could not route", nil},
		{"an unclean path", get, "/client/v4//accounts/x/access/certificates", "", 404, 7003, "-", "Could not route", nil},
		{"another base", get, "/client/v4/users/x/access/certificates", "", 404, 7003, "-", "Could not route", nil},
		{"no account", get, "/client/v4/accounts//access/certificates", "", 404, 7003, "-", "Could not route", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.state()
			b.do(tt.method, tt.target, tt.body, tt.headers...).refused(t, tt.status, tt.code, tt.pointer, tt.message)
			if b.state() != before {
				t.Error("it changed something")
			}
		})
	}
	for _, secret := range []string{b.write, strings.Split(key, "\n")[1], strings.Split(fresh, "\n")[1]} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.do(http.MethodPost, base, `{"name":"x","certificate":`+string(mustJSON(t, string(newCA("Root", 9).PEM())))+`,"expires_on":1e999999,"id":[{}],"Name":"y"}`)
	if r.status != http.StatusCreated || r.certificate(t).Name != "x" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
