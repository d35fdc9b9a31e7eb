package walkthrough_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
)

// A described is the admin listener beside what it says of itself: every
// request and answer is held to the document.
type described struct {
	base      string
	tokens    map[string]string // by scope
	validator validator.Validator
	document  map[string]any
}

// newDescribed reads the document from a running daemon and validates it.
func newDescribed(t *testing.T, w workshop, s site) described {
	t.Helper()
	d := described{base: "http://" + s.admin, tokens: map[string]string{}}
	for _, scope := range []string{"read", "write", "renew"} {
		made := mustRun(t, w.dir, w.certvigil, "token", "create", "--name", scope, "--scope", scope, "--json", "-c", s.config)
		var token struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal([]byte(made.stdout), &token); err != nil {
			t.Fatal(err)
		}
		d.tokens[scope] = token.Token
	}
	response, text := d.send(t, http.MethodGet, "/openapi.json", "", "", nil)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s", response.Status, text)
	}
	if err := json.Unmarshal(text, &d.document); err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	d.validator = v
	_, problems := v.ValidateDocument()
	report(t, "the document", problems)
	return d
}

func report(t *testing.T, what string, problems []*errors.ValidationError) {
	t.Helper()
	for _, p := range problems {
		t.Errorf("%s: %s: %s", what, p.Message, p.Reason)
		for _, s := range p.SchemaValidationErrors {
			t.Errorf("    %s: %s", s.FieldPath, s.Reason)
		}
	}
}

func (d described) request(t *testing.T, method, path, scope, kind string, body []byte) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if scope != "" {
		request.Header.Set("Authorization", "Bearer "+d.tokens[scope])
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	return request
}

func (d described) send(t *testing.T, method, path, scope, kind string, body []byte) (*http.Response, []byte) {
	t.Helper()
	response, err := (&http.Client{Timeout: 20 * time.Second}).Do(d.request(t, method, path, scope, kind, body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, text
}

// ask makes a request and holds it and its answer to the document.
func (d described) ask(t *testing.T, method, path, scope, kind string, body []byte, status int) []byte {
	t.Helper()
	response, text := d.send(t, method, path, scope, kind, body)
	what := method + " " + path
	if response.StatusCode != status {
		t.Fatalf("%s: %s, want %d\n%s", what, response.Status, status, text)
	}
	if status < 300 {
		_, problems := d.validator.ValidateHttpRequestSync(d.request(t, method, path, scope, kind, body))
		report(t, what, problems)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	_, problems := d.validator.ValidateHttpResponse(d.request(t, method, path, scope, kind, body), response)
	report(t, what+" → "+response.Status, problems)
	return text
}

// made returns the id in an answer.
func made(t *testing.T, text []byte, names ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		v = v.(map[string]any)[n]
	}
	return v.(string)
}

// TestOpenAPI holds the document to OpenAPI 3.1, and the running daemon to the
// document.
func TestOpenAPI(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	w.root(t, "ca", w.csr(t, "Access Testing CA"))
	w.root(t, "ca-renewed", w.lasting(t, "Access Testing CA", "87600h"))
	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", "ca-config.json", "server", w.csr(t, "gateway", orders))
	s := newSite(t, w, newListener(t).URL, orders)
	startDaemon(t, w.certvigil, s.config, s.admin)
	d := newDescribed(t, w, s)

	const base, kind = "/client/v4/accounts/0123456789abcdef/access/certificates", "application/json"
	upload, err := json.Marshal(map[string]any{"name": "devs", "certificate": string(readFile(t, w.path("ca.pem"))), "associated_hostnames": []string{orders}})
	if err != nil {
		t.Fatal(err)
	}
	id := made(t, d.ask(t, "POST", base, "write", kind, upload, 201), "result", "id")
	d.ask(t, "GET", base+"?page=1&per_page=5&expiring_before=2099-01-01T00:00:00Z", "read", "", nil, 200)
	d.ask(t, "GET", base+"/"+id, "read", "", nil, 200)
	d.ask(t, "PUT", base+"/"+id, "write", kind, []byte(`{"name":"developers","associated_hostnames":["`+orders+`"]}`), 200)
	d.ask(t, "PUT", base+"/settings", "write", kind, []byte(`{"settings":[{"hostname":"`+orders+`","china_network":false,"client_certificate_forwarding":true}]}`), 200)
	d.ask(t, "GET", base+"/settings", "read", "", nil, 200)
	d.ask(t, "GET", "/client/v4/user/tokens/verify", "renew", "", nil, 200)
	d.ask(t, "POST", base, "write", kind, []byte(`{"name":"x"}`), 400)
	d.ask(t, "POST", base, "write", kind, upload, 409)
	d.ask(t, "GET", base+"/"+id+"x", "read", "", nil, 404)
	d.ask(t, "DELETE", base+"/"+id, "write", "", nil, 409)

	pem := readFile(t, w.path("ca-renewed.pem"))
	d.ask(t, "POST", "/renewals", "renew", "application/x-pem-file", []byte("no PEM"), 400)
	d.ask(t, "POST", "/renewals", "renew", "application/x-pem-file", pem, 202)
	waiting := d.ask(t, "GET", "/proposals", "write", "", nil, 200)
	proposal, decision := made(t, waiting, "id"), []byte(`{"fingerprint":"`+made(t, waiting, "fingerprint")+`"}`)
	d.ask(t, "POST", "/proposals/"+proposal+"/decline", "write", kind, decision, 200)
	d.ask(t, "POST", "/renewals", "renew", "application/x-pem-file", pem, 202)
	proposal = made(t, d.ask(t, "GET", "/proposals", "write", "", nil, 200), "id")
	d.ask(t, "POST", "/proposals/"+proposal+"/confirm", "write", kind, decision, 201)
	d.ask(t, "POST", "/renewals", "renew", "application/x-pem-file", pem, 200)
	d.ask(t, "DELETE", base+"/"+id+"?force=true", "write", "", nil, 200)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json"} {
		d.ask(t, "GET", path, "", "", nil, 200)
	}
	refusals401(t, d)
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// refusals401 asks every operation that takes a token without one, as far as
// the limit of failures lets it.
func refusals401(t *testing.T, d described) {
	t.Helper()
	asked := 0
	for path, item := range d.document["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			fields, ok := op.(map[string]any)
			if !ok || len(fields["security"].([]any)) == 0 || asked >= 8 {
				continue
			}
			asked++
			d.ask(t, strings.ToUpper(method), pathParameter.ReplaceAllString(path, "x"), "", "", nil, 401)
		}
	}
	if asked < 8 {
		t.Errorf("only %d operations take a token", asked)
	}
}
