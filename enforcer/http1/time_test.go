package http1_test

import (
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// hurried is a service with one short limit.
func hurried(t *testing.T, header, idle time.Duration) (s *service, refused *atomic.Int32) {
	refused = new(atomic.Int32)
	return newService(t, echo, func(o *http1.Options) {
		o.HeaderTimeout, o.IdleTimeout = header, idle
		o.HeadRefused = func(*tls.Conn) { refused.Add(1) }
	}), refused
}

const short = time.Second

// lasted fails unless the connection has ended of itself after the limit, and
// long before the other one.
func (c *client) lasted(since time.Time) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	c.ended()
	if took := time.Since(since); took < short {
		c.t.Errorf("it ended after %s", took)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	s, refused := hurried(t, time.Minute, short)
	c := s.dial(t)
	time.Sleep(2 * short) // a new connection is not idle: it owes a first head
	c.kept()
	for range 3 { // each request begins the time anew
		time.Sleep(short / 4)
		c.kept()
	}
	start := time.Now()
	c.kept()
	c.lasted(start)
	if refused.Load() != 0 {
		t.Error("a head was refused")
	}
}

// TestSilentTimeout: the first head has its time from the handshake on.
func TestSilentTimeout(t *testing.T) {
	t.Parallel()
	s, refused := hurried(t, short, time.Minute)
	start := time.Now()
	s.dial(t).lasted(start)
	if refused.Load() != 0 {
		t.Error("a head was refused of which there was nothing")
	}
}

// TestWatch_late: a watch that comes late to a connection gives it its whole time.
func TestWatch_late(t *testing.T) {
	t.Parallel()
	s := http1.New(http1.Options{HeaderTimeout: time.Minute, IdleTimeout: time.Minute})
	if s.Ends(-time.Minute, 30*time.Second) {
		t.Error("a connection was ended within its time")
	}
	if !s.Ends(-time.Minute, 2*time.Minute) {
		t.Error("a connection outlived its time")
	}
}

// TestHeaderTimeout: a head must be complete in time, however busily it comes.
func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		s, refused := hurried(t, short, time.Minute)
		start := time.Now()
		c := s.dial(t)
		if later {
			c.kept()
			time.Sleep(2 * short) // an idle connection owes no head
			start = time.Now()
		}
		go func() {
			for _, b := range []byte(get("/" + string(make([]byte, 4000)))) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		c.lasted(start)
		if refused.Load() != 1 {
			t.Errorf("later: %v: %d heads were refused", later, refused.Load())
		}
	}
}

// TestFirstHeadTimeout: the first byte does not begin the time anew.
func TestFirstHeadTimeout(t *testing.T) {
	t.Parallel()
	const limit = 4 * time.Second
	s, _ := hurried(t, limit, time.Minute)
	start := time.Now()
	c := s.dial(t)
	time.Sleep(limit * 5 / 8)
	c.send("G")
	c.ended()
	if took := time.Since(start); took >= limit*3/2 {
		t.Errorf("it ended after %s", took)
	}
}

// TestSlowHandler: no limit is the handler's.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	h := newWaiting()
	s := newService(t, h.serve, func(o *http1.Options) { o.HeaderTimeout, o.IdleTimeout = short, short })
	c := s.dial(t)
	c.send(get("/wait"))
	within(t, "the request", h.began)
	time.Sleep(3 * short)
	close(h.release)
	c.receive()
	c.kept()
}

// TestLeaveInHead: a client that leaves in mid-head is told of, one that leaves
// between requests is not.
func TestLeaveInHead(t *testing.T) {
	t.Parallel()
	s, refused := hurried(t, time.Minute, time.Minute)
	c := s.dial(t)
	c.kept()
	_ = c.Close()
	eventually(t, "the connection ends", func() bool { return s.Conns() == 0 })
	if refused.Load() != 0 {
		t.Error("a head was refused")
	}
	c = s.dial(t)
	_, _ = io.WriteString(c, "GET /")
	_ = c.Close()
	eventually(t, "the head is refused", func() bool { return refused.Load() == 1 })
}
