package templates_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certvigil/certvigil/templates"
)

func TestCut(t *testing.T) {
	t.Parallel()
	const family, thumb, flags = "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪🇫🇷"
	for _, tt := range []struct {
		name, text string
		n          int
		want       string
	}{
		{"shorter", "abc", 4, "abc"},
		{"as long", "abcd", 4, "abcd"},
		{"longer by one", "abcde", 4, "abc…"},
		{"one character", "abcde", 1, "…"},
		{"an emoji is two", "👩👩👩", 5, "👩👩…"},
		{"half an emoji does not fit", "👩👩👩", 4, "👩…"},
		{"a mark stays with its letter", "abcde\u0301f", 6, "abcd…"},
		{"a mark that fits", "abe\u0301fgh", 5, "abe\u0301…"},
		{"what a joiner joins", "a" + family + "b", 5, "a…"},
		{"a skin tone", "ab" + thumb + "cd", 5, "ab…"},
		{"a flag", flags + "x", 7, "🇩🇪…"},
		{"a flag that fits", "a" + flags + "xy", 6, "a🇩🇪…"},
		{"marks upon marks", "e" + strings.Repeat("\u0301", 100), 30, "e" + strings.Repeat("\u0301", 28) + "…"},
		{"counted", strings.Repeat("x", 100), 40, strings.Repeat("x", 28) + "… (72 more)"},
		{"invalid", "a\xffb", 9, "a?b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := templates.Cut(tt.text, tt.n); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestCutBytes(t *testing.T) {
	t.Parallel()
	if got, want := templates.CutBytes("äöüäöü", 9), "äöü…"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	long := strings.Repeat("ä", 100)
	if got := templates.CutBytes(long, 60); len(got) > 60 || !strings.HasSuffix(got, fmt.Sprintf("… (%d more)", 100-strings.Count(got, "ä"))) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("abc", 2)
	f.Add("e\u0301👩\u200d👧🇩🇪\xff", 5)
	f.Add(strings.Repeat("\u0301", 90), 60)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 3 + n&0xff
		got, bytes := templates.Cut(s, n), templates.CutBytes(s, n)
		if !utf8.ValidString(got) || !utf8.ValidString(bytes) {
			t.Errorf("not UTF-8: %q, %q", got, bytes)
		}
		if units := len(utf16.Encode([]rune(got))); units > n || len(bytes) > n {
			t.Errorf("%d characters, %d bytes, at most %d", units, len(bytes), n)
		}
	})
}
