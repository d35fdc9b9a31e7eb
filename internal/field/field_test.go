package field_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/field"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for at := range length {
			for b := range 256 {
				s := strings.Repeat("a", at) + string([]byte{byte(b)}) + strings.Repeat("\xff", length-at-1)
				if got, want := field.Printable(s), b == '\t' || b >= ' ' && b != 0x7f; got != want {
					t.Fatalf("%q: %v", s, got)
				}
			}
		}
	}
}

func TestSectionEnd(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a": 0, "a\r\n": 0, "a\r\n\r": 0, "a\r\n\r\n": 5, "\r\n": 2, "\r\nb": 2, "a\r\nb: c\r\n\r\nrest": 11,
		"a\n": -1, "\n": -1, "a\r\nb\n": -1, "a\r\n\n": -1, "a\r\r\n\r\n": 6,
	} {
		got, err := field.SectionEnd([]byte(text))
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	into := http.Header{"Before": {"1"}}
	err := field.Parse("before: 2\r\naccept:\t text/html \r\nX-Empty:\r\nAccept: a\tb\r\n", into)
	want := http.Header{"Before": {"1", "2"}, "Accept": {"text/html", "a\tb"}, "X-Empty": {""}}
	if err != nil || !reflect.DeepEqual(into, want) {
		t.Errorf("%v: %v", into, err)
	}
	for _, lines := range []string{
		"a\r\n", ": v\r\n", "a : v\r\n", " a: v\r\n", "a: v\r\n folded\r\n", "a: v\rb\r\n", "a: \x00\r\n", "a\x80: v\r\n", "a: v\x7f\r\n",
	} {
		if err := field.Parse(lines, http.Header{}); err == nil {
			t.Errorf("%q is accepted", lines)
		}
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int64{
		"0": 0, "007": 7, "9223372036854775807": 1<<63 - 1,
		"": -1, "+5": -1, "-5": -1, " 5": -1, "5 5": -1, "5,5": -1, "0x5": -1, "5_0": -1, "9223372036854775808": -1,
	} {
		n, ok := field.Length(value)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", value, n, want)
		}
	}
}
