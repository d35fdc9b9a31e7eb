package access

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/internal/fault"
)

// maxMessage is the length of the longest message to those who are denied, in
// characters.
const maxMessage = 1000

// CheckPath wants a clean prefix, so that one request has one application.
func CheckPath(prefix string) error {
	if prefix == "/" {
		return nil
	}
	if !strings.HasPrefix(prefix, "/") || path.Clean(prefix) != prefix || strings.ContainsAny(prefix, "%\\?#;* \x00") {
		return fault.New(fault.Invalid, "path", "%q is no path prefix", prefix).
			WithHint(`write "/" or a prefix such as "/admin", decoded and without a slash at its end`)
	}
	return nil
}

// CheckMessage wants a plain text for those who are denied.
func CheckMessage(message string) error {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' }
	switch {
	case utf8.RuneCountInString(message) > maxMessage:
		return fault.New(fault.Invalid, "deny_message", "it has %d characters", utf8.RuneCountInString(message)).
			WithHint("write up to 1000 characters, or use custom_deny_page in the configuration")
	case !utf8.ValidString(message) || strings.ContainsFunc(message, control):
		return fault.New(fault.Invalid, "deny_message", "it holds control characters").WithHint("write plain text")
	}
	return nil
}

// CheckDenyURL wants a page that everybody may see the address of.
func CheckDenyURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err == nil && u.User != nil:
		return fault.New(fault.Invalid, "deny_url", "everybody would see the user or the password in it").WithHint("remove it")
	case err != nil || !slices.Contains([]string{"https", "http"}, u.Scheme) || u.Hostname() == "" || u.Opaque != "":
		return fault.New(fault.Invalid, "deny_url", "%q is no absolute https or http URL", raw).WithHint("write https or http, a host and at most a path")
	}
	return nil
}

// The schemes of an origin.
const (
	HTTP  = "http"
	HTTPS = "https"
	H2C   = "h2c" // HTTP/2 without TLS
)

const originHint = `write it as "http://127.0.0.1:9000"; https for TLS, h2c for gRPC without TLS`

// CheckOrigin wants scheme, host and port alone. Its errors do not repeat the
// text, which may hold a password.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || !slices.Contains([]string{HTTP, HTTPS, H2C}, u.Scheme) || u.Hostname() == "" || u.Opaque != "" {
		return fault.New(fault.Invalid, "origin", "it is no http, https or h2c URL with a host").WithHint(originHint)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return fault.New(fault.Invalid, "origin", "an origin is scheme, host and port alone").WithHint(originHint)
	}
	return nil
}
