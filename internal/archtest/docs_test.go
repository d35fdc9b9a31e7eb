package archtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	namedCase   = regexp.MustCompile("`([a-z]+: [^`]+)`")
	definedTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	definedCase = regexp.MustCompile(`(?m)^	"([a-z]+: [^"]+)": func`)
)

// TestDocs_NameTestsThatExist: a defence whose test was renamed or deleted must
// not go on being promised. A case of the store's contract is named as it is
// written there.
func TestDocs_NameTestsThatExist(t *testing.T) {
	t.Parallel()
	defined := definedTests(t)
	for _, page := range []struct {
		name  string
		least int // tests, at least one for each row
	}{{"security.md", 16}, {"delivery.md", 45}} {
		doc, err := os.ReadFile(filepath.Join(root, "docs", page.name))
		if err != nil {
			t.Fatal(err)
		}
		named := append(namedTest.FindAllSubmatch(doc, -1), namedCase.FindAllSubmatch(doc, -1)...)
		if len(named) < page.least {
			t.Errorf("docs/%s names %d tests; each of its rows needs one", page.name, len(named))
		}
		for _, m := range named {
			if name := string(m[1]); !defined[name] {
				t.Errorf("docs/%s names %s, which is not there", page.name, name)
			}
		}
	}
}

// definedTests are the names of all tests, and of the cases of the store's
// contract.
func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		contract := strings.Contains(path, filepath.Join("internal", "store", "storetest"))
		if err != nil || !strings.HasSuffix(path, "_test.go") && !contract || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		pattern := definedTest
		if contract {
			pattern = definedCase
		}
		for _, m := range pattern.FindAllSubmatch(source, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return defined
}
