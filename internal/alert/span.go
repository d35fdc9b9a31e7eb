package alert

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const maxDays = int64(math.MaxInt64 / Day)

// ParseSpan reads a span of time that is not negative, written as days and what
// [time.ParseDuration] knows: "30d", "36h", "1d12h", "0d". Its errors say what was
// wrong with it.
func ParseSpan(s string) (time.Duration, error) {
	if s == "" || strings.ContainsAny(s, "+-") {
		return 0, fmt.Errorf("%q is no span of time", s)
	}
	whole, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		whole, rest = "0", s
	}
	days, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || days > maxDays:
		return 0, fmt.Errorf("%q is more than %d days", s, maxDays)
	case err != nil:
		return 0, fmt.Errorf("%q is no span of time", s)
	case rest == "":
		return time.Duration(days) * Day, nil
	case rest == "0" || rest[len(rest)-1] < 'a':
		return 0, fmt.Errorf("%q has no unit", s)
	}
	part, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is no span of time", s)
	}
	total := time.Duration(days)*Day + part
	if total < 0 {
		return 0, fmt.Errorf("%q is more than %d days", s, maxDays)
	}
	return total, nil
}

// FormatSpan returns a span as [ParseSpan] reads it and people write it, e.g.
// "1d12h".
func FormatSpan(d time.Duration) string {
	days, rest := d/Day, d%Day
	if rest == 0 {
		return fmt.Sprintf("%dd", days)
	}
	s := rest.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if days > 0 {
		s = fmt.Sprintf("%dd%s", days, s)
	}
	return s
}
