package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/internal/field"
)

const (
	copySize   = 32 << 10
	chunkFront = 8 // room for the size of a chunk and its line end
	chunkBack  = 2
)

var copyBuffers = sync.Pool{New: func() any { return new([chunkFront + copySize + chunkBack]byte) }}

// send writes head and body, and reports whether it has sent all of it.
func (s *sender) send() bool {
	r, w := s.r.request, s.r.conn.w
	r.writeHead(w)
	if r.ExpectContinue || r.Length < 0 {
		if s.writeErr = w.Flush(); s.writeErr != nil {
			return false
		}
	}
	if r.ExpectContinue && !s.wait() {
		return false
	}
	buf, _ := copyBuffers.Get().(*[chunkFront + copySize + chunkBack]byte)
	defer copyBuffers.Put(buf)
	for left := r.Length; ; {
		n, err := r.Body.Read(buf[chunkFront : chunkFront+copySize])
		if left >= 0 {
			if left -= int64(n); left < 0 {
				s.bodyErr = errors.New("it is longer than announced")
				return false
			}
		}
		if err != nil && !errors.Is(err, io.EOF) || err != nil && left > 0 {
			if !s.interrupted.Load() { // else it is the origin that failed
				s.bodyErr = err
			}
			return false
		}
		s.ending.Store(err != nil || left == 0) // the end may be told apart from the last bytes
		s.write(buf, n, err != nil)
		if err != nil || s.writeErr != nil {
			return s.writeErr == nil
		}
	}
}

// wait holds the body back until the origin asks for it, or is silent.
func (s *sender) wait() bool {
	timer := time.NewTimer(continueTimeout)
	defer timer.Stop()
	select {
	case may := <-s.may:
		return may
	case <-timer.C:
		return true
	}
}

// write writes n bytes of the body, and its end.
func (s *sender) write(buf *[chunkFront + copySize + chunkBack]byte, n int, last bool) {
	c := s.r.conn
	piece := buf[chunkFront : chunkFront+n]
	if s.r.request.Length < 0 && n > 0 {
		var size [chunkFront]byte
		line := append(strconv.AppendUint(size[:0], uint64(n), 16), "\r\n"...)
		copy(buf[chunkFront-len(line):], line)
		copy(buf[chunkFront+n:], "\r\n")
		piece = buf[chunkFront-len(line) : chunkFront+n+chunkBack]
	}
	_ = c.SetWriteDeadline(c.host.pool.now().Add(s.r.timeout)) // to be taken; an error shows at the write
	_, _ = c.w.Write(piece)
	if last && s.r.request.Length < 0 {
		_, _ = c.w.WriteString("0\r\n\r\n")
	}
	s.writeErr = c.w.Flush()
}

// How the body of a response ends.
type framing uint8

const (
	byLength framing = iota
	chunked
	untilClose
)

// A Response is an answer. It belongs to one goroutine and is not to be used
// after Close.
type Response struct {
	Status    int
	Header    http.Header // without hop-by-hop fields; the one that the request brought
	Length    int64       // Content-Length; negative if unknown
	Announced []string    // canonical names of the trailers to come
	Trailer   http.Header // once Read has returned io.EOF

	host    *host
	request *Request
	timeout time.Duration
	second  *http.Response // over HTTP/2; the rest is for HTTP/1.1

	conn    *conn
	stop    func() bool // of what the context would do
	sender  *sender     // nil without a body
	framing framing
	left    int64
	chunks  io.Reader
	ended   bool // read to its end
	last    bool // nothing comes after it on this connection
	closed  bool
}

func newChunkedReader(r *bufio.Reader) io.Reader { return httputil.NewChunkedReader(r) }

// Read implements io.Reader. The end of a message that was cut short is an
// error.
func (r *Response) Read(p []byte) (n int, err error) {
	switch {
	case r.second != nil:
		return r.readSecond(p)
	case r.ended:
		return 0, io.EOF
	}
	switch r.framing {
	case byLength:
		n, err = r.conn.r.Read(p[:min(int64(len(p)), r.left)])
		if r.left -= int64(n); r.left == 0 {
			r.ended, err = true, io.EOF
		} else if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	case chunked:
		n, err = r.chunks.Read(p)
		if errors.Is(err, io.EOF) {
			err = r.readTrailer()
		}
	case untilClose:
		n, err = r.conn.r.Read(p)
		r.ended = errors.Is(err, io.EOF)
	}
	return n, err
}

// Waiting reports whether a Read would have to wait for the origin: what has
// been read so far had better go on to the client first.
func (r *Response) Waiting() bool {
	switch {
	case r.second != nil:
		return true
	case r.ended:
		return false
	}
	rest, _ := r.conn.r.Peek(r.conn.r.Buffered())
	if r.framing != chunked {
		return len(rest) == 0
	}
	if string(rest) == lastChunk {
		return false
	}
	line := bytes.IndexByte(rest, '\n')
	return line < 0 || line == len(rest)-1 || rest[0] == '0'
}

const lastChunk = "0\r\n\r\n"

func (r *Response) readTrailer() error {
	budget := maxHead
	section, err := readSection(r.conn.r, &budget)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if section != "" {
		trailer := http.Header{}
		if err := field.Parse(section, trailer); err != nil {
			return garbled("%w", err)
		}
		r.Trailer = allowedTrailers(trailer)
	}
	r.ended = true
	return io.EOF
}

// announced returns the names in a Trailer field that may be passed on.
func announced(values []string) []string {
	var names []string
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); field.Token(name) && trailerAllowed(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// allowedTrailers drops what must not stand in a trailer (RFC 9110 §6.5.1).
func allowedTrailers(h http.Header) http.Header {
	for name := range h {
		if !trailerAllowed(name) {
			delete(h, name)
		}
	}
	return h
}

func trailerAllowed(name string) bool { return httpguts.ValidTrailerHeader(name) && !HopByHop(name) }

// Conn returns the connection of a response with status 101. What comes from
// the origin is read from the response; Close closes it.
func (r *Response) Conn() net.Conn { return r.conn.Conn }

// Close ends the exchange. The connection is kept if both messages have ended
// on it and nothing is left over.
func (r *Response) Close() {
	if r.closed {
		return
	}
	r.closed = true
	defer r.host.release()
	if r.second != nil {
		r.closeSecond()
		return
	}
	live := r.stop() // first: from now on the context does not touch the connection
	c := r.conn
	if live && r.ended && !r.last && (r.sender == nil || r.sender.finished()) && c.drained() {
		c.host.put(c)
		return
	}
	c.cut()
	if r.sender != nil {
		r.sender.end()
	}
	c.letGo()
}
