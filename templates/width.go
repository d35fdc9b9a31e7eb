package templates

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columns is how wide the text of a mail is, as a terminal shows it.
const columns = 72

// runeColumns is how many columns of a terminal a rune takes.
func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), r >= 0x1F3FB && r <= 0x1F3FF: // a skin tone changes what is before it
		return 0
	case r >= 0x1F300 && r <= 0x1FAFF:
		return 2
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func textColumns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// wrap breaks s after spaces and commas into lines of at most limit columns. A
// piece that is wider by itself is broken anywhere, unless it is an address to
// be opened.
func wrap(s string, limit int) []string {
	var lines []string
	line := ""
	for _, piece := range pieces(s) {
		if line != "" && textColumns(line+strings.TrimRight(piece, " ")) > limit {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		for line == "" && textColumns(strings.TrimRight(piece, " ")) > limit && !strings.Contains(piece, "://") {
			end := within(piece, limit)
			lines = append(lines, piece[:end])
			piece = piece[end:]
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

// within returns how many bytes of s fit into limit columns, at least one rune.
func within(s string, limit int) int {
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > limit && i > 0 {
			return i
		}
	}
	return len(s)
}

// narrow cuts s to at most limit columns, the last of which tells of the cut.
func narrow(s string, limit int) string {
	if textColumns(s) <= limit {
		return s
	}
	return s[:within(s, limit-1)] + "…"
}

// padded is s with spaces behind it up to so many columns.
func padded(s string, limit int) string {
	return s + strings.Repeat(" ", max(0, limit-textColumns(s)))
}
