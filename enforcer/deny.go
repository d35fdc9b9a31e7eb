package enforcer

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/templates"
)

// requestIDHeader names the id that an answer of ours shares with the log.
const requestIDHeader = "X-Request-Id"

// refuse logs why, and answers without saying why.
func (e *Enforcer) refuse(w http.ResponseWriter, r *http.Request, f *flight, d decision) {
	if f.client != nil {
		e.log.Info("request denied", e.denial(f, &d)...)
	}
	if e.metrics.Request != nil {
		e.metrics.Request(d.application(), false, d.reason)
	}
	if d.status == http.StatusMisdirectedRequest {
		// The client is to come back on a connection made for that name.
		w.Header().Set("Connection", "close")
	}
	e.answer(w, r, f.requestID(), d.status)
}

// denial returns the attributes of a log line about a refusal. Host names as
// the client spelled them are quoted by the log handler.
func (e *Enforcer) denial(f *flight, d *decision) []any {
	hostname := d.name
	if hostname == "" {
		hostname = f.host
	}
	attrs := []any{
		"request_id", f.requestID(), "application", d.application(), "reason", string(d.reason),
		"hostname", hostname, "remote", f.addr.String(), "fingerprint", f.client.fingerprint(),
	}
	if d.policy != "" {
		attrs = append(attrs, "policy", d.policy)
	}
	if d.verdict.detail != "" {
		attrs = append(attrs, "detail", d.verdict.detail)
	}
	return attrs
}

func (e *Enforcer) logCutOff(f *flight, d *decision) {
	e.log.Info("request cut off", e.denial(f, d)...)
	if e.metrics.CutOff != nil {
		e.metrics.CutOff(d.application(), d.reason)
	}
}

// answer writes a page of our own, in HTML or, for programs, in JSON. The same
// status gives the same bytes whatever the reason, but for the request id.
func (e *Enforcer) answer(w http.ResponseWriter, r *http.Request, id string, status int) {
	page := templates.WebError{Status: status, RequestID: id}
	var body bytes.Buffer
	render, kind := templates.RenderWebError, "text/html; charset=utf-8"
	if prefersJSON(r.Header["Accept"]) {
		render, kind = templates.RenderWebErrorJSON, "application/json"
	}
	if err := render(&body, page); err != nil {
		e.log.Error("rendering a page failed", "status", status, "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set(requestIDHeader, id)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // a client that has left needs no answer
	}
}

// prefersJSON reports whether Accept ranks JSON above HTML (RFC 9110 §12.5.1).
// Without a preference people come first: HTML.
func prefersJSON(accept []string) bool {
	var json, html float64
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		q := quality(parameters)
		switch kind = strings.ToLower(strings.TrimSpace(kind)); {
		case kind == "application/json", strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
			json = max(json, q)
		case kind == "text/html", kind == "application/xhtml+xml":
			html = max(html, q)
		}
	}
	return json > html
}

func quality(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
		return 0
	}
	return 1
}
