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

// clean makes one line of text out of what came from outside: control and
// invisible formatting characters, which could forge lines or turn their
// direction round, become spaces or go, and the length is bounded.
func clean(s string) string { return Cut(flatten(s), maxValue) }

// flatten is clean without the bound.
func flatten(s string) string {
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

// cleanLines cleans each line of a text and keeps its line breaks.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
