package fault

import "net/http"

// A Problem is an error as RFC 9457 has it. Beyond that, Rule, Field and Hint
// say what was broken, where, and how to mend it.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Rule      string `json:"rule,omitempty"`
	Field     string `json:"field,omitempty"`
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"request_id"`
}

// ProblemOf returns what a remote caller may know of an error. It never shows
// what an internal one says.
func ProblemOf(err error) Problem {
	kind, status := KindOf(err), Status(err)
	if kind == Internal || status < http.StatusBadRequest {
		return Problem{Type: "about:blank", Title: Internal.Title(), Status: http.StatusInternalServerError, Detail: "internal error"}
	}
	p := Problem{Type: "about:blank", Title: kind.Title(), Status: status, Detail: err.Error(), Rule: Rule(err), Field: Field(err), Hint: Hint(err)}
	if p.Rule != "" {
		p.Type = "urn:certvigil:problem:" + p.Rule
	}
	return p
}
