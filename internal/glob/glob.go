// Package glob matches names against anchored patterns, in linear time. A
// pattern is the whole name: nothing before or after it is passed over.
package glob

import (
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// A Pattern is a compiled pattern. The zero Pattern matches nothing but "".
type Pattern struct {
	text      string
	separator byte
}

// Compile reads a pattern: "*" stands for any run of characters without the
// separator ("." in host names, "/" in URIs; 0 for none), every other
// character for itself. Two stars in a row are refused: what they should mean
// differs among tools.
func Compile(pattern string, separator byte) (Pattern, error) {
	if pattern == "" || strings.Contains(pattern, "**") {
		return Pattern{}, fault.New(fault.Invalid, "pattern", "%q is no pattern", pattern).
			WithHint(`write a name, with "*" for any characters within one part: "*.example.com"`)
	}
	return Pattern{pattern, separator}, nil
}

// Match reports whether the whole name fits.
func (p Pattern) Match(name string) bool {
	first, rest, star := strings.Cut(p.text, "*")
	if !star {
		return name == p.text
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	return p.matchStar(rest, name)
}

// matchStar matches what follows a star: the classic walk with one point of
// return, since a later star never needs an earlier one to take more.
func (p Pattern) matchStar(pattern, name string) bool {
	pi, ni, retryP, retryN := 0, 0, 0, 0
	for {
		switch {
		case pi < len(pattern) && pattern[pi] == '*':
			pi++
			retryP, retryN = pi, ni
		case ni < len(name) && pi < len(pattern) && pattern[pi] == name[ni]:
			pi, ni = pi+1, ni+1
		case ni == len(name) && pi == len(pattern):
			return true
		case retryN < len(name) && (p.separator == 0 || name[retryN] != p.separator):
			retryN++
			pi, ni = retryP, retryN
		default:
			return false
		}
	}
}
