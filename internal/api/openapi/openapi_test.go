package openapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/api/openapi"
)

// whole returns the document of all that is described.
func whole(t *testing.T) (doc map[string]any, text string) {
	t.Helper()
	all, err := openapi.Described()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Scope = "write"
	}
	data, err := openapi.Document(all, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, string(data)
}

// at returns what a path of names leads to, nil if nowhere.
func at(v any, names ...string) any {
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	return v
}

var reference = regexp.MustCompile(`"\$ref": "#/([^"]*)"`)

func TestDocument_ReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	doc, text := whole(t)
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if at(doc, strings.Split(m[1], "/")...) == nil {
			t.Errorf("nothing is at #/%s", m[1])
		}
	}
}

// operations calls f with every operation.
func operations(doc map[string]any, f func(path, method string, item, op map[string]any)) {
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				f(path, method, item.(map[string]any), op.(map[string]any))
			}
		}
	}
}

var placeholder = regexp.MustCompile(`\{([^}]*)\}`)

// TestDocument_Operations holds each operation to what readers and generators
// of clients need of it.
func TestDocument_Operations(t *testing.T) {
	t.Parallel()
	doc, _ := whole(t)
	var tags []string
	for _, tag := range doc["tags"].([]any) {
		tags = append(tags, at(tag, "name").(string))
	}
	ids := map[string]string{}
	operations(doc, func(path, method string, item, op map[string]any) {
		here := method + " " + path
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] != "" {
			t.Errorf("%s: operationId %q is empty, or that of %s", here, id, ids[id])
		}
		ids[id] = here
		if s, _ := op["summary"].(string); s == "" {
			t.Errorf("%s has no summary", here)
		}
		for _, tag := range op["tags"].([]any) {
			if !slices.Contains(tags, tag.(string)) {
				t.Errorf("%s: no tag %q is declared", here, tag)
			}
		}
		good := false
		for status := range op["responses"].(map[string]any) {
			good = good || strings.HasPrefix(status, "2") || status == "4XX" // what the reference has and is refused here
		}
		if !good {
			t.Errorf("%s never succeeds", here)
		}
		if diff := cmp.Diff(wanted(path), declared(doc, item)); diff != "" {
			t.Errorf("%s: parameters of the path (-want +got):\n%s", here, diff)
		}
	})
}

// wanted returns the parameters that a path has.
func wanted(path string) (names []string) {
	for _, m := range placeholder.FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}

// declared returns the parameters of the path that an item declares.
func declared(doc, item map[string]any) (names []string) {
	list, _ := item["parameters"].([]any)
	for _, p := range list {
		if ref, ok := at(p, "$ref").(string); ok {
			p = at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		if at(p, "in") == "path" {
			names = append(names, at(p, "name").(string))
		}
	}
	slices.Sort(names)
	return names
}

// TestDocument_SaysWhatRoutesSay: scopes and refusals are of the route, and
// what is not routed is not described.
func TestDocument_SaysWhatRoutesSay(t *testing.T) {
	t.Parallel()
	data, err := openapi.Document([]openapi.Route{
		{Method: http.MethodGet, Path: "/healthz"},
		{Method: http.MethodPost, Path: "/renewals", Scope: "renew"},
		{Method: http.MethodGet, Path: "/client/v4/user/tokens/verify", Scope: openapi.AnyScope},
		{Method: http.MethodPut, Path: "/client/v4/zones/{scope}/access/certificates/{x}", Scope: "write"},
	}, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if v := at(doc, "info", "version"); v != "v1.2.3" {
		t.Errorf("version %v", v)
	}
	type facts struct {
		Security any
		Refused  any
	}
	got := map[string]facts{}
	operations(doc, func(path, method string, _, op map[string]any) {
		got[method+" "+path] = facts{op["security"], at(op, "responses", "403", "$ref")}
	})
	token := func(roles ...any) any {
		return []any{map[string]any{"token": append([]any{}, roles...)}}
	}
	compatible := func(roles ...any) any {
		all := token(roles...).([]any)
		for _, name := range []string{"key", "user_service_key"} {
			all = append(all, map[string]any{name: append([]any{}, roles...)})
		}
		return all
	}
	want := map[string]facts{
		"get /healthz":                      {[]any{}, nil},
		"post /renewals":                    {token("renew"), "#/components/responses/Problem"},
		"get /client/v4/user/tokens/verify": {compatible(), nil},
		"put /client/v4/zones/{zone_id}/access/certificates/{certificate_id}": {compatible("write"), "#/components/responses/Refusal"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	all, err := openapi.Described()
	if err != nil {
		t.Fatal(err)
	}
	less := slices.DeleteFunc(slices.Clone(all), func(r openapi.Route) bool { return r.Path == "/healthz" })
	undescribed, unrouted, err := openapi.Missing(append(less, openapi.Route{Method: http.MethodPatch, Path: "/renewals"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"PATCH /renewals"}, {"GET /healthz"}}, [][]string{undescribed, unrouted}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
