package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// A ban is something that production code does not do, but for some places.
type ban struct {
	what   string
	except []string // prefixes of "path/file.go#function"
	found  func(ast.Node) bool
}

var bans = []ban{
	{
		// Chains are verified by our own rules, never by none.
		what:  "InsecureSkipVerify",
		found: func(n ast.Node) bool { id, ok := n.(*ast.Ident); return ok && id.Name == "InsecureSkipVerify" },
	},
	{
		// Naming time.Now as the default of a Now field is the seam; calling
		// it goes past the seam. The monotonic clock's default has to.
		what:   "a call of time.Now, time.Since or time.Until",
		except: []string{"cmd/", "internal/demo/", "internal/certtest/", "internal/watch/watch.go#Now", "scanner/scanner.go#withDefaults"},
		found: func(n ast.Node) bool {
			return calls(n, "time", "Now") || calls(n, "time", "Since") || calls(n, "time", "Until")
		},
	},
	{
		what:   "a call of os.Exit",
		except: []string{"cmd/certvigil/main.go"},
		found:  func(n ast.Node) bool { return calls(n, "os", "Exit") },
	},
	{
		what:   "SQL",
		except: []string{"internal/store/"},
		found:  isSQL,
	},
}

var (
	statement  = regexp.MustCompile(`^\s*(?:SELECT\s|INSERT\s+(?:OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|(?:CREATE|DROP|ALTER)\s+(?:TABLE|INDEX|UNIQUE|TRIGGER)|PRAGMA\s|BEGIN\s+IMMEDIATE)`)
	sqlImports = []string{"database/sql", "github.com/mattn/go-sqlite3", "github.com/jackc/pgx", "github.com/pressly/goose"}
)

func isSQL(n ast.Node) bool {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return false
	}
	text, err := strconv.Unquote(lit.Value)
	return err == nil && (statement.MatchString(text) || slices.ContainsFunc(sqlImports, func(path string) bool { return strings.HasPrefix(text, path) }))
}

func calls(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

func TestSource_KeepsTheBans(t *testing.T) {
	t.Parallel()
	files := productionFiles(t)
	if len(files) < 20 {
		t.Fatalf("found only %d production files under %s", len(files), root)
	}
	for _, path := range files {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range breaches(path, file) {
			t.Errorf("%s:%d: %s", path, set.Position(f.pos).Line, f.what)
		}
	}
}

// TestSource_FindsBreaches shows that each ban bites.
func TestSource_FindsBreaches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, body string
		want             []string
	}{
		{"unverified TLS", "enforcer/x.go", `var c = tls.Config{InsecureSkipVerify: true}`, []string{"InsecureSkipVerify"}},
		{"unverified TLS, set later", "cmd/certvigil/x.go", `func f() { c.InsecureSkipVerify = true }`, []string{"InsecureSkipVerify"}},
		{"the clock", "scanner/x.go", `var t = time.Now().UTC()`, []string{"a call of time.Now, time.Since or time.Until"}},
		{"the clock, hidden", "scanner/x.go", `var t = time.Since(u)`, []string{"a call of time.Now, time.Since or time.Until"}},
		{"the clock as a seam", "scanner/x.go", `func f() { o.Now = time.Now }`, nil},
		{"the clock of the demo", "internal/demo/x.go", `var t = time.Now()`, nil},
		{"exit", "cmd/certvigil/serve.go", `func f() { os.Exit(1) }`, []string{"a call of os.Exit"}},
		{"exit of main", "cmd/certvigil/main.go", `func main() { os.Exit(1) }`, nil},
		{"a query", "internal/api/x.go", "var q = `\n\tSELECT id FROM items`", []string{"SQL"}},
		{"a driver", "internal/api/x.go", `import _ "github.com/mattn/go-sqlite3"`, []string{"SQL"}},
		{"a query of the store", "internal/store/x.go", `var q = "DELETE FROM items"`, nil},
		{"a word", "internal/api/x.go", `var q = "select a file"`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+tt.body, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range breaches(tt.path, file) {
				got = append(got, b.what)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

type breach struct {
	what string
	pos  token.Pos
}

// breaches returns what a file at a path, relative to the root, does against
// the bans.
func breaches(path string, file *ast.File) []breach {
	var all []breach
	for _, decl := range file.Decls {
		place := path
		if fn, ok := decl.(*ast.FuncDecl); ok {
			place += "#" + fn.Name.Name
		}
		for n := range ast.Preorder(decl) {
			for _, b := range bans {
				if !b.excepts(place) && b.found(n) {
					all = append(all, breach{b.what, n.Pos()})
				}
			}
		}
	}
	return all
}

func (b ban) excepts(place string) bool {
	return slices.ContainsFunc(b.except, func(prefix string) bool { return strings.HasPrefix(place, prefix) })
}

// productionFiles returns the Go files of this module that are no tests,
// whatever their build constraints, relative to its root.
func productionFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(root, path)
		if err != nil || relErr != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(base, ".") || slices.Contains([]string{"bin", "test", "tools", "testdata"}, base)) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go") {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
