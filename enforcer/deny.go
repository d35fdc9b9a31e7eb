package enforcer

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/templates"
)

// requestIDHeader names the id that an answer of ours shares with the log.
const requestIDHeader = "X-Request-Id"

// refuse logs why, and answers without saying why.
func (e *Enforcer) refuse(w http.ResponseWriter, r *http.Request, f *flight, d decision) {
	e.noteRefusal(f, d)
	if d.status == http.StatusMisdirectedRequest {
		// The client is to come back on a connection made for that name.
		w.Header().Set("Connection", "close")
	}
	e.answer(w, r, f, d.status)
}

func (e *Enforcer) noteRefusal(f *flight, d decision) {
	f.tally.outcome = d
	if f.client != nil {
		e.log.Info("request denied", e.denial(f, &d)...)
	}
	if e.metrics.Request != nil {
		e.metrics.Request(d.application(), false, d.reason)
	}
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
	if d.verdict.detail != "" && d.verdict.reason == d.reason {
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

// The policies for what a page may load. An operator's own page may have
// styles and pictures, and nothing that runs or sends.
const (
	ourPageCSP    = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	customPageCSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// answer writes an answer of our own: in HTML or, for programs, in JSON. The
// same status of the same application gives the same bytes whatever the
// reason, but for the request id.
func (e *Enforcer) answer(w http.ResponseWriter, r *http.Request, f *flight, status int) {
	page := templates.WebError{Status: status, RequestID: f.requestID()}
	var custom *Denial
	if app := f.tally.outcome.app; app != nil && status == http.StatusForbidden {
		custom, page.Message = &app.deny, app.deny.Message
	}
	html, json := preferences(r.Header["Accept"])
	switch {
	case json > html:
		e.answerJSON(w, r, f, page)
	case custom != nil && custom.URL != nil && html > 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		redirect(w, r, f, custom)
	case custom != nil && custom.Page != nil:
		e.answerCustom(w, r, f, page, custom)
	default:
		e.answerPage(w, r, f, page)
	}
}

func (e *Enforcer) answerJSON(w http.ResponseWriter, r *http.Request, f *flight, page templates.WebError) {
	e.answerOurs(w, r, f, page, "application/json", templates.RenderWebErrorJSON)
}

func (e *Enforcer) answerPage(w http.ResponseWriter, r *http.Request, f *flight, page templates.WebError) {
	e.answerOurs(w, r, f, page, "text/html; charset=utf-8", templates.RenderWebError)
}

func (e *Enforcer) answerOurs(w http.ResponseWriter, r *http.Request, f *flight, page templates.WebError, kind string, render func(io.Writer, templates.WebError) error) {
	var body bytes.Buffer
	if err := render(&body, page); err != nil {
		e.renderFailed(f, err)
	}
	setPageHeader(w, kind, ourPageCSP, page.RequestID)
	write(w, r, f, page.Status, body.Bytes())
}

// answerCustom falls back on our own page: a mistake in a template must not
// turn a refusal into anything else.
func (e *Enforcer) answerCustom(w http.ResponseWriter, r *http.Request, f *flight, page templates.WebError, custom *Denial) {
	var body bytes.Buffer
	if err := custom.Page.Execute(&body, page); err != nil {
		e.renderFailed(f, err)
		e.answerPage(w, r, f, page)
		return
	}
	setPageHeader(w, "text/html; charset=utf-8", customPageCSP, page.RequestID)
	write(w, r, f, page.Status, body.Bytes())
}

func (e *Enforcer) renderFailed(f *flight, err error) {
	e.log.Error("rendering a page failed", "request_id", f.requestID(), "application", f.tally.outcome.application(), "error", err)
}

// redirect sends people to the configured address, to which nothing is added:
// neither they nor anybody else can choose where they end up. Programs that do
// not ask for HTML keep their 403, lest they take the other page for success.
func redirect(w http.ResponseWriter, r *http.Request, f *flight, custom *Denial) {
	setPageHeader(w, "text/plain; charset=utf-8", ourPageCSP, f.requestID())
	w.Header().Set("Location", custom.URL.String())
	write(w, r, f, http.StatusFound, nil)
}

func setPageHeader(w http.ResponseWriter, kind, csp, id string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", csp)
	h.Set(requestIDHeader, id)
}

// write ends an answer of our own, and notes it.
func write(w http.ResponseWriter, r *http.Request, f *flight, status int, body []byte) {
	f.dropped.Store(true) // nothing is left of the request that a slow client could hold up
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	f.tally.status = status
	if r.Method != http.MethodHead {
		n, _ := w.Write(body) // a client that has left needs no answer
		f.tally.sent += int64(n)
	}
}

// preferences returns how Accept ranks HTML and JSON (RFC 9110 §12.5.1), each
// 0 unless it is named: "*/*" is not asking for either. JSON is sent where it
// ranks above HTML; without a preference people come first.
func preferences(accept []string) (html, json float64) {
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
	return html, json
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
