package field

import (
	"net/http"
	"strconv"
	"strings"
)

// Length reads the value of a Content-Length (RFC 9110 §8.6): digits and nothing
// else, below 2^63.
func Length(value string) (n int64, ok bool) {
	if strings.Trim(value, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}

// Bodiless reports whether answers with that status have no body, whatever their
// fields say (RFC 9112 §6.3). Neither have those to HEAD.
func Bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}
