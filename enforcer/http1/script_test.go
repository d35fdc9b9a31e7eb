package http1_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A script is what a handler does, two bytes a step: which one, and with what.
type script []byte

const (
	setField = iota
	setLength
	announce   // a trailer
	trailer    // an announced one
	unannounce // one that is not
	inform
	status
	write
	flush
	readBody
	abort
	steps
)

var (
	fields = [][2]string{
		{"X-A", "b"},
		{"X-A", "a\r\nX-B: b"},
		{"X-A", " a\tb "},
		{"X A", "b"},
		{"X-A:", "b"},
		{"X-Nil", ""},
		{"X-Empty", ""},
		{"Content-Type", "text/plain"},
		{"Connection", "close"},
		{"Connection", "keep-alive"},
		{"Set-Cookie", "a=b"},
		{"Transfer-Encoding", "chunked"},
		{"Transfer-Encoding", "identity"},
		{"Etag", "\xff"},
		{"Location", "/"},
	}
	lengths  = []string{"0", "5", "100", "4096", "5000", "abc", "-1", "", "1x"}
	promises = []string{"X-T", "X-T, X-U", "x-t,X-A", "Content-Length", "Transfer-Encoding, X-T", "Set-Cookie", "Date, Connection"}
	infos    = []int{100, 102, 103}
	statuses = []int{200, 204, 206, 304, 404, 500, 599, 999, 205, 0, 1000}
	sizes    = []int{0, 1, 4, 5, 95, 100, 4095, 4096, 5000, 100 << 10}
)

func pick[T any](from []T, arg byte) T { return from[int(arg)%len(from)] }

// A record is what a handler has seen.
type record []string

func (r *record) add(what string, n int, err error) {
	*r = append(*r, fmt.Sprintf("%s %d %v", what, n, err))
}

// play does what the script says.
func (s script) play(w http.ResponseWriter, r *http.Request, saw *record) {
	for i := 0; i+1 < len(s); i += 2 {
		switch step, arg := s[i]%steps, s[i+1]; {
		case step < write:
			playHead(w, step, arg)
		case step != readBody || !s[:i].begun():
			// When the rest of a body is given up is a matter of buffers.
			playBody(w, r, step, arg, saw)
		}
	}
}

func playHead(w http.ResponseWriter, step, arg byte) {
	h := w.Header()
	switch step {
	case setField:
		f := pick(fields, arg)
		switch f[0] {
		case "Set-Cookie":
			h.Add(f[0], f[1])
		case "X-Nil":
			h[f[0]] = nil
		default:
			h[f[0]] = []string{f[1]}
		}
	case setLength:
		h["Content-Length"] = []string{pick(lengths, arg)}
	case announce:
		h.Add("Trailer", pick(promises, arg))
	case trailer:
		h["X-T"] = []string{"t", strconv.Itoa(int(arg))}
	case unannounce:
		// Flushed, a short answer is not given a length, which would leave no room.
		_ = http.NewResponseController(w).Flush()
		h[http.TrailerPrefix+"X-V"] = []string{"v"}
	case inform:
		w.WriteHeader(pick(infos, arg))
	case status:
		w.WriteHeader(pick(statuses, arg))
	}
}

func playBody(w http.ResponseWriter, r *http.Request, step, arg byte, saw *record) {
	switch step {
	case write:
		n, err := w.Write([]byte(strings.Repeat(string('a'+rune(arg%26)), pick(sizes, arg))))
		saw.add("write", n, err)
	case flush:
		saw.add("flush", 0, http.NewResponseController(w).Flush())
	case readBody:
		n, err := io.ReadFull(r.Body, make([]byte, arg%4))
		saw.add("read", n, err)
	case abort:
		panic(http.ErrAbortHandler)
	}
}

// has reports whether a step with one of these arguments is in the script.
func (s script) has(step byte, is func(arg byte) bool) bool {
	for i := 0; i+1 < len(s); i += 2 {
		if s[i]%steps == step && is(s[i+1]) {
			return true
		}
	}
	return false
}

func always(byte) bool { return true }

// begun reports whether the head has been written after these steps.
func (s script) begun() bool {
	return s.has(status, always) || s.has(write, always) || s.has(flush, always) || s.has(unannounce, always)
}

// head returns the steps before the head is written.
func (s script) head() script {
	for i := 0; i+1 < len(s); i += 2 {
		if s[:i+2].begun() {
			return s[:i]
		}
	}
	return s
}

// measured reports whether the handler announces a length in time.
func (s script) measured() bool { return s.head().has(setLength, always) }

func named(name string) func(byte) bool {
	return func(arg byte) bool { return pick(fields, arg)[0] == name }
}

// aborts reports whether the handler panics.
func (s script) aborts() bool {
	return s.has(abort, always) || s.has(status, func(arg byte) bool { return pick(statuses, arg) < 100 || pick(statuses, arg) > 999 })
}

// String says what the script does.
func (s script) String() string {
	var b strings.Builder
	for i := 0; i+1 < len(s); i += 2 {
		arg := s[i+1]
		switch step := s[i] % steps; step {
		case setField:
			fmt.Fprintf(&b, "field %q; ", pick(fields, arg))
		case setLength:
			fmt.Fprintf(&b, "length %q; ", pick(lengths, arg))
		case announce:
			fmt.Fprintf(&b, "announce %q; ", pick(promises, arg))
		case inform:
			fmt.Fprintf(&b, "inform %d; ", pick(infos, arg))
		case status:
			fmt.Fprintf(&b, "status %d; ", pick(statuses, arg))
		case write:
			fmt.Fprintf(&b, "write %d; ", pick(sizes, arg))
		default:
			fmt.Fprintf(&b, "%s %d; ", []string{"trailer", "unannounced", "", "", "", "flush", "read", "abort"}[step-trailer], arg)
		}
	}
	return b.String()
}

// An outcome is what a client gets, and what the handler saw.
type outcome struct {
	infos   []string
	head    string // "" if there was none
	code    int
	header  http.Header
	framing string
	body    string
	trailer http.Header
	broken  bool // cut short, or no answer
	kept    bool // serves another request
	saw     record
}

// String leaves the body short.
func (o outcome) String() string {
	return fmt.Sprintf("%q %q %v %s body %d %.20q trailer %v broken %v kept %v saw %q",
		o.infos, o.head, o.header, o.framing, len(o.body), o.body, o.trailer, o.broken, o.kept, o.saw)
}

// observe sends one request for the script and another one after it.
func observe(c *client, method, id string) (o outcome) {
	if method == http.MethodPost {
		c.send(post("/script/"+id, "3", "abc"))
	} else {
		c.send(strings.Replace(get("/script/"+id), "GET", method, 1))
	}
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	for err == nil && res.StatusCode < 200 {
		o.infos = append(o.infos, fmt.Sprint(res.Status, res.Header))
		res, err = http.ReadResponse(c.in, &http.Request{Method: method})
	}
	if err != nil {
		o.broken = true
		return o
	}
	body, err := io.ReadAll(res.Body)
	o.head, o.code, o.header, o.body, o.trailer, o.broken = res.Status, res.StatusCode, res.Header, string(body), res.Trailer, err != nil
	o.framing = fmt.Sprint(res.ContentLength, res.TransferEncoding, res.Close)
	if !o.broken {
		o.kept = c.another()
	}
	return o
}

// another reports whether the connection serves another request, in step.
func (c *client) another() bool {
	if _, err := io.WriteString(c, get("/next")); err != nil {
		return false
	}
	res, body, err := c.try()
	if err != nil {
		if errors.Is(err, http.ErrBodyReadAfterClose) || !slices.Contains([]string{"EOF", "unexpected EOF"}, err.Error()) && !strings.Contains(err.Error(), "reset") {
			c.t.Errorf("a mess after the answer: %v", err)
		}
		return false
	}
	if body != "next" || res.StatusCode != http.StatusOK {
		c.t.Errorf("out of step: %d %.80q", res.StatusCode, body)
	}
	return true
}
