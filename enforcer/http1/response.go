package http1

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/field"
)

// A response is the answer to a request. Head and body leave together, in as
// few records as they fit into.
type response struct {
	to     *buffers
	w      *bufio.Writer
	header http.Header
	names  []string // of the fields, sorted

	status   int   // 0 until it is written
	length   int64 // announced; -1 if unknown
	written  int64 // of the body
	chunked  bool
	empty    bool        // has no body, whatever is announced
	promised []string    // trailers
	last     bool        // ends the connection
	duplex   bool        // the handler reads the request's body while it answers
	deadline atomic.Bool // the handler has set one for reading
}

const (
	writeBuffer = 4 << 10
	maxDrained  = 256<<10 - 1            // of a body that the handler has left unread; net/http's bound
	linger      = 500 * time.Millisecond // for a client to read the answer before it learns that it sends in vain; net/http's
)

// attach makes the response that of a busy connection.
func (w *response) attach(b *buffers) {
	w.to = b
	if w.w == nil {
		w.w = bufio.NewWriterSize(nil, writeBuffer)
	}
	w.w.Reset(b.conn.secure)
	w.begin()
}

func (w *response) detach() {
	w.w.Reset(nil)
	w.to = nil
	w.begin()
}

// begin makes it the answer to the next request, which has taken nothing of this
// one's over.
func (w *response) begin() {
	clear(w.names)
	*w = response{to: w.to, w: w.w, header: emptied(w.header), names: w.names[:0], length: -1}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. The header counts as it is now,
// but for trailers.
func (w *response) WriteHeader(status int) {
	switch {
	case w.status != 0:
		return
	case status < 100 || status > 999:
		panic("no status: " + strconv.Itoa(status)) // as by net/http
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.writeHead(status)
		_ = w.w.Flush() // an error stays
		return
	}
	w.status = status
	w.settle()
	w.writeHead(status)
}

// settle decides how the answer ends, and whether the connection does.
func (w *response) settle() {
	w.empty = w.to.request.Method == http.MethodHead || field.Bodiless(w.status)
	if lengths := w.header["Content-Length"]; len(lengths) > 0 {
		if n, err := strconv.ParseInt(lengths[0], 10, 64); err == nil && n >= 0 {
			w.length = n
		}
	}
	w.chunked = !w.empty && w.length < 0
	for _, line := range w.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); httpguts.ValidTrailerHeader(name) {
				w.promised = append(w.promised, name)
			}
		}
	}
	// A switch of protocols cannot be asked for here: after one that nobody asked
	// for, no byte is to be taken for a request.
	w.last = httpguts.HeaderValuesContainsToken(w.header["Connection"], "close") || w.status == http.StatusSwitchingProtocols ||
		w.to.conn.server.closing.Load() || !w.drain()
}

// drain reads what the handler has left of the request's body, so that the next
// request can be found; false if there is too much of it.
func (w *response) drain() bool {
	b := w.to.body
	switch {
	case b == nil || b.left.Load() == 0:
		return true
	case w.duplex || b.left.Load() > maxDrained:
		return false
	}
	_, err := io.Copy(io.Discard, b)
	b.end() // the handler must not take it for empty
	return err == nil
}

// writeHead writes the head. Errors stay in the writer.
func (w *response) writeHead(status int) {
	line := append(w.w.AvailableBuffer(), "HTTP/1.1 "...)
	line = strconv.AppendInt(line, int64(status), 10)
	line = append(append(append(line, ' '), reason(status)...), "\r\n"...)
	_, _ = w.w.Write(line)
	w.names = w.names[:0]
	for name := range w.header {
		if !w.omits(name, status) {
			w.names = append(w.names, name)
		}
	}
	slices.Sort(w.names)
	for _, name := range w.names {
		w.writeField(name, w.header[name])
	}
	if status >= 200 {
		w.writeOurs()
	}
	_, _ = w.w.WriteString("\r\n")
}

// reason returns what net/http says of a status.
func reason(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "status code " + strconv.Itoa(status)
}

// omits reports whether a field is not to be in the head: what is about the
// framing is written anew, and trailers that are not announced come later.
func (w *response) omits(name string, status int) bool {
	switch name {
	case "Connection", "Transfer-Encoding", "Content-Length":
		return true
	case "Content-Type":
		return status == http.StatusNotModified // as net/http has it
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

func (w *response) writeOurs() {
	if len(w.header["Date"]) == 0 {
		date := append(w.w.AvailableBuffer(), "Date: "...)
		date = w.to.conn.server.Now().UTC().AppendFormat(date, http.TimeFormat)
		_, _ = w.w.Write(append(date, "\r\n"...))
	}
	if w.last {
		_, _ = w.w.WriteString("Connection: close\r\n")
	}
	switch {
	case w.chunked:
		_, _ = w.w.WriteString("Transfer-Encoding: chunked\r\n")
	case w.length >= 0 && !field.Bodiless(w.status):
		length := append(w.w.AvailableBuffer(), "Content-Length: "...)
		length = strconv.AppendInt(length, w.length, 10)
		_, _ = w.w.Write(append(length, "\r\n"...))
	}
}

// writeField writes the lines of a field. What cannot stand in a line is made
// spaces, and a name that is none is left out, as by net/http.
func (w *response) writeField(name string, values []string) {
	if !field.Token(name) {
		return
	}
	for _, v := range values {
		if !field.Printable(v) {
			v = unprintable.Replace(v)
		}
		_, _ = w.w.WriteString(name)
		_, _ = w.w.WriteString(": ")
		_, _ = w.w.WriteString(v)
		_, _ = w.w.WriteString("\r\n")
	}
}

var unprintable = strings.NewReplacer("\n", " ", "\r", " ")

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case field.Bodiless(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p)) // refused or not: after a gap nothing may follow
	switch {
	case w.length >= 0 && w.written > w.length:
		return 0, http.ErrContentLength
	case w.empty:
		return len(p), nil // HEAD
	case !w.chunked:
		return w.w.Write(p)
	}
	_, _ = w.w.Write(append(strconv.AppendInt(w.w.AvailableBuffer(), int64(len(p)), 16), "\r\n"...))
	n, _ := w.w.Write(p)
	_, err := w.w.WriteString("\r\n") // has the errors of those before
	return n, err
}

// FlushError is what http.ResponseController looks for, as are those that follow.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.w.Flush()
}

// EnableFullDuplex lets the handler read the request's body after it has begun to
// answer. The connection then ends with the answer, unless it has read all of it.
func (w *response) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// SetReadDeadline is for the request's body.
func (w *response) SetReadDeadline(t time.Time) error {
	w.deadline.Store(true)
	return w.to.conn.secure.SetReadDeadline(t)
}

// finish ends the answer, and reports whether another one may follow: not unless
// request and answer have come to their announced ends.
func (w *response) finish() bool {
	if w.status == 0 {
		w.sayNothing()
	}
	if w.chunked {
		w.writeTrailers()
	}
	body := w.to.body
	unread := body != nil && body.left.Load() > 0
	whole := w.w.Flush() == nil && (w.empty || w.chunked || w.written == w.length)
	if whole && unread {
		// Closed with something unread, the kernel would send a reset, by which the
		// client may lose the answer.
		_ = w.to.conn.secure.CloseWrite()
		time.Sleep(linger)
	}
	return whole && !unread && !w.last
}

// sayNothing writes the head of an answer of which the handler has written
// nothing. It is empty, unless the handler has announced something else.
func (w *response) sayNothing() {
	_, said := w.header["Content-Length"]
	said = said || w.to.request.Method == http.MethodHead || len(w.header["Trailer"]) > 0
	for name := range w.header {
		said = said || strings.HasPrefix(name, http.TrailerPrefix)
	}
	if !said {
		w.header["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(http.StatusOK)
}

func (w *response) writeTrailers() {
	_, _ = w.w.WriteString("0\r\n")
	for _, name := range w.promised {
		w.writeField(name, w.header[name])
	}
	for name, values := range w.header {
		if unannounced, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.writeField(unannounced, values)
		}
	}
	_, _ = w.w.WriteString("\r\n")
}
