package header

import (
	"fmt"
	"strings"
)

// Escape makes s a field value that arrives as it was sent: printable ASCII
// without spaces at its ends, which HTTP drops (RFC 9110 §5.5). Each other byte
// becomes \u00 and its two hex digits, as the reference product writes UTF-8
// ("S\u00c3\u00a3o Paulo"). So do the bytes in also: with the backslash among
// them, two different strings never come out alike.
func Escape(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		outer := i == 0 || i == len(s)-1
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && outer || strings.IndexByte(also, c) >= 0 {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// JoinEscaped returns the non-empty elements as one list, separated by commas.
// Backslashes and commas within an element are escaped.
func JoinEscaped(elements []string) string {
	var kept []string
	for _, e := range elements {
		if e != "" {
			kept = append(kept, Escape(e, `\,`))
		}
	}
	return strings.Join(kept, ",")
}
