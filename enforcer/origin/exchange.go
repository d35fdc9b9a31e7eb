package origin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

const (
	maxInformational = 8
	continueTimeout  = time.Second // after which the body goes unasked
	lingerTimeout    = 5 * time.Second
	lastWrite        = 100 * time.Millisecond
)

// Do sends a request and returns the head of its answer; the caller closes the
// Response. Until then the context ends the exchange, at once. An error says
// that there is no answer: nothing reads the body any more then.
//
// A request that may be repeated is, once and on a new connection, if an idle
// one died before a byte of an answer came.
func (p *Pool) Do(ctx context.Context, t *Target, r *Request) (*Response, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	h := p.host(t)
	res, err := h.do(ctx, t, r)
	if err != nil {
		h.release()
		return nil, err
	}
	return res, nil
}

func (h *host) do(ctx context.Context, t *Target, r *Request) (*Response, error) {
	if r.Upgrade == "" {
		if h.speaksHTTP2() {
			return h.roundTrip(ctx, t, r)
		}
		if c := h.take(); c != nil {
			res, err := c.exchange(ctx, t, r)
			if silent, ok := errors.AsType[*silence](err); !ok || !r.repeatable() || timedOut(silent) || ctx.Err() != nil {
				return res, err
			}
		}
	}
	nc, err := h.dial(ctx, t, r.Upgrade == "")
	if err != nil {
		return nil, err
	}
	if secure, ok := nc.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
		h.adopt(nc)
		defer h.retire(nc)
		return h.roundTrip(ctx, t, r)
	}
	return newConn(h, nc).exchange(ctx, t, r)
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// exchange sends the request and reads the head of the answer. On an error the
// connection is closed.
func (c *conn) exchange(ctx context.Context, t *Target, r *Request) (*Response, error) {
	c.hold()
	res := &Response{conn: c, host: c.host, request: r, timeout: cmp.Or(t.HeaderTimeout, c.host.pool.header)}
	res.stop = context.AfterFunc(ctx, c.abort)
	err := res.begin()
	if err == nil {
		err = res.readHead()
	}
	if err != nil {
		return nil, res.fail(err)
	}
	return res, nil
}

// begin sends the request; its body, if there is one, in a goroutine of its
// own, since an origin may answer before it has read it.
func (r *Response) begin() error {
	c := r.conn
	limit := c.host.pool.now().Add(r.timeout)
	if r.request.Body == nil {
		_ = c.SetDeadline(limit) // an error shows at the write
		r.request.writeHead(c.w)
		if err := c.w.Flush(); err != nil {
			return &silence{err}
		}
		return nil
	}
	_ = c.SetReadDeadline(time.Time{}) // begins when the body has been sent
	_ = c.SetWriteDeadline(limit)
	r.sender = newSender(r)
	go r.sender.run()
	return nil
}

// readHead reads informational answers and the final head.
func (r *Response) readHead() error {
	budget, into := maxHead, r.request.Header
	for n := 0; ; n++ {
		section, err := readSection(r.conn.r, &budget)
		if err != nil {
			if silent, ok := errors.AsType[*silence](err); ok && n > 0 {
				err = garbled("after an informational answer: %w", silent.cause)
			}
			return err
		}
		head, err := parseHead(section, into)
		if err != nil {
			return err
		}
		if head.status >= 200 || head.status == http.StatusSwitchingProtocols {
			return r.take(&head)
		}
		if n == maxInformational {
			return garbled("over %d informational answers", maxInformational)
		}
		r.informational(head.status)
		clear(into)
	}
}

func (r *Response) informational(status int) {
	if status == http.StatusContinue && r.sender != nil && r.request.ExpectContinue {
		r.sender.proceed(true) // reading the body makes the server say so too
		return
	}
	if r.request.Informational != nil {
		r.request.Informational(status)
	}
}

// take makes the final head the response's.
func (r *Response) take(h *head) error {
	r.Status, r.Header, r.Length = h.status, r.request.Header, h.length
	r.last = h.close
	switching := h.status == http.StatusSwitchingProtocols
	switch {
	case switching && (r.request.Upgrade == "" || !strings.EqualFold(h.upgrade, r.request.Upgrade)):
		return garbled("a switch to %.40q, which nobody asked for", h.upgrade)
	case switching:
		r.framing, r.last = untilClose, true
	case h.bodiless(r.request.Method):
		r.ended = true
	case h.chunked:
		r.framing = chunked
		r.Announced = announced(h.trailer)
		r.chunks = newChunkedReader(r.conn.r)
	case h.length >= 0:
		r.framing, r.left, r.ended = byLength, h.length, h.length == 0
	default:
		r.framing, r.last = untilClose, true
	}
	if r.sender != nil {
		r.sender.answered()
	}
	switch {
	case switching:
		return r.conn.SetDeadline(time.Time{})
	case !r.ended && (r.framing != byLength || r.left > int64(r.conn.r.Buffered())):
		return r.conn.SetReadDeadline(time.Time{}) // a body takes as long as it takes
	}
	return nil
}

// fail ends an exchange that has no answer.
func (r *Response) fail(err error) error {
	r.stop()
	r.conn.cut()
	if r.sender != nil {
		r.sender.end()
		if r.sender.bodyErr != nil {
			err = fault.New(fault.Invalid, "request_body", "reading the request's body: %w", r.sender.bodyErr)
		}
	}
	clear(r.request.Header)
	r.conn.letGo()
	return err
}

// A sender sends the body of a request while the answer is awaited.
type sender struct {
	r    *Response
	done chan struct{} // closed at its end
	may  chan bool     // whether a body that was held back may go

	ending      atomic.Bool // all of the body has been read
	interrupted atomic.Bool // by end

	mu       sync.Mutex
	head     bool  // the answer has begun: its deadline is no more
	whole    bool  // everything was sent
	bodyErr  error // of the reading side; valid when done
	writeErr error
}

func newSender(r *Response) *sender {
	return &sender{r: r, done: make(chan struct{}), may: make(chan bool, 1)}
}

func (s *sender) run() {
	defer close(s.done)
	c := s.r.conn
	whole := s.send()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole = whole
	switch {
	case s.bodyErr != nil:
		c.cut() // half a request gets no answer
	case s.head:
	case whole:
		_ = c.SetReadDeadline(c.host.pool.now().Add(s.r.timeout))
	case timedOut(s.writeErr):
		_ = c.SetReadDeadline(past) // an answer would have been read by now
	default:
		// The origin has closed its end, perhaps after an answer.
		_ = c.SetReadDeadline(c.host.pool.now().Add(lingerTimeout))
	}
}

// answered notes that the head of the answer has come. A body that is still
// held back stays so.
func (s *sender) answered() {
	s.mu.Lock()
	s.head = true
	s.mu.Unlock()
	s.proceed(false)
}

func (s *sender) proceed(may bool) {
	select {
	case s.may <- may:
	default:
	}
}

// end stops the sender and waits for it. The connection is cut already, or the
// body has been sent.
func (s *sender) end() {
	select {
	case <-s.done:
		return
	default:
	}
	s.proceed(false)
	s.interrupted.Store(true)
	_ = s.r.request.Body.Close()
	<-s.done
}

// finished reports whether the whole body was sent. An answer to its last
// bytes can overtake the goroutine that sent them: it gets a moment.
func (s *sender) finished() bool {
	select {
	case <-s.done:
		return s.whole
	default:
	}
	if !s.ending.Load() {
		return false
	}
	moment := time.NewTimer(lastWrite)
	defer moment.Stop()
	select {
	case <-s.done:
		return s.whole
	case <-moment.C:
		return false
	}
}
