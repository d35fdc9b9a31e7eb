package v4

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// An envelope is the body of every answer. Errors and messages are never null:
// clients decode them as arrays.
type envelope struct {
	Success    bool        `json:"success"`
	Errors     []remark    `json:"errors"`
	Messages   []remark    `json:"messages"`
	Result     any         `json:"result"`
	ResultInfo *resultInfo `json:"result_info,omitempty"`
}

// A remark is an error or a message.
type remark struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Source  *source `json:"source,omitempty"`
}

// A source says what an error is about: a JSON pointer into the body (RFC
// 6901), or "?name" for a parameter of the query.
type source struct {
	Pointer string `json:"pointer"`
}

// The codes of errors and messages. Those of the reference are as far as they
// are known; it has no public number for what only this product says.
const (
	codeInvalidToken   = 1000
	codeRate           = 971
	codeNoRoute        = 7003
	codeForbidden      = 9109
	codeAuthentication = 10000
	codeMethod         = 10405
	codeInternal       = 12001
	codeUnavailable    = 12002
	codeInvalid        = 12130
	codeConflict       = 12132
	codeNotFound       = 12135
	codeWarning        = 12199
)

// Rules that have a status or a code of their own.
const (
	ruleAccount      = "account"
	ruleContentType  = "content_type"
	ruleMethod       = "method"
	rulePrecondition = "if_match"
	ruleRate         = "rate"
	ruleRoute        = "route"
)

// An outcome is how an error is shown.
type outcome struct {
	status, code int
	prefix       string
}

var byRule = map[string]outcome{
	ruleAccount:      {http.StatusNotFound, codeForbidden, "Unauthorized to access requested resource"},
	ruleContentType:  {http.StatusUnsupportedMediaType, codeInvalid, "access.api.error.invalid_request"},
	ruleMethod:       {http.StatusMethodNotAllowed, codeMethod, "Method not allowed"},
	rulePrecondition: {http.StatusPreconditionFailed, codeConflict, "access.api.error.conflict"},
	ruleRate:         {http.StatusTooManyRequests, codeRate, "Please wait and consider throttling your request speed"},
	ruleRoute:        {http.StatusNotFound, codeNoRoute, "Could not route the request"},
}

var byKind = map[fault.Kind]outcome{
	fault.Invalid:       {http.StatusBadRequest, codeInvalid, "access.api.error.invalid_request"},
	fault.Usage:         {http.StatusBadRequest, codeInvalid, "access.api.error.invalid_request"},
	fault.Unauthorized:  {http.StatusUnauthorized, codeAuthentication, "Authentication error"},
	fault.Forbidden:     {http.StatusForbidden, codeForbidden, "Unauthorized to access requested resource"},
	fault.NotFound:      {http.StatusNotFound, codeNotFound, "access.api.error.not_found"},
	fault.Conflict:      {http.StatusConflict, codeConflict, "access.api.error.conflict"},
	fault.TooLarge:      {http.StatusRequestEntityTooLarge, codeInvalid, "access.api.error.invalid_request"},
	fault.Unprocessable: {http.StatusUnprocessableEntity, codeInvalid, "access.api.error.invalid_request"},
	fault.Unavailable:   {http.StatusServiceUnavailable, codeUnavailable, "access.api.error.unavailable"},
}

// hints that speak of this API where the fault's own speak of the command line.
var hints = map[string]string{
	"name":    "send a name of 1 to 350 characters that can be shown",
	"revoked": "have another one issued, or lift the revocation here first",
}

// A located is an error with the place in the request that it is about.
type located struct {
	pointer string
	err     error
}

// Error returns the text of the error.
func (e *located) Error() string { return e.err.Error() }

// Unwrap returns the error.
func (e *located) Unwrap() error { return e.err }

// at says where in the request an error is, unless it says so itself, or is
// about no place in it.
func at(pointer string, err error) error {
	var known *located
	if err == nil || errors.As(err, &known) || fault.Is(err, fault.NotFound) || fault.Rule(err) == rulePrecondition {
		return err
	}
	if field := fault.Field(err); field != "" {
		pointer = "/" + field
	}
	return &located{pointer, err}
}

// outcomeOf never says what an internal error says.
func outcomeOf(r *http.Request, err error) (outcome, remark) {
	kind, rule := fault.KindOf(err), fault.Rule(err)
	out, known := byRule[rule]
	if !known {
		out, known = byKind[kind]
	}
	if !known {
		return outcome{status: http.StatusInternalServerError}, remark{Code: codeInternal, Message: "access.api.error.internal_server_error"}
	}
	if strings.Contains(r.Pattern, "/alerting/") {
		out.prefix = strings.Replace(out.prefix, "access.api", "alerting.api", 1)
	}
	if kind == fault.Unauthorized && strings.HasSuffix(r.Pattern, "/tokens/verify") && rule != ruleRate {
		out.code, out.prefix = codeInvalidToken, "Invalid API Token"
	}
	shown := remark{Code: out.code, Message: out.prefix + ": " + err.Error()}
	hint, ok := hints[rule]
	if !ok {
		hint = fault.Hint(err)
	}
	if hint != "" {
		shown.Message += "; " + hint
	}
	var place *located
	if errors.As(err, &place) {
		shown.Source = &source{place.pointer}
	} else if out.code == codeInvalid {
		shown.Source = &source{}
	}
	return out, shown
}

// Fail answers with the error, and logs it: in full and loudly when it is ours.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, err error) {
	out, shown := outcomeOf(r, err)
	id := h.o.RequestID(r.Context())
	switch {
	case r.Context().Err() != nil:
		h.o.Logger.Debug("the client went away", "request_id", id, "error", err)
	case out.status == http.StatusInternalServerError:
		h.o.Logger.Error("request failed", "request_id", id, "route", r.Pattern, "error", err)
	case out.status > http.StatusInternalServerError:
		h.o.Logger.Warn("request not served", "request_id", id, "route", r.Pattern, "error", err)
	default:
		h.o.Logger.Debug("request refused", "request_id", id, "route", r.Pattern, "status", out.status, "rule", fault.Rule(err))
	}
	w.Header().Set("Cf-Ray", id)
	if out.status < http.StatusInternalServerError && out.status != http.StatusTooManyRequests {
		w.Header().Set("X-Should-Retry", "false") // clients would try a conflict again
	}
	send(w, out.status, envelope{Errors: []remark{shown}})
}

// succeed answers with a result. Warnings go as messages.
func succeed(w http.ResponseWriter, status int, result any, warnings []string, info *resultInfo) {
	e := envelope{Success: true, Result: result, ResultInfo: info}
	for _, text := range warnings {
		e.Messages = append(e.Messages, remark{Code: codeWarning, Message: text})
	}
	send(w, status, e)
}

func send(w http.ResponseWriter, status int, e envelope) {
	if e.Errors == nil {
		e.Errors = []remark{}
	}
	if e.Messages == nil {
		e.Messages = []remark{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // nosniff and the content type keep it from being HTML
	enc.SetIndent("", "  ")
	_ = enc.Encode(e) // the client may be gone; the status is sent
}
