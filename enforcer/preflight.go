package enforcer

import "net/http"

// isPreflight reports whether the request is one that a browser asks on its
// own before a cross-origin one, without any certificate or cookie.
// It is strict: what has a body, or asks to leave HTTP, is none.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.ContentLength == 0 && len(r.Header["Upgrade"]) == 0 &&
		hasOne(r.Header["Origin"]) && hasOne(r.Header["Access-Control-Request-Method"])
}

func hasOne(values []string) bool { return len(values) == 1 && values[0] != "" }
