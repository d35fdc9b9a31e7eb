package templates

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Few lists the first values by name in at most length characters, and counts
// the rest.
func Few(values []string, length int) string { return OneLine(few(values, length)) }

// Cut returns s with at most n characters, as UTF-16 counts them: so do most
// receivers, and whoever counts code points counts fewer. What is cut off is
// counted at the end, where there is room for that.
func Cut(s string, n int) string {
	return cut(s, n, func(r rune) int { return max(utf16.RuneLen(r), 1) })
}

// CutBytes is [Cut] by bytes of UTF-8.
func CutBytes(s string, n int) string {
	return cut(s, n, func(r rune) int { return max(utf8.RuneLen(r), 1) })
}

// roomToCount is from which limit on a cut tells how much it took away.
const roomToCount = 40

func cut(s string, n int, size func(rune) int) string {
	s = strings.ToValidUTF8(s, "?")
	total := 0
	for _, r := range s {
		total += size(r)
	}
	if total <= n {
		return s
	}
	mark := "…"
	if n >= roomToCount {
		// As long as it can get: the number is known only once it is cut.
		mark = fmt.Sprintf("… (%d more)", total)
	}
	for _, r := range mark {
		n -= size(r)
	}
	end := fit(s, n, size)
	if mark != "…" {
		mark = fmt.Sprintf("… (%d more)", utf8.RuneCountInString(s[end:]))
	}
	return s[:end] + mark
}

// fit returns how many bytes of s go into n, without taking apart what readers
// see as one character.
func fit(s string, n int, size func(rune) int) int {
	end := 0
	for i, r := range s {
		if n -= size(r); n < 0 {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	// A pile of marks is no reason to throw everything away.
	for back, tries := end, 0; back > 0 && tries < 16; tries++ {
		if !joined(s, back) {
			return back
		}
		_, width := utf8.DecodeLastRuneInString(s[:back])
		back -= width
	}
	return end
}

// joined reports whether the runes before and after a place belong together:
// a mark, a variation or a skin tone and what bears it, what a joiner joins, and
// the two letters of a flag.
func joined(s string, at int) bool {
	const joiner = '\u200d'
	next, _ := utf8.DecodeRuneInString(s[at:])
	previous, _ := utf8.DecodeLastRuneInString(s[:at])
	switch {
	case unicode.Is(unicode.M, next), next >= 0x1F3FB && next <= 0x1F3FF, next == joiner, previous == joiner:
		return true
	case flag(next) && flag(previous):
		letters := 0
		for before := s[:at]; ; letters++ {
			r, width := utf8.DecodeLastRuneInString(before)
			if !flag(r) {
				break
			}
			before = before[:len(before)-width]
		}
		return letters%2 == 1
	}
	return false
}

// flag reports whether a rune is a letter of a flag.
func flag(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }
