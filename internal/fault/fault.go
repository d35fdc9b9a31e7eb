// Package fault classifies errors by who must act on them, and holds the one
// table that maps a kind to an HTTP status and a process exit code.
//
// Packages return a fault where they know the kind; anything else counts as
// [Internal], whose text is logged and never shown to a remote caller.
package fault

import (
	"errors"
	"fmt"
	"net/http"
)

// A Kind says what sort of failure an error is.
type Kind uint8

// The kinds. The zero value is Internal, so an unclassified error is never
// shown to a remote caller.
const (
	Internal      Kind = iota // a defect or a broken environment
	Invalid                   // malformed input: syntax, wrong type, missing field
	Usage                     // wrong use of the command line
	Unauthorized              // no credential, or an unknown one
	Forbidden                 // a known credential that may not do this
	NotFound                  // the named thing does not exist
	Conflict                  // the state of the store forbids it
	TooLarge                  // over a size limit
	Unprocessable             // well-formed input that breaks a rule
	Expiring                  // not a failure: something is expiring (exit code 3)
	Denied                    // not a failure: the answer to a question is no (exit code 1)
	Unavailable               // try again later
)

// kinds is the one mapping of kinds to the outside.
var kinds = map[Kind]struct {
	status int
	exit   int
	title  string
}{
	Internal:      {http.StatusInternalServerError, 1, "internal error"},
	Invalid:       {http.StatusBadRequest, 1, "invalid request"},
	Usage:         {http.StatusBadRequest, 2, "wrong use"},
	Unauthorized:  {http.StatusUnauthorized, 1, "unauthorized"},
	Forbidden:     {http.StatusForbidden, 1, "forbidden"},
	NotFound:      {http.StatusNotFound, 1, "not found"},
	Conflict:      {http.StatusConflict, 1, "conflict"},
	TooLarge:      {http.StatusRequestEntityTooLarge, 1, "too large"},
	Unprocessable: {http.StatusUnprocessableEntity, 1, "unprocessable"},
	Expiring:      {http.StatusOK, 3, "expiring"},
	Denied:        {http.StatusOK, 1, "denied"},
	Unavailable:   {http.StatusServiceUnavailable, 1, "unavailable"},
}

// An Error is a classified error for the person who must act on it.
type Error struct {
	Kind  Kind
	Rule  string // stable machine-readable name of the broken rule, e.g. "private_key"; may be empty
	Field string // the input field, key or flag it concerns; may be empty
	Text  string // what was wrong and where; lower case, no full stop, no secret
	Hint  string // how to mend it; may be empty
	Err   error  // the cause; may be nil
}

// New returns an error of the given kind and rule. A %w verb keeps its cause.
func New(kind Kind, rule, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Rule: rule, Text: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint sets how to mend the error and returns it.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithField sets the field that the error concerns and returns it.
func (e *Error) WithField(field string) *Error {
	e.Field = field
	return e
}

// Error returns the text, without the hint.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first fault in err's tree, else Internal.
func KindOf(err error) Kind {
	if f := find(err); f != nil {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is a fault of the given kind.
func Is(err error, kind Kind) bool { f := find(err); return f != nil && f.Kind == kind }

// Rule returns the machine-readable rule of err, or "".
func Rule(err error) string {
	if f := find(err); f != nil {
		return f.Rule
	}
	return ""
}

// Field returns the input field that err concerns, or "".
func Field(err error) string {
	if f := find(err); f != nil {
		return f.Field
	}
	return ""
}

// Hint returns how to mend err, or "".
func Hint(err error) string {
	if f := find(err); f != nil {
		return f.Hint
	}
	return ""
}

// Status returns the HTTP status for err.
func Status(err error) int { return kinds[KindOf(err)].status }

// ExitCode returns the process exit code for err: 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return kinds[KindOf(err)].exit
}

// Title returns the short name of the kind, e.g. "not found".
func (k Kind) Title() string { return kinds[k].title }

func find(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return nil
}
