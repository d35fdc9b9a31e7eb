// Package header knows the headers that an application asks to be given about
// its client's certificate: which names it may ask for, how origins confuse
// names, the templates of the values, and what makes a value safe to send.
// Configuration and listener hold the same rules by it.
package header

import (
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/fault"
)

// MaxName is the longest name that an application may ask for, in bytes.
const MaxName = 64

// Names, folded, that carry the message itself, or what the gateway says by
// rules of its own. "proxy" is the HTTP_PROXY of CGI (CVE-2016-5385).
var (
	refusedPrefixes = []string{"cf-", "client-cert", "x-forwarded-", "proxy-"}
	refusedNames    = []string{
		"connection", "content-encoding", "content-length", "cookie", "date", "expect", "forwarded", "host",
		"keep-alive", "proxy", "te", "trailer", "transfer-encoding", "true-client-ip", "upgrade", "x-real-ip",
	}
)

// CheckName refuses a name that is no field name (RFC 9110 §5.1), is longer
// than [MaxName], belongs to the connection, the framing, the host or the
// cookies, or is set by the gateway itself. The error is a fault.Invalid of
// rule "header_name" with a hint.
func CheckName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) || len(name) > MaxName {
		return fault.New(fault.Invalid, "header_name", "%q is no name of a header", name).
			WithHint("write up to %d letters, digits and dashes, such as X-Cert-Serial", MaxName)
	}
	folded := Fold(name)
	prefixed := func(prefix string) bool { return strings.HasPrefix(folded, prefix) }
	if slices.Contains(refusedNames, folded) || slices.ContainsFunc(refusedPrefixes, prefixed) {
		return fault.New(fault.Invalid, "header_name", "%q is a header of the connection, or one that the gateway sets itself", name).
			WithHint("choose a name of its own, such as X-Cert-Serial")
	}
	return nil
}

// Fold returns the one name by which an origin in the CGI tradition knows the
// header: lower case, everything but letters and digits a dash. Names that
// fold alike must not come from two hands.
func Fold(name string) string { return string(AppendFold(nil, name)) }

// AppendFold appends what [Fold] returns to buf.
func AppendFold(buf []byte, name string) []byte {
	for i := range len(name) {
		b := name[i]
		switch {
		case b >= 'A' && b <= 'Z':
			b += 'a' - 'A'
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9':
		default:
			b = '-'
		}
		buf = append(buf, b)
	}
	return buf
}
