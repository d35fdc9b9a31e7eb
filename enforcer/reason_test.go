package enforcer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReasons: docs/operate.md tells of every reason that the log can give.
func TestReasons(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok {
			reason, _ := strconv.Unquote(literal.Value)
			if reasons++; !strings.Contains(string(page), reason+"`") {
				t.Errorf("docs/operate.md does not tell of %s", reason)
			}
		}
		return true
	})
	if reasons < 20 {
		t.Errorf("only %d reasons were found", reasons)
	}
}
