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
func clean(s string) string { return shorten(flatten(s), maxValue) }

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

// shorten cuts s to at most n characters, the last of which tells of the cut.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// wrap breaks s after spaces and commas into lines of at most width
// characters; a piece without either is never broken.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, piece := range pieces(s) {
		if line != "" && utf8.RuneCountInString(line+strings.TrimRight(piece, " ")) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += piece
	}
	return append(lines, strings.TrimRight(line, " "))
}

// pieces cuts s behind each space and comma.
func pieces(s string) []string {
	var out []string
	start := 0
	for i, r := range s {
		if r == ' ' || r == ',' {
			out = append(out, s[start:i+1])
			start = i + 1
		}
	}
	return append(out, s[start:])
}
