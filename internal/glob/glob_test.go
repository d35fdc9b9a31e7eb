package glob_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/glob"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern   string
		separator byte
		fits      []string
		not       []string
	}{
		{"a.example.com", '.', []string{"a.example.com"}, []string{"", "a.example.com.", "xa.example.com", "a.example.comx", "A.example.com", "aXexample.com"}},
		{"*.example.com", '.', []string{"a.example.com", ".example.com", "*.example.com"}, []string{"example.com", "b.a.example.com", "a.example.com.evil", "a.example.net"}},
		{"*", '.', []string{"", "localhost"}, []string{"a.b", "."}},
		{"*", 0, []string{"", "a.b/c d", "\n", "\x00"}, nil},
		{"device-*", 0, []string{"device-", "device-7", "device-a.b"}, []string{"device", "Device-7", "my device-7"}},
		{"*-7", 0, []string{"-7", "a-7", "a-7-7"}, []string{"a-70", "-7 "}},
		{"spiffe://example/*/web", '/', []string{"spiffe://example/a/web", "spiffe://example//web"}, []string{"spiffe://example/a/b/web", "spiffe://example/web", "spiffe://example/a/web/"}},
		{"a*b*c", '.', []string{"abc", "aXbYc", "abbcc", "abcbc"}, []string{"ab.c", "a.bc", "acb", "abcX"}},
		{"*a*.b*", '.', []string{"a.b", "xax.bx", "aa.b"}, []string{"x.a.b", "a.x.b", "xa.b.c"}},
		{"*.*.example", '.', []string{"a.b.example", "..example"}, []string{"a.example", "a.b.c.example"}},
		{"(a|b)[c]+.?", 0, []string{"(a|b)[c]+.?"}, []string{"ac.", "bc"}},
		{"*ü", 0, []string{"ü", "üü", "xü"}, []string{"u", "\xbc"}},
	} {
		p, err := glob.Compile(tt.pattern, tt.separator)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tt.fits {
			if !p.Match(name) {
				t.Errorf("%q does not match %q", tt.pattern, name)
			}
		}
		for _, name := range tt.not {
			if p.Match(name) {
				t.Errorf("%q matches %q", tt.pattern, name)
			}
		}
	}
}

func TestCompile_refuses(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "**", "a**b", "***", "a.**"} {
		if _, err := glob.Compile(pattern, '.'); fault.Rule(err) != "pattern" {
			t.Errorf("%q: error %v", pattern, err)
		}
	}
}

func TestPattern_zero(t *testing.T) {
	t.Parallel()
	var p glob.Pattern
	if !p.Match("") || p.Match("a") {
		t.Error("the zero pattern matches something else than nothing")
	}
}

// TestMatch_linear: no name makes a pattern slow. Backtracking over each star
// would take this one to the end of days.
func TestMatch_linear(t *testing.T) {
	t.Parallel()
	p, err := glob.Compile(strings.Repeat("a*", 200)+"b", 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("a", 20_000)
	start := time.Now()
	if p.Match(name) {
		t.Error("matches")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzMatch compares with the regular expression that a pattern means.
func FuzzMatch(f *testing.F) {
	for _, seed := range []struct{ pattern, name string }{
		{"*.example.com", "a.example.com"},
		{"*.example.com", "b.a.example.com"},
		{"a*b*c", "abbc"},
		{"*a*.b*", "a.x.b"},
		{"*", "."},
		{"spiffe://example/*", "spiffe://example/a"},
		{"(a|b)", "a"},
		{"*ü*", "üx"},
		{"a*a", "a"},
		{"*ab*ab", "abab.ab"},
	} {
		for _, separator := range []byte{'.', '/', '@', 0} {
			f.Add(seed.pattern, seed.name, separator)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, name string, separator byte) {
		p, err := glob.Compile(pattern, separator)
		if err != nil || !utf8.ValidString(pattern) || !utf8.ValidString(name) || separator >= utf8.RuneSelf || separator == '*' {
			return // package regexp has no say about bytes
		}
		run := `(?s:.*)`
		if separator != 0 {
			run = `[^` + regexp.QuoteMeta(string(rune(separator))) + `]*`
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		oracle := regexp.MustCompile(`\A` + strings.Join(parts, run) + `\z`)
		if got, want := p.Match(name), oracle.MatchString(name); got != want {
			t.Errorf("%q (separator %q) and %q: %v, want %v", pattern, separator, name, got, want)
		}
	})
}
