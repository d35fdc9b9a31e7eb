package origin

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/field"
)

// A Field is one header line.
type Field struct{ Name, Value string }

// A Request is what goes to an origin. Framing, Host, Connection, Expect, TE
// and Upgrade are written from what is said here: Fields has none of them.
type Request struct {
	Method string
	Target string // in origin form, as it is sent
	Host   string
	Fields []Field

	// Body is nil if there is none. Its Close ends a Read that waits, and no
	// Read begins afterwards.
	Body   io.ReadCloser
	Length int64 // of Body; negative if unknown

	ExpectContinue bool   // hold the body back until the origin asks for it
	Upgrade        string // the protocol to switch to; "" for none
	Trailers       bool   // say that trailers are welcome, where it can be said (HTTP/2)

	// Header receives the fields of the response head. It is empty at first.
	Header http.Header
	// Informational is called for each 1xx answer, with its fields in Header,
	// which is emptied afterwards. It may be nil.
	Informational func(status int)
}

// check refuses what cannot be written as one well-formed head. The caller has
// looked already; this is what stands between a mistake there and a request
// that an origin takes for two.
func (r *Request) check() error {
	if !field.Token(r.Method) {
		return malformed("method %q", r.Method)
	}
	if !validTarget(r.Target) {
		return malformed("target %q", r.Target)
	}
	if r.Host == "" || !field.Visible(r.Host) {
		return malformed("host %q", r.Host)
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if !field.Token(f.Name) {
			return malformed("header name %q", f.Name)
		}
		if !field.Printable(f.Value) {
			return malformed("value of header %q", f.Name)
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Invalid, "malformed_request", "malformed request: "+format, args...)
}

// validTarget reports whether s is a target in origin form. Spaces would end
// it, and a fragment is no part of it: one reader's path is another's beginning.
func validTarget(s string) bool {
	return strings.HasPrefix(s, "/") && field.Visible(s) && strings.IndexByte(s, '#') < 0
}

// writeHead writes the head of an HTTP/1.1 request. Errors stay in w.
func (r *Request) writeHead(w *bufio.Writer) {
	line(w, r.Method, " ", r.Target, " HTTP/1.1\r\nHost: ", r.Host, "\r\n")
	for i := range r.Fields {
		line(w, r.Fields[i].Name, ": ", r.Fields[i].Value, "\r\n")
	}
	switch {
	case r.Body != nil && r.Length < 0:
		line(w, "Transfer-Encoding: chunked\r\n")
	case r.Body != nil:
		var buf [20]byte
		line(w, "Content-Length: ")
		_, _ = w.Write(strconv.AppendInt(buf[:0], r.Length, 10))
		line(w, "\r\n")
	case r.Length == 0 && expectsBody(r.Method):
		line(w, "Content-Length: 0\r\n")
	}
	if r.ExpectContinue && r.Body != nil {
		line(w, "Expect: 100-continue\r\n")
	}
	if r.Upgrade != "" {
		line(w, "Connection: Upgrade\r\nUpgrade: ", r.Upgrade, "\r\n")
	}
	line(w, "\r\n")
}

func line(w *bufio.Writer, parts ...string) {
	for _, s := range parts {
		_, _ = w.WriteString(s)
	}
}

// expectsBody reports whether a method is one whose requests have a body, so
// that an absent one has to be said.
func expectsBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// repeatable reports whether the request may be sent a second time when it is
// unknown what became of the first.
func (r *Request) repeatable() bool {
	if r.Body != nil {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
