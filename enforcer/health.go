package enforcer

import "net/http"

// healthPath tells load balancers whether to send clients here. It is answered
// on every connection whose handshake is complete, for any Host and without a
// certificate, and never reaches an origin.
const healthPath = "/.well-known/certvigil/health"

// isHealthCheck wants the path as it is spelled: any other spelling belongs to
// an application.
func isHealthCheck(r *http.Request) bool { return r.URL.Path == healthPath && r.URL.RawPath == "" }

// serveHealth answers GET and HEAD: 200 while requests are judged, 503 before
// there is a state and from the beginning of a shutdown on.
func (e *Enforcer) serveHealth(w http.ResponseWriter, r *http.Request, f *flight, ready bool) {
	if !allowsRead(w, r, f) {
		return
	}
	status, body := http.StatusOK, "ok\n"
	if !ready || e.life.Err() != nil {
		status, body = http.StatusServiceUnavailable, "not ready\n"
	}
	f.tally.silent = status == http.StatusOK
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	write(w, r, f, status, []byte(body))
}

// allowsRead refuses other methods than GET and HEAD.
func allowsRead(w http.ResponseWriter, r *http.Request, f *flight) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	write(w, r, f, http.StatusMethodNotAllowed, nil)
	return false
}
