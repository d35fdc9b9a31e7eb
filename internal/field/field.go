// Package field reads the lines of an HTTP/1.1 head (RFC 9112 §5), for whoever
// reads one: the listener those of clients, and the way to the origins their
// answers. It is strict. What two readers might take differently is an error
// and never repaired: lines that do not end in CRLF, folded lines, spaces before
// the colon, control characters.
package field

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// ErrBareLF says that a line ends without a carriage return: one reader's line
// is another's half.
var ErrBareLF = errors.New("a bare line feed")

// SectionEnd returns the length of the section at the beginning of text, the
// empty line that ends it included, or 0 if it is not complete.
func SectionEnd(text []byte) (int, error) {
	for start := 0; ; {
		n := bytes.IndexByte(text[start:], '\n')
		switch {
		case n < 0:
			return 0, nil
		case n == 0 || text[start+n-1] != '\r':
			return 0, ErrBareLF
		case n == 1:
			return start + 2, nil
		}
		start += n + 1
	}
}

// Parse reads header lines, each with its line end, into a header, by their
// canonical names and after what it has already. All values share one string and
// one slice. The error quotes no more than the beginning of a line.
func Parse(lines string, into http.Header) error {
	values := make([]string, 0, strings.Count(lines, "\n"))
	for lines != "" {
		var l string
		l, lines, _ = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(l, ":")
		if !found || !Token(name) {
			// Folded lines and spaces before the colon are among these.
			return fmt.Errorf("header line %.40q", l)
		}
		value = strings.Trim(value, " \t") // and no carriage return
		if !Printable(value) {
			return fmt.Errorf("value of header %.40q", name)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if before := into[name]; before != nil {
			into[name] = append(before, value)
			continue
		}
		values = append(values, value)
		into[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return nil
}

// Token reports whether s is one (RFC 9110 §5.6.2).
func Token(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = func() (table [256]bool) {
	for b := range table {
		table[b] = b < 0x80 && httpguts.IsTokenRune(rune(b))
	}
	return table
}()

// Visible reports whether s has neither spaces nor control characters.
func Visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// Printable reports whether s has no control character but tabs. It looks at
// eight bytes at a time: most are long tokens.
func Printable(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := x ^ 0x7f*ones
		if suspicious := ((x-' '*ones)&^x | (del-ones)&^del) & high; suspicious != 0 && !printableBytes(s[:8]) {
			return false
		}
		s = s[8:]
	}
	return printableBytes(s)
}

func printableBytes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
