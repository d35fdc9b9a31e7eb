// Package openapi describes the admin listener as an OpenAPI 3.1 document. The
// description of each area is a JSON file in fragments; who may call what, and
// how refusals look, is added from the routes themselves, so that it cannot
// differ from them. A test of internal/app fails when a route is described
// nowhere, or a description has no route.
package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// AnyScope is the scope of routes that take every token.
const AnyScope = "any"

// A Route is one method of a path, as it was registered.
type Route struct {
	Method string
	Path   string // as http.ServeMux has it, with wildcards of any name
	Scope  string // of the token that it takes; AnyScope; "" = it takes none
}

// v4Prefix is where answers are the reference's envelope; elsewhere errors are
// problems (RFC 9457).
const v4Prefix = "/client/v4/"

// scoped begins the paths that exist below an account and below a zone.
const scoped = v4Prefix + "{base}/"

//go:embed fragments/*.json
var fragments embed.FS

type object = map[string]any

// Document returns the document of these routes. What is described and is not
// among them is left out.
func Document(routes []Route, version string) ([]byte, error) {
	doc, err := assemble()
	if err != nil {
		return nil, err
	}
	doc["info"].(object)["version"] = version
	known := map[string]Route{}
	for _, r := range routes {
		known[key(r.Method, r.Path)] = r
	}
	paths := doc["paths"].(object)
	for at, item := range paths {
		if !complete(at, item.(object), known) {
			delete(paths, at)
		}
	}
	return json.MarshalIndent(doc, "", "  ")
}

// Described returns what is described, whether or not it is routed.
func Described() ([]Route, error) {
	doc, err := assemble()
	if err != nil {
		return nil, err
	}
	var all []Route
	for at, item := range doc["paths"].(object) {
		for _, method := range methodsOf(item.(object)) {
			all = append(all, Route{Method: method, Path: at})
		}
	}
	return all, nil
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// key is what a route and its description have in common: the names of
// wildcards are for those who read.
func key(method, at string) string { return method + " " + wildcard.ReplaceAllString(at, "{}") }

// Missing returns the routes that are described nowhere, and the descriptions
// that have no route, as "METHOD /path".
func Missing(routes []Route) (undescribed, unrouted []string, err error) {
	described, err := Described()
	if err != nil {
		return nil, nil, err
	}
	return without(routes, described), without(described, routes), nil
}

func without(list, other []Route) (out []string) {
	known := map[string]bool{}
	for _, r := range other {
		known[key(r.Method, r.Path)] = true
	}
	for _, r := range list {
		if !known[key(r.Method, r.Path)] {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	slices.Sort(out)
	return out
}

var methods = []string{
	http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch,
}

func methodsOf(item object) (out []string) {
	for _, m := range methods {
		if item[strings.ToLower(m)] != nil {
			out = append(out, m)
		}
	}
	return out
}

// complete adds to a path's operations what their routes say, and removes those
// without one. It reports whether any is left.
func complete(at string, item object, known map[string]Route) bool {
	left := false
	for _, method := range methodsOf(item) {
		route, ok := known[key(method, at)]
		if !ok {
			delete(item, strings.ToLower(method))
			continue
		}
		left = true
		completeOperation(at, item[strings.ToLower(method)].(object), route)
	}
	return left
}

func completeOperation(at string, op object, route Route) {
	refusals, _ := op["x-refusals"].([]any)
	delete(op, "x-refusals")
	var statuses []int
	for _, s := range refusals {
		statuses = append(statuses, int(s.(float64)))
	}
	op["security"] = []any{}
	if route.Scope != "" {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusTooManyRequests)
		roles := []any{}
		if route.Scope != AnyScope {
			statuses = append(statuses, http.StatusForbidden)
			roles = append(roles, route.Scope)
		}
		schemes := []string{"token"}
		if strings.HasPrefix(at, v4Prefix) {
			schemes = append(schemes, "key", "user_service_key")
		}
		op["security"] = alternatives(schemes, roles)
	}
	shape := object{"$ref": "#/components/responses/Problem"}
	if strings.HasPrefix(at, v4Prefix) {
		shape = object{"$ref": "#/components/responses/Refusal"}
	}
	responses := op["responses"].(object)
	for _, status := range statuses {
		responses[strconv.Itoa(status)] = shape
	}
	if responses["default"] == nil {
		responses["default"] = shape
	}
}

// alternatives lets a request have any one of the schemes.
func alternatives(schemes []string, roles []any) []any {
	var out []any
	for _, s := range schemes {
		out = append(out, object{s: roles})
	}
	return out
}

// assemble joins the fragments.
func assemble() (object, error) {
	files, err := fragments.ReadDir("fragments")
	if err != nil {
		return nil, err
	}
	doc := object{}
	for _, f := range files {
		data, err := fragments.ReadFile(path.Join("fragments", f.Name()))
		if err != nil {
			return nil, err
		}
		var part object
		if err := json.Unmarshal(data, &part); err != nil {
			return nil, fmt.Errorf("openapi: %s: %w", f.Name(), err)
		}
		if err := merge(doc, part, ""); err != nil {
			return nil, fmt.Errorf("openapi: %s: %w", f.Name(), err)
		}
	}
	return doc, expandScoped(doc["paths"].(object))
}

// joined are the objects that fragments share, beside the kinds of components.

var joined = map[string]bool{"/paths": true, "/components": true}

func merge(into, part object, at string) error {
	for name, value := range part {
		here := at + "/" + name
		before, taken := into[name]
		if !taken {
			into[name] = value
			continue
		}
		a, isA := before.(object)
		b, isB := value.(object)
		if !isA || !isB || !joined[here] && at != "/components" {
			return fmt.Errorf("%s is in another fragment already", here)
		}
		if err := merge(a, b, here); err != nil {
			return err
		}
	}
	return nil
}

// expandScoped writes what is below {base} once for accounts and once for
// zones: both address the one store.
func expandScoped(paths object) error {
	for _, at := range slices.Collect(maps.Keys(paths)) {
		rest, ok := strings.CutPrefix(at, scoped)
		if !ok {
			continue
		}
		text, err := json.Marshal(paths[at])
		if err != nil {
			return err
		}
		delete(paths, at)
		for base, parameter := range map[string]string{"accounts": "account_id", "zones": "zone_id"} {
			var item object
			if err := json.Unmarshal(text, &item); err != nil {
				return err
			}
			given, _ := item["parameters"].([]any)
			item["parameters"] = append([]any{object{"$ref": "#/components/parameters/" + parameter}}, given...)
			if base == "zones" {
				renameOperations(item)
			}
			paths[v4Prefix+base+"/{"+parameter+"}/"+rest] = item
		}
	}
	return nil
}

// renameOperations keeps the ids of operations unique.
func renameOperations(item object) {
	for _, method := range methodsOf(item) {
		op := item[strings.ToLower(method)].(object)
		op["operationId"] = fmt.Sprint(op["operationId"], "OfZone")
	}
}
