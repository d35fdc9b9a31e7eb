package http1_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// TestUnread: what the handler has left of a body is read, or else the
// connection ends with the answer.
func TestUnread(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("read"))
		_, _ = io.ReadFull(r.Body, make([]byte, n))
		_, _ = io.WriteString(w, "hello")
		left := r.ContentLength - int64(n)
		if _, err := r.Body.Read(make([]byte, 1)); left > 0 && left <= http1.MaxDrained && !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("of a body that has been given up, the end is %v", err)
		}
	})
	for _, tc := range []struct {
		length, read int
		kept         bool
	}{
		{5, 0, true},
		{5, 2, true},
		{5, 5, true},
		{5, 9, true},
		{20000, 100, true},
		{http1.MaxDrained, 0, true},
		{http1.MaxDrained + 1, 0, false},
		{http1.MaxDrained + 1, 1, true},
		{1 << 20, 100, false},
		{1 << 20, 1 << 20, true},
	} {
		c := s.dial(t)
		done := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c, post("/?read="+strconv.Itoa(tc.read), strconv.Itoa(tc.length), "")+strings.Repeat("x", tc.length))
			done <- err
		}()
		if res := c.expect("hello"); res.Close == tc.kept {
			t.Errorf("%+v: close: %v", tc, res.Close)
		}
		if !tc.kept {
			c.ended()
			_ = c.NetConn().Close()
			<-done
			continue
		}
		if err := <-done; err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
		c.kept()
	}
}

// TestCutBody: a body that ends too early is an error, and the last of its
// connection.
func TestCutBody(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	s := newService(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		errs <- err
	})
	for name, cut := range cuts {
		c := s.dial(t)
		c.send(post("/", "100", "hello"))
		cut(c)
		if err := within(t, "the body's end", errs); err == nil {
			t.Errorf("%s: the body looks whole", name)
		}
		_ = c.NetConn().Close()
		eventually(t, "the connection ends", func() bool { return s.Conns() == 0 })
	}
}

// TestCutDrain: nor is the rest of such a body waited for.
func TestCutDrain(t *testing.T) {
	t.Parallel()
	var served atomic.Int32
	s := newService(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
	c := s.dial(t)
	c.send(post("/", "100", get("/smuggled")))
	_ = c.CloseWrite()
	if res, _ := c.receive(); !res.Close {
		t.Error("the connection is to be kept")
	}
	c.ended()
	if n := served.Load(); n != 1 {
		t.Errorf("%d requests were served", n)
	}
}

// TestFullDuplex: the body may be read while the answer is written.
func TestFullDuplex(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		read := make(chan []byte)
		go func() { // as whoever sends the body on
			defer close(read)
			for {
				buf := make([]byte, 5)
				if _, err := io.ReadFull(r.Body, buf); err != nil {
					return
				}
				read <- buf
			}
		}()
		_ = rc.Flush()
		for b := range read {
			_, _ = w.Write(bytes.ToUpper(b))
			_ = rc.Flush()
		}
	})
	c := s.dial(t)
	c.send(post("/", "15", ""))
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.send("hello")
		got := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "HELLO" {
			t.Fatalf("%q: %v", got, err)
		}
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	c.ended() // what was still to come when the answer began
}

// TestReadDeadline: a handler's deadline ends its read, and no other request's.
func TestReadDeadline(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/late" {
			_ = rc.SetReadDeadline(time.Unix(1, 0))
			if _, err := io.ReadAll(r.Body); !os.IsTimeout(err) {
				t.Errorf("the read ends with %v", err)
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = rc.SetReadDeadline(time.Unix(1, 0))
	})
	c := s.dial(t)
	c.send(post("/", "5", "hello"))
	c.receive()
	c.kept()
	c.send(post("/late", "5", ""))
	if res, _ := c.receive(); !res.Close {
		t.Error("the connection is to be kept")
	}
	c.ended()
}

// TestStrayReader: a reader that outlives its request gets no byte of another.
func TestStrayReader(t *testing.T) {
	t.Parallel()
	stray := make(chan io.Reader, 1)
	waiting := make(chan error, 1)
	s := newService(t, func(_ http.ResponseWriter, r *http.Request) {
		started := make(chan struct{})
		go func() {
			close(started)
			_, err := r.Body.Read(make([]byte, 1))
			waiting <- err
		}()
		<-started
		stray <- r.Body
		panic(http.ErrAbortHandler)
	})
	c := s.dial(t)
	c.send(post("/", "100", ""))
	body := within(t, "the body", stray)
	if err := within(t, "the read in progress", waiting); err == nil {
		t.Error("it has read something")
	}
	c.ended()
	if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a late read gets %d bytes: %v", n, err)
	}
}
