package templates

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// How long one value of a certificate may be in a message, in characters, and
// where space is scarce.
const (
	maxValue = 600
	maxBrief = 200
)

// clean is [OneLine], bounded.
func clean(s string) string { return Cut(OneLine(s), maxValue) }

// OneLine returns s in one line, as valid UTF-8 and without control and
// invisible characters: what comes from outside can then forge no line, no
// header and no direction of writing.
func OneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// CleanLines is [OneLine] for each line of a text, each of them bounded.
func CleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
