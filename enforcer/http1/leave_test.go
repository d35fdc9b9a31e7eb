package http1_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// cuts are the ways to leave.
var cuts = map[string]func(c *client){
	"close_notify":    func(c *client) { _ = c.Close() },
	"no close_notify": func(c *client) { _ = c.NetConn().Close() },
	"half-close":      func(c *client) { _ = tcp(c).CloseWrite() },
	"reset": func(c *client) {
		_ = tcp(c).SetLinger(0)
		_ = c.NetConn().Close()
	},
}

func tcp(c *client) *net.TCPConn {
	nc, _ := c.NetConn().(*net.TCPConn)
	return nc
}

// waiting is a handler that waits for its client to leave, or to be let go.
type waiting struct {
	began, left chan struct{}
	release     chan struct{}
}

func newWaiting() *waiting {
	return &waiting{began: make(chan struct{}, 8), left: make(chan struct{}, 8), release: make(chan struct{})}
}

func (h *waiting) serve(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/wait" {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	h.began <- struct{}{}
	select {
	case <-r.Context().Done():
		h.left <- struct{}{}
	case <-h.release:
	}
}

// TestLeave: a handler learns that its client has left, whatever lies unread.
func TestLeave(t *testing.T) {
	t.Parallel()
	requests := map[string]string{
		"alone": get("/wait"), "body": post("/wait", "5", "hello"), "pipelined": get("/wait") + get("/"),
	}
	h := newWaiting()
	s := newService(t, h.serve)
	for way, cut := range cuts {
		for name, request := range requests {
			c := s.dial(t)
			c.send(request)
			within(t, "the request", h.began)
			if name == "pipelined" {
				c.send(get("/")) // unread below TLS, too
			}
			cut(c)
			within(t, way+" "+name+" to be noticed", h.left)
			_ = c.NetConn().Close()
			eventually(t, "the connection ends", func() bool { return s.Conns() == 0 })
		}
	}
}

// TestStay: a client that is silent, or sends its next request, has not left.
func TestStay(t *testing.T) {
	t.Parallel()
	h := newWaiting()
	s := newService(t, h.serve)
	c := s.dial(t)
	c.send(get("/wait") + get("/"))
	within(t, "the request", h.began)
	c.send(get("/"))
	select {
	case <-h.left:
		t.Error("the client is said to have left")
	case <-time.After(time.Second): // several looks of the watch
	}
	close(h.release)
	for range 3 {
		c.receive()
	}
	c.kept()
}

// TestLeave_body: a handler that does not read learns of a client whose
// connection is broken, and not of one that has closed its end behind the body.
func TestLeave_body(t *testing.T) {
	t.Parallel()
	began, reading, left := make(chan struct{}, 2), make(chan struct{}), make(chan struct{}, 2)
	s := newService(t, func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-r.Context().Done():
			left <- struct{}{}
		case <-reading:
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	c := s.dial(t)
	c.send(post("/", "100000", "hello"))
	within(t, "the request", began)
	cuts["reset"](c)
	within(t, "the reset to be noticed", left)

	c = s.dial(t)
	c.send(post("/", "5", ""))
	within(t, "the request", began)
	c.send("hello")
	cuts["half-close"](c)
	select {
	case <-left:
		t.Error("the client is said to have left before its body was read")
	case <-time.After(time.Second): // several looks of the watch
	}
	close(reading)
}
