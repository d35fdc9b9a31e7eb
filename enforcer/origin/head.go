package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/field"
)

// maxHead bounds a response head, the informational ones before it included,
// and a trailer section.
const maxHead = 256 << 10

func garbled(format string, args ...any) error {
	return fault.New(fault.Unavailable, "origin_answer", "the origin's answer is malformed: "+format, args...)
}

// readSection reads lines up to the empty one, which it consumes, and returns
// them with their line ends. It takes budget bytes at most and notes what is
// left. A line feed without a carriage return is refused: one reader's line is
// another's half.
func readSection(r *bufio.Reader, budget *int) (string, error) {
	var gathered []byte // what did not fit into r
	for {
		buf, _ := r.Peek(r.Buffered())
		text := buf
		if gathered != nil {
			text = append(gathered, buf...) //nolint:gocritic // gathered is set anew below
		}
		end, err := field.SectionEnd(text)
		if err != nil {
			return "", garbled("%w", err)
		}
		if taken := end - len(text) + len(buf); end > 0 {
			section := string(text[:end-2])
			*budget -= end
			_, _ = r.Discard(taken)
			if *budget < 0 {
				return "", garbled("a head of over %d bytes", maxHead)
			}
			return section, nil
		}
		if len(text) > *budget {
			return "", garbled("a head of over %d bytes", maxHead)
		}
		if len(buf) == r.Size() {
			gathered = bytes.Clone(text)
			_, _ = r.Discard(len(buf))
			buf = nil
		}
		if _, err := r.Peek(len(buf) + 1); err != nil {
			if len(text) == 0 {
				return "", &silence{err}
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", fault.New(fault.Unavailable, "origin_answer", "reading the origin's answer: %w", err)
		}
	}
}

// A silence is why nothing came at all.
type silence struct{ cause error }

// Error implements error.
func (s *silence) Error() string { return "waiting for the origin's answer: " + s.cause.Error() }

// Unwrap returns the cause.
func (s *silence) Unwrap() error { return s.cause }

// A head is what the framing of a response depends on.
type head struct {
	status     int
	length     int64 // Content-Length; -1 if there is none
	chunked    bool
	close      bool // the connection ends with this response
	connection []string
	upgrade    string
	trailer    []string // announced
}

// parseHead reads a status line and fields. Fields that are for the next hop
// alone are kept out of into.
func parseHead(section string, into http.Header) (head, error) {
	first, rest, _ := strings.Cut(section, "\r\n")
	h := head{length: -1}
	old, err := h.statusLine(first)
	if err != nil {
		return h, err
	}
	if err := field.Parse(rest, into); err != nil {
		return h, garbled("%w", err)
	}
	if err := h.framing(into, old); err != nil {
		return h, err
	}
	h.connection = into["Connection"]
	h.close = old || httpguts.HeaderValuesContainsToken(h.connection, "close")
	if up := into["Upgrade"]; len(up) == 1 {
		h.upgrade = up[0]
	}
	h.trailer = into["Trailer"]
	removeHopByHop(into)
	return h, nil
}

// statusLine reports whether the origin speaks HTTP/1.0.
func (h *head) statusLine(s string) (old bool, err error) {
	const version = len("HTTP/1.1")
	if len(s) < version+4 || s[version] != ' ' || len(s) > version+4 && s[version+4] != ' ' || !field.Printable(s) {
		return false, garbled("status line %.40q", s)
	}
	switch s[:version] {
	case "HTTP/1.1":
	case "HTTP/1.0":
		old = true
	default:
		return false, garbled("status line %.40q", s)
	}
	for _, d := range []byte(s[version+1 : version+4]) {
		if d < '0' || d > '9' {
			return false, garbled("status line %.40q", s)
		}
		h.status = 10*h.status + int(d-'0')
	}
	if h.status < 100 {
		return false, garbled("status line %.40q", s)
	}
	return old, nil
}

// framing takes from the fields where the message ends, and refuses what two
// readers may see differently (RFC 9112 §6).
func (h *head) framing(fields http.Header, old bool) error {
	encodings, lengths := fields["Transfer-Encoding"], fields["Content-Length"]
	if len(encodings) > 0 {
		if old || len(lengths) > 0 || len(encodings) > 1 || !strings.EqualFold(encodings[0], "chunked") {
			return garbled("Transfer-Encoding %.40q beside Content-Length %.40q", encodings, lengths)
		}
		h.chunked = true
	}
	if len(lengths) == 0 {
		return nil
	}
	n, ok := field.Length(lengths[0])
	for _, l := range lengths {
		ok = ok && l == lengths[0]
	}
	if !ok {
		return garbled("Content-Length %.40q", lengths)
	}
	h.length = n
	if len(lengths) > 1 {
		fields["Content-Length"] = lengths[:1]
	}
	return nil
}

// bodiless reports whether the response has no body whatever its fields say
// (RFC 9112 §6.3).
func (h *head) bodiless(method string) bool {
	return method == http.MethodHead || field.Bodiless(h.status)
}

// hopByHop are the fields that end at the next hop (RFC 9110 §7.6.1), those
// of the time before it included.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// HopByHop reports whether a field ends here, by its canonical name.
func HopByHop(name string) bool {
	for _, n := range hopByHop {
		if n == name {
			return true
		}
	}
	return false
}

// removeHopByHop deletes what is for us alone, and what Connection names.
func removeHopByHop(h http.Header) {
	for _, values := range h["Connection"] {
		for name := range strings.SplitSeq(values, ",") {
			if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "Content-Length" {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}
