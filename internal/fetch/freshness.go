package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxValidator is how long an ETag or a Last-Modified may be that is kept.
const maxValidator = 1 << 10

// maxMaxAge bounds what a server says: a year is forever (RFC 9111 §1.2.2).
const maxMaxAge = 365 * 24 * time.Hour

// validator returns a header that is sent back with the next request, or "".
func validator(header http.Header, name string) string {
	if v := header.Get(name); len(v) <= maxValidator {
		return v
	}
	return ""
}

// maxAge returns for how long an answer stays current: its max-age less the
// time that it spent in caches, else what is between Date and Expires (RFC 9111
// §4.2.1). It is 0 when that is over or unknown.
func maxAge(header http.Header, now time.Time) time.Duration {
	age, said := directive(header)
	if said {
		age -= seconds(header.Get("Age"))
	} else if expires, err := http.ParseTime(header.Get("Expires")); err == nil {
		date, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			date = now
		}
		age = expires.Sub(date)
	}
	return min(max(age, 0), maxMaxAge)
}

// directive returns what Cache-Control says, if it does.
func directive(header http.Header) (age time.Duration, said bool) {
	for field := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(field)), "=")
		switch name {
		case "no-cache", "no-store":
			return 0, true
		case "max-age":
			age, said = seconds(strings.Trim(value, `"`)), true
		}
	}
	return age, said
}

// seconds reads a number of seconds; anything else is none.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, uint64(maxMaxAge/time.Second))) * time.Second
}
