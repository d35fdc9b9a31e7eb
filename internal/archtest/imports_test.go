// Package archtest holds the shape of the code to tests: which package may
// import which, and what production code does not do. It has no other code.
package archtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/certvigil/certvigil/"

// The inner ring: words and rules that everything else may speak of.
var inner = []string{"internal/access", "internal/alert", "internal/alerting", "internal/cert", "internal/crl", "internal/egress", "internal/fault", "internal/glob", "internal/header", "internal/hostname", "internal/inventory", "internal/san"}

// mayImport lists, for each package, the packages of this module that its
// production code may import. Arrows point inward: the three subsystems never
// import each other, nor the store, the configuration or the API; channels
// never import each other; only internal/app knows everybody. A new package
// takes its place here first.
var mayImport = map[string][]string{
	"internal/access":    {"internal/fault", "internal/glob"},
	"internal/fault":     {},
	"internal/field":     {},
	"internal/inuse":     {},
	"internal/socket":    {},
	"internal/watch":     {},
	"internal/alert":     {"internal/fault"},
	"internal/cert":      {"internal/fault"},
	"internal/crl":       {"internal/cert", "internal/fault"},
	"internal/egress":    {"internal/fault"},
	"internal/fetch":     {"internal/egress", "internal/fault"},
	"internal/glob":      {"internal/fault"},
	"internal/header":    {"internal/fault"},
	"internal/hostname":  {"internal/fault"},
	"internal/link":      {"internal/fault"},
	"internal/ratelimit": {},
	"internal/san":       {"internal/fault", "internal/glob"},
	"internal/alerting":  {"internal/alert", "internal/egress", "internal/fault", "internal/inventory"},
	"internal/inventory": {"internal/access", "internal/alert", "internal/cert", "internal/crl", "internal/egress", "internal/fault", "internal/hostname", "internal/san"},

	"templates":             {"internal/alert", "internal/cert", "internal/fault"},
	"scanner":               {"internal/alert", "internal/fault", "internal/glob"},
	"notifier":              {"internal/alert", "internal/egress", "internal/fault", "templates"},
	"notifier/email":        {"internal/alert", "internal/fault", "notifier", "templates"},
	"notifier/slack":        {"internal/alert", "internal/egress", "internal/fault", "notifier", "templates"},
	"notifier/webhook":      {"internal/alert", "internal/egress", "internal/fault", "notifier", "templates"},
	"notifier/notifiertest": {"internal/alert", "notifier", "templates"},
	"enforcer":              {"internal/alert", "internal/cert", "internal/crl", "internal/egress", "internal/fault", "internal/glob", "internal/header", "internal/hostname", "internal/inuse", "internal/ratelimit", "internal/san", "internal/watch", "enforcer/http1", "enforcer/origin", "templates"},
	"enforcer/http1":        {"internal/field", "internal/inuse", "internal/socket", "internal/watch"},
	"enforcer/origin":       {"internal/egress", "internal/fault", "internal/field", "internal/socket"},
	"internal/accesslog":    {"enforcer", "internal/fault"},

	"internal/store":           inner,
	"internal/store/storetest": append([]string{"internal/certtest", "internal/store", "notifier", "scanner"}, inner...),
	"internal/api":             append([]string{"internal/ratelimit", "internal/api/openapi", "internal/api/v4", "templates"}, inner...),
	"internal/api/openapi":     {},
	"internal/api/v4":          append([]string{"internal/api/openapi"}, inner...),
	"internal/dashboard":       append([]string{"templates"}, inner...),
	"internal/config":          {"internal/access", "internal/alert", "internal/fault", "internal/glob", "internal/header", "internal/hostname", "templates"},
	"internal/metrics":         {"internal/alert", "internal/fault"},
	"internal/certtest":        {},
	"internal/demo":            {"internal/alert", "internal/certtest", "internal/fault"},

	"internal/app": append([]string{
		"enforcer", "internal/accesslog", "internal/api", "internal/api/openapi", "internal/api/v4", "internal/config", "internal/fetch", "internal/dashboard", "internal/link", "internal/metrics", "internal/store",
		"internal/egress", "notifier", "notifier/email", "notifier/slack", "notifier/webhook", "scanner", "templates",
	}, inner...),
	"cmd/certvigil": append([]string{"internal/app", "internal/config", "internal/demo", "internal/fetch", "internal/store"}, inner...),
}

// standardOnly are the packages without any library.
var standardOnly = []string{"internal/alert", "internal/cert", "internal/certtest", "internal/fault"}

// A listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	GoFiles    []string
	Imports    []string
}

func TestImports_PointInward(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) == 0 {
			continue // tests alone, such as this package
		}
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s: say in mayImport which packages it may import", name)
		}
		for _, i := range p.Imports {
			if own, ok := strings.CutPrefix(i, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which its place in the layout forbids", name, own)
			}
		}
	}
}

func TestImports_StandardLibraryOnly(t *testing.T) {
	t.Parallel()
	var roots []string
	for _, name := range standardOnly {
		roots = append(roots, module+name)
	}
	for _, p := range list(t, append([]string{"-deps"}, roots...)...) {
		if !p.Standard && !strings.HasPrefix(p.ImportPath, module) {
			t.Errorf("%s reaches one of %v, which have no libraries", p.ImportPath, standardOnly)
		}
	}
}

func TestImports_NoTestify(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "-deps", "-test", "./...") {
		if strings.HasPrefix(p.ImportPath, "github.com/stretchr/testify") {
			t.Errorf("%s is used: compare with the standard library and go-cmp", p.ImportPath)
		}
	}
}

// TestImports_TableKeepsTheRule holds the sentence of the design that the
// table must never be edited to break.
func TestImports_TableKeepsTheRule(t *testing.T) {
	t.Parallel()
	subsystems := []string{"scanner", "notifier", "enforcer"}
	for _, s := range subsystems {
		forbidden := append([]string{"internal/store", "internal/config", "internal/api", "internal/app"}, subsystems...)
		for name, allowed := range mayImport {
			if name != s && !strings.HasPrefix(name, s+"/") {
				continue
			}
			for _, f := range forbidden {
				if f != s && slices.Contains(allowed, f) {
					t.Errorf("mayImport lets %s import %s", name, f)
				}
			}
		}
	}
}

// list runs `go list -json` at the root of the module.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,GoFiles,Imports"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v%s", err, stderrOf(err))
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("reading what go list says: %v", err)
		}
		packages = append(packages, p)
	}
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprintf("\n%s", exit.Stderr)
	}
	return ""
}
