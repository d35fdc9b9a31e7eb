package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/link"
)

// A router is the admin listener of a daemon beside its own description.
type router struct {
	*house

	t        testing.TB
	write    string
	document map[string]any
	ids      map[string]string // of stored objects, by the parameter of the path that names them
	key      string            // a private key as PEM
}

// newRouter has something stored for every kind of id. A parameter that has
// none is filled with an id that nothing has.
func newRouter(t testing.TB) *router {
	t.Helper()
	r := &router{t: t, house: newHouse(t, func(h *house) string { return h.guarding(closed, "30d") }), ids: map[string]string{}}
	r.write = r.secret(inventory.ScopeWrite)
	ca, _ := r.admit()
	r.key = string(ca.KeyPEM())
	service := inventory.New(r.store, r.App.o.Now)
	bundle, err := r.store.Bundle(t.Context(), "root")
	r.must(err)
	stranger := certtest.NewCA(certtest.CommonName("root"), certtest.Validity(r.App.o.Now(), r.App.o.Now().AddDate(6, 0, 0)))
	done, err := service.Renew(t.Context(), inventory.RenewRequest{Data: stranger.PEM(), ItemRef: bundle.Members[0].Item.ID})
	r.must(err)
	token := r.links.signer.Sign(link.Renew, bundle.Members[0].Item.ID, bundle.Members[0].Item.NotAfter)
	r.ids = map[string]string{
		"account_id": "a", "zone_id": "z", "certificate_id": bundle.ID, "id": done.Proposal.ID, "item": bundle.Members[0].Item.ID, "token": token, "name": "renewal.css",
	}
	w := r.send(http.MethodGet, "/openapi.json", "", "")
	r.must(json.Unmarshal(w.Body.Bytes(), &r.document))
	return r
}

func (r *router) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *router) send(method, target, kind, body string) *httptest.ResponseRecorder {
	return r.serve(method, target, kind, body, "Bearer "+r.write)
}

func (r *router) serve(method, target, kind, body, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	r.admin.server.Handler.ServeHTTP(w, request)
	return w
}

// state is all that a refused request must leave as it is.
func (r *router) state() string {
	r.t.Helper()
	ctx := r.t.Context()
	bundles, err := r.store.Bundles(ctx)
	r.must(err)
	items, err := r.store.Items(ctx, inventory.ItemFilter{})
	r.must(err)
	for i := range items {
		items[i].NextDueAt = nil // the scanner's
	}
	settings, err := r.store.HostnameSettings(ctx)
	r.must(err)
	proposals, err := r.store.Proposals(ctx)
	r.must(err)
	lists, err := r.store.CRLs(ctx)
	r.must(err)
	keys, err := r.store.SigningKeys(ctx)
	r.must(err)
	audit, err := r.store.Audit(ctx, inventory.AuditFilter{})
	r.must(err)
	text, err := json.Marshal([]any{len(bundles), items, settings, proposals, lists, len(keys), audit})
	r.must(err)
	return string(text)
}

// A refusal is what an answer says of an error, in either shape.
type refusal struct {
	status int
	place  string // a JSON pointer, "?name", or a field
	text   string
}

// refused holds an answer to the shape of refusals where it is sent from.
func (r *router) refused(what, target string, w *httptest.ResponseRecorder) refusal {
	r.t.Helper()
	out := refusal{status: w.Code, text: w.Body.String()}
	if w.Code < 400 || w.Code >= 500 {
		r.t.Errorf("%s: status %d\n%.300s", what, w.Code, w.Body)
		return out
	}
	for name, value := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
		if w.Header().Get(name) != value {
			r.t.Errorf("%s: %s is %q", what, name, w.Header().Get(name))
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		r.t.Errorf("%s: Content-Security-Policy %q", what, csp)
	}
	kind, referrer := w.Header().Get("Content-Type"), "no-referrer"
	if kind == "text/html; charset=utf-8" {
		referrer = "strict-origin" // of pages with forms
	}
	if got := w.Header().Get("Referrer-Policy"); got != referrer {
		r.t.Errorf("%s: Referrer-Policy %q", what, got)
	}
	switch {
	case strings.HasPrefix(target, "/client/v4/"):
		var e struct {
			Success  *bool           `json:"success"`
			Messages []any           `json:"messages"`
			Result   json.RawMessage `json:"result"`
			Errors   []struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
				Source  *struct {
					Pointer string `json:"pointer"`
				} `json:"source"`
			} `json:"errors"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || kind != "application/json" || e.Success == nil || *e.Success || e.Messages == nil ||
			string(e.Result) != "null" || len(e.Errors) != 1 || e.Errors[0].Code == 0 || e.Errors[0].Message == "" {
			r.t.Errorf("%s: no envelope of an error: %v\n%.300s", what, err, w.Body)
			return out
		}
		if e.Errors[0].Source != nil {
			out.place = e.Errors[0].Source.Pointer
		}
	case (strings.HasPrefix(target, "/renew/") || strings.HasPrefix(target, "/handle/")) && kind == "text/html; charset=utf-8":
	default:
		var p struct {
			Type, Title, Detail, Field string
			Status                     int
			RequestID                  string `json:"request_id"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || kind != "application/problem+json" || p.Status != w.Code || p.Type == "" || p.Title == "" || p.Detail == "" || p.RequestID == "" {
			r.t.Errorf("%s: no problem: %v\n%.300s", what, err, w.Body)
		}
		out.place = p.Field
	}
	return out
}

// resolve follows a reference within the document.
func (r *router) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = r.document
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[name]
	}
	return r.resolve(at)
}

// An endpoint is one operation of the document.
type endpoint struct {
	method, path string // path with its parameters
	target       string // with ids of what is stored
	known        bool   // there is something stored for each of its parameters
	op, item     map[string]any
}

// endpoints returns every operation, in a stable order.
func (r *router) endpoints() (all []endpoint) {
	paths := r.document["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(map[string]any)
		target, known := r.fill(path, r.ids)
		for _, method := range []string{"get", "put", "post", "patch", "delete"} {
			if op, ok := item[method].(map[string]any); ok {
				all = append(all, endpoint{strings.ToUpper(method), path, target, known, op, item})
			}
		}
	}
	return all
}

func (r *router) fill(path string, ids map[string]string) (target string, known bool) {
	parts, known := strings.Split(path, "/"), true
	for i, part := range parts {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		id, has := ids[strings.TrimSuffix(name, "}")]
		if !has {
			id, known = uuid.NewString(), false
		}
		parts[i] = id
	}
	return strings.Join(parts, "/"), known
}

// body returns the schema and the example of the JSON that an operation takes.
func (r *router) body(e endpoint) (schema, example map[string]any, takes bool) {
	content, _ := r.resolve(e.op["requestBody"])["content"].(map[string]any)
	media, takes := content["application/json"].(map[string]any)
	if !takes {
		return nil, nil, false
	}
	example, ok := media["example"].(map[string]any)
	if !ok {
		r.t.Errorf("%s %s: the description has no example of a body", e.method, e.path)
	}
	return r.resolve(media["schema"]), example, true
}

// unlike returns values that are not of a schema's types.
func unlike(schema map[string]any) (values []string) {
	types := map[string]bool{}
	switch t := schema["type"].(type) {
	case string:
		types[t] = true
	case []any:
		for _, name := range t {
			types[name.(string)] = true
		}
	default:
		return nil // of any type, or of a choice
	}
	for _, c := range []struct{ kind, text string }{
		{"string", `"\u0000 no such thing"`}, {"number", `1e999`}, {"number", `-99999999999999999999999999`}, {"boolean", `true`}, {"array", `[[[]]]`}, {"object", `{"a":{}}`},
	} {
		if c.kind == "number" || !types[c.kind] { // these numbers are out of any range
			values = append(values, c.text)
		}
	}
	return values
}

// with returns the example with one field as it is given, "" for none.
func with(example map[string]any, name, value string) string {
	changed := maps.Clone(example)
	delete(changed, name)
	text, _ := json.Marshal(changed) //nolint:errchkjson // it was JSON
	if value == "" {
		return string(text)
	}
	separator := ","
	if len(changed) == 0 {
		separator = ""
	}
	return fmt.Sprintf("%s%s%q:%s}", text[:len(text)-1], separator, name, value)
}

const megabyte = 1 << 20

// TestBadInput sends to every operation that the daemon describes what it must
// not take: each time a refusal in its shape, with the place of what is wrong,
// and no change.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := newRouter(t)
	before := r.state()
	for _, e := range r.endpoints() {
		t.Run(e.method+" "+e.path, func(t *testing.T) {
			r.t = t
			r.wrongMethods(e)
			r.unknownIDs(e)
			r.wrongParameters(e)
			r.wrongJSON(e)
			r.wrongFields(e)
			r.wrongUploads(e)
			if after := r.state(); after != before {
				t.Fatalf("it changed something:\n%s\n%s", before, after)
			}
		})
	}
	for _, forbidden := range []string{"request panicked", "level=ERROR", strings.Split(r.key, "\n")[1], r.write} {
		if strings.Contains(r.log.String(), forbidden) {
			t.Errorf("the log has %q", forbidden)
		}
	}
}

func (r *router) wrongMethods(e endpoint) {
	for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		if e.item[strings.ToLower(method)] != nil {
			continue
		}
		w := r.send(method, e.target, "application/json", "{}")
		if r.refused(method, e.target, w); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), e.method) {
			r.t.Errorf("%s: status %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func (r *router) unknownIDs(e endpoint) {
	_, example, _ := r.body(e)
	body, err := json.Marshal(example)
	r.must(err)
	for name := range r.ids {
		if name == "account_id" || name == "zone_id" || !strings.Contains(e.path, "{"+name+"}") {
			continue
		}
		for _, id := range []string{uuid.NewString(), "x", "%00", "%2e%2e%2f", strings.Repeat("9", 5000), "%F0%9F%92%A3", "'%20OR%201=1--"} {
			ids := maps.Clone(r.ids)
			ids[name] = id
			target, _ := r.fill(e.path, ids)
			r.refused(fmt.Sprintf("%s=%.20s", name, id), target, r.send(e.method, target, "application/json", string(body)))
		}
	}
}

func (r *router) wrongParameters(e endpoint) {
	list, _ := e.op["parameters"].([]any)
	for _, p := range list {
		parameter := r.resolve(p)
		if parameter["in"] != "query" {
			continue
		}
		schema, name := r.resolve(parameter["schema"]), parameter["name"].(string)
		var values []string
		switch {
		case schema["type"] == "integer":
			values = []string{"x", "-1", "0", "1.5", "99999999999999999999999"}
		case schema["type"] == "boolean":
			values = []string{"maybe", "1"}
		case schema["format"] == "date-time":
			values = []string{"30d", "9999999999999"}
		}
		for _, v := range values {
			what := "?" + name + "=" + v
			got := r.refused(what, e.target, r.send(e.method, e.target+what, "application/json", ""))
			if e.known && (got.status != http.StatusBadRequest || strings.TrimPrefix(got.place, "?") != name && got.place != "query") {
				r.t.Errorf("%s: status %d about %q", what, got.status, got.place)
			}
		}
	}
}

func (r *router) wrongJSON(e endpoint) {
	_, example, takes := r.body(e)
	if !takes {
		return
	}
	wrong := []string{"{", "{} {}", "[]", `"x"`, "1e999999", "\xff\xfe", "{\"\xff\":1", strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000)}
	if r.resolve(e.op["requestBody"])["required"] == true {
		wrong = append(wrong, "", "null")
	}
	for _, body := range wrong {
		what := fmt.Sprintf("the body %.10q", body)
		if got := r.refused(what, e.target, r.send(e.method, e.target, "application/json", body)); e.known && got.status != http.StatusBadRequest && got.status != http.StatusRequestEntityTooLarge {
			r.t.Errorf("%s: status %d", what, got.status)
		}
	}
	huge := with(example, "padding", `"`+strings.Repeat("x", megabyte)+`"`)
	if got := r.refused("more than a megabyte", e.target, r.send(e.method, e.target, "application/json", huge)); got.status != http.StatusRequestEntityTooLarge {
		r.t.Errorf("more than a megabyte: status %d", got.status)
	}
	if strings.HasPrefix(e.path, "/client/v4/") {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			if got := r.refused(kind, e.target, r.send(e.method, e.target, kind, "{}")); got.status != http.StatusUnsupportedMediaType {
				r.t.Errorf("the content type %q: status %d", kind, got.status)
			}
		}
	}
}

// wrongFields changes one field of the documented example at a time.
func (r *router) wrongFields(e endpoint) {
	schema, example, takes := r.body(e)
	if !takes {
		return
	}
	required, _ := schema["required"].([]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := r.resolve(properties[name])
		values := unlike(property)
		if slices.Contains(required, any(name)) {
			values = append(values, "")
		}
		for _, value := range values {
			what := fmt.Sprintf("%s=%s", name, value)
			got := r.refused(what, e.target, r.send(e.method, e.target, "application/json", with(example, name, value)))
			if e.known && !strings.HasPrefix(strings.TrimPrefix(got.place, "/"), name) {
				r.t.Errorf("%s: status %d is about %q\n%s", what, got.status, got.place, got.text)
			}
		}
	}
	key, err := json.Marshal(r.key)
	r.must(err)
	for name := range properties {
		got := r.refused("a private key as "+name, e.target, r.send(e.method, e.target, "application/json", with(example, name, string(key))))
		if strings.Contains(got.text, strings.Split(r.key, "\n")[1]) {
			r.t.Errorf("a private key as %s is shown again", name)
		}
	}
}

// wrongUploads sends to operations that take files.
func (r *router) wrongUploads(e endpoint) {
	content, _ := r.resolve(e.op["requestBody"])["content"].(map[string]any)
	if _, json := content["application/json"]; json || content == nil {
		return
	}
	form := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n--b--\r\n"
	}
	for name, body := range map[string]string{
		"nothing": "", "noise": "noise", "a private key": r.key, "half a PEM": "-----BEGIN CERTIFICATE-----\nMIIB", "zeros": strings.Repeat("\x00", 1000),
		"a damaged PEM": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "more than a megabyte": strings.Repeat("x", megabyte+1),
	} {
		for _, kind := range []string{"application/x-pem-file", "multipart/form-data; boundary=b", "multipart/form-data"} {
			sent := body
			if strings.HasSuffix(kind, "=b") {
				sent = form("certificate", body)
			}
			got := r.refused(name+" as "+kind, e.target, r.send(e.method, e.target, kind, sent))
			if bytes.Contains([]byte(got.text), []byte(strings.Split(r.key, "\n")[1])) {
				r.t.Errorf("%s is shown again", name)
			}
		}
	}
}

// FuzzAdmin holds that no request to the admin listener of a daemon brings a
// 5xx, a panic, or a refusal in another shape than that of its place.
func FuzzAdmin(f *testing.F) {
	f.Add("GET", "/client/v4/accounts/a/access/certificates?page=2", "application/json", "", true)
	f.Add("POST", "/client/v4/zones/a/access/certificates", "application/json", `{"name":"x","certificate":"-----BEGIN CERTIFICATE-----"}`, true)
	f.Add("PUT", "/client/v4/accounts/a/access/keys", "application/json", `{"key_rotation_interval_days":1e99}`, true)
	f.Add("POST", "/renewals?item=%00", "multipart/form-data; boundary=b", "--b\r\n\r\n--b--", true)
	f.Add("POST", "/proposals/x/confirm", "", `{"fingerprint":"00"}`, true)
	f.Add("POST", "/crls?accept_rollback=true", "text/plain", "MIIB", true)
	f.Add("GET", "/renew/"+strings.Repeat("A", 78), "", "", false)
	f.Add("GET", "/assets/..%2f..%2fweb", "", "", false)
	f.Add("HEAD", "/openapi.json", "", "", false)
	f.Add("OPTIONS", "/client/v4/", "", "", false)
	r := newRouter(f)
	f.Fuzz(func(t *testing.T, method, path, kind, body string, known bool) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://admin.example.com", strings.NewReader(body))
		if err != nil {
			t.Skip("no method")
		}
		if request.URL, err = url.ParseRequestURI(path); err != nil || !strings.HasPrefix(request.URL.Path, "/") {
			t.Skip("no target of a request")
		}
		request.RequestURI, request.Header = path, http.Header{"Content-Type": {kind}}
		if known {
			request.Header.Set("Authorization", "Bearer "+r.write)
		}
		w := httptest.NewRecorder()
		r.admin.server.Handler.ServeHTTP(w, request)
		if w.Code >= 500 {
			t.Fatalf("status %d: %s\n%s", w.Code, w.Body, r.log)
		}
		if w.Code >= 400 && method != http.MethodHead {
			r.t = t
			r.refused(method+" "+path, request.URL.Path, w)
		}
	})
}
