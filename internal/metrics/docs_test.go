package metrics_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An alarm on a metric that does not exist never goes off.
func TestDocs_NameMetricsThatExist(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	golden, page := read("testdata/metrics.golden"), read("../../docs/operate.md")
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`# TYPE (certvigil_\w+)`).FindAllStringSubmatch(golden, -1) {
		there[m[1]] = true
		delivery := strings.HasPrefix(m[1], "certvigil_delivery_") || strings.HasPrefix(m[1], "certvigil_scan_")
		if delivery && !strings.Contains(page, m[1]) {
			t.Errorf("docs/operate.md does not tell of %s", m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\bcertvigil_[a-z_]+[a-z]`).FindAllString(page, -1) {
		if !there[name] {
			t.Errorf("docs/operate.md names %s, which is not there", name)
		}
	}
}
