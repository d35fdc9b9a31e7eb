package origin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/origin"
)

// TestRetry: a request goes a second time only if it may, and only when an
// idle connection died before a byte of an answer.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		method string
		body   string
		second string // what the origin does with the second request on the first connection
		want   string // "" for an error
		times  int32  // that the request arrived
	}{
		{"GET, the connection is closed", "GET", "", "", "ok", 2},
		{"DELETE, the connection is closed", "DELETE", "", "", "ok", 2},
		{"POST without a body, the connection is closed", "POST", "", "", "", 1},
		{"PUT with a body, the connection is closed", "PUT", "abc", "", "", 1},
		{"GET, half an answer", "GET", "", "HTTP/1.1 2", "", 1},
		{"GET, a malformed answer", "GET", "", "nonsense\r\n\r\n", "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int32
			s := serve(t, func(conn net.Conn, in *bufio.Reader, n int) {
				if _, err := readRequest(in); err != nil {
					return
				}
				if n > 1 {
					arrived.Add(1)
				}
				_, _ = io.WriteString(conn, okay)
				if n > 1 {
					return
				}
				if _, err := readRequest(in); err != nil {
					return
				}
				arrived.Add(1)
				_, _ = io.WriteString(conn, tt.second)
			})
			p := newPool(t, origin.Options{})
			if _, _, err := do(t, p, s.target(), get()); err != nil {
				t.Fatal(err)
			}
			r := get()
			if tt.body != "" {
				r = post(tt.body)
			}
			r.Method = tt.method
			_, body, err := do(t, p, s.target(), r)
			if body != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v", body, err)
			}
			if got := arrived.Load(); got != tt.times {
				t.Errorf("arrived %d times, want %d", got, tt.times)
			}
			if err != nil && !strings.Contains(err.Error(), "the origin's answer") {
				t.Errorf("not the origin's failure: %v", err)
			}
		})
	}
}

// TestIdle_dead: a connection that the origin has closed, or on which it has
// sent what nobody asked for, is not used, whatever the request.
func TestIdle_dead(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"closed": "", "an answer to nothing": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			s := serve(t, func(conn net.Conn, in *bufio.Reader, n int) {
				if _, err := readRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(conn, okay)
				if n > 1 {
					return
				}
				<-done
				_, _ = io.WriteString(conn, last)
				if last == "" {
					_ = conn.Close()
				}
				done <- struct{}{}
				_, _ = io.Copy(io.Discard, in)
			})
			p := newPool(t, origin.Options{})
			if _, _, err := do(t, p, s.target(), get()); err != nil {
				t.Fatal(err)
			}
			done <- struct{}{}
			<-done
			time.Sleep(20 * time.Millisecond) // loopback takes a moment to tell the other end
			res, body, err := do(t, p, s.target(), post("abc"))
			if err != nil || res.Status != 200 || body != "ok" {
				t.Errorf("%v, %q", err, body)
			}
			if n := s.accepted.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestIdle_bounds: idle connections end by number and by time, and origins
// that nobody asks for are forgotten.
func TestIdle_bounds(t *testing.T) {
	t.Parallel()
	s := answering(t, okay)
	p := newPool(t, origin.Options{MaxIdle: 2, IdleTimeout: 200 * time.Millisecond})
	var open []*origin.Response
	for range 5 {
		res, err := p.Do(t.Context(), s.target(), get())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res)
		open = append(open, res)
	}
	for _, res := range open {
		res.Close()
	}
	if n := p.Idle(); n != 2 {
		t.Errorf("%d idle connections, want 2", n)
	}
	eventually(t, "all is forgotten", func() bool { return p.Hosts() == 0 })
	if _, body, err := do(t, p, s.target(), get()); err != nil || body != "ok" {
		t.Errorf("afterwards: %q, %v", body, err)
	}
}

// TestBody: as long as announced or in chunks, and the connection serves again.
func TestBody(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 1)
	s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
		for {
			body, err := readRequest(in)
			if err != nil {
				return
			}
			bodies <- body
			_, _ = io.WriteString(conn, okay)
		}
	})
	p := newPool(t, origin.Options{})
	for _, size := range []int{1, 4096, 32 << 10, 32<<10 + 1, 1 << 20} {
		for _, chunked := range []bool{false, true} {
			r := post(strings.Repeat("x", size))
			if chunked {
				r.Length = -1
			}
			if _, _, err := do(t, p, s.target(), r); err != nil {
				t.Fatal(err)
			}
			if got := len(<-bodies); got != size {
				t.Errorf("%d bytes arrived of %d", got, size)
			}
		}
	}
	if n := s.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestBody_wrong: a body of another length than announced, or one that cannot
// be read, breaks the request off visibly and is told apart from the origin's
// failures.
func TestBody_wrong(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*origin.Request){
		"shorter":    func(r *origin.Request) { r.Length++ },
		"longer":     func(r *origin.Request) { r.Length-- },
		"unreadable": func(r *origin.Request) { r.Length, r.Body = -1, io.NopCloser(io.MultiReader(r.Body, broken{})) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			s := serve(t, func(_ net.Conn, in *bufio.Reader, _ int) {
				_, err := readRequest(in)
				ended <- err
			})
			p := newPool(t, origin.Options{})
			r := post("abc")
			change(r)
			_, _, err := do(t, p, s.target(), r)
			if err == nil || !strings.Contains(err.Error(), "reading the request's body") {
				t.Errorf("error %v", err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the origin takes it for whole")
				}
			case <-time.After(100 * time.Millisecond): // nothing had been sent yet
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// A held is a body whose end does not come until it is closed.
type held struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

func hold(first string) *held {
	h := &held{closed: make(chan struct{})}
	h.Reader = io.MultiReader(strings.NewReader(first), h.wait())
	return h
}

func (h *held) wait() io.Reader { return waiter{h} }

func (h *held) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

type waiter struct{ *held }

func (w waiter) Read([]byte) (int, error) {
	<-w.closed
	return 0, net.ErrClosed
}

// TestEarlyAnswer: an origin that answers without reading the body is heard,
// also if it closes right away.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	const refusal = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
	for name, handle := range map[string]func(net.Conn, *bufio.Reader){
		"stays open": func(conn net.Conn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(conn, refusal)
			time.Sleep(time.Second)
		},
		"closes": func(conn net.Conn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(conn, refusal)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) { handle(conn, in) })
			p := newPool(t, origin.Options{})
			for what, body := range map[string]io.ReadCloser{
				"a client that waits": hold("abc"),
				"a client that goes on": struct {
					io.Reader
					io.Closer
				}{io.LimitReader(zeros{}, 8<<20), io.NopCloser(nil)},
			} {
				r := post("")
				r.Body, r.Length = body, 8<<20
				res, answer, err := do(t, p, s.target(), r)
				if err != nil || res.Status != 413 || answer != "no" {
					t.Errorf("%s: %q, %v", what, answer, err)
				}
			}
			if n := p.Idle(); n > 0 {
				t.Errorf("%d connections kept", n)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestExpectContinue: the body goes when the origin asks for it, or is silent
// for a while; never after a final answer.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		first  string // before the body
		status int
		body   bool
	}{
		{"asked for", "HTTP/1.1 100 Continue\r\n\r\n", 200, true},
		{"asked for after a hint", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", 200, true},
		{"a silent origin", "", 200, true},
		{"refused", "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", 417, false},
		{"answered", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
				req, err := http.ReadRequest(in)
				if err != nil || req.Header.Get("Expect") != "100-continue" {
					t.Errorf("the expectation did not arrive: %v", err)
					return
				}
				if in.Buffered() > 0 {
					t.Error("the body came unasked")
				}
				_, _ = io.WriteString(conn, tt.first)
				body, _ := io.ReadAll(req.Body)
				got <- string(body)
				if tt.body {
					_, _ = io.WriteString(conn, okay)
				}
			})
			p := newPool(t, origin.Options{})
			r := post("abc")
			r.ExpectContinue = true
			var informed []int
			r.Informational = func(status int) { informed = append(informed, status) }
			res, _, err := do(t, p, s.target(), r)
			if err != nil || res.Status != tt.status {
				t.Fatalf("%v", err)
			}
			if body := <-got; (body == "abc") != tt.body || !tt.body && body != "" {
				t.Errorf("body %q arrived", body)
			}
			if slices.Contains(informed, 100) {
				t.Error("100 was passed on although reading the body says it")
			}
			if !tt.body && p.Idle() > 0 {
				t.Error("a connection was kept on which a body is owed")
			}
		})
	}
}

func TestInformational(t *testing.T) {
	t.Parallel()
	s := answering(t, "HTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: X-A\r\nX-A: b\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+okay)
	p := newPool(t, origin.Options{})
	r := get()
	var got []string
	r.Informational = func(status int) {
		got = append(got, http.StatusText(status)+" "+r.Header.Get("Link")+r.Header.Get("X-A"))
	}
	res, _, err := do(t, p, s.target(), r)
	if err != nil || !slices.Equal(got, []string{"Early Hints a", "Processing "}) {
		t.Errorf("%q, %v", got, err)
	}
	if len(res.Header) != 1 {
		t.Errorf("the final answer has %v", res.Header)
	}
}

// TestTimeouts: each wait for an origin ends, and says that it was a timeout.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent := serve(t, func(_ net.Conn, in *bufio.Reader, _ int) { _, _ = io.Copy(io.Discard, in) })
	deaf := serve(t, func(net.Conn, *bufio.Reader, int) { time.Sleep(5 * time.Second) })
	slowTLS := silent.target()
	slowTLS.Scheme = origin.HTTPS
	upload := post("")
	upload.Body, upload.Length = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(zeros{}, 64<<20), io.NopCloser(nil)}, 64<<20
	for name, tt := range map[string]struct {
		target  *origin.Target
		request *origin.Request
	}{
		"head":            {silent.target(), get()},
		"head after body": {silent.target(), post("abc")},
		"taking the body": {deaf.target(), upload},
		"TLS handshake":   {slowTLS, get()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, origin.Options{ConnectTimeout: 300 * time.Millisecond, HeaderTimeout: 300 * time.Millisecond})
			start := time.Now()
			_, _, err := do(t, p, tt.target, tt.request)
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("error %v", err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("after %v", took)
			}
		})
	}
	t.Run("a slow body is none", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
			_, _ = readRequest(in)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
			time.Sleep(600 * time.Millisecond)
			_, _ = io.WriteString(conn, "k")
		})
		p := newPool(t, origin.Options{HeaderTimeout: 200 * time.Millisecond})
		if _, body, err := do(t, p, s.target(), get()); err != nil || body != "ok" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// TestCancel: the context ends an exchange in each of its phases, and leaves
// neither a connection nor a goroutine.
func TestCancel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request func() *origin.Request
		handle  func(net.Conn, *bufio.Reader)
		head    bool // the answer's head arrives
	}{
		{"waiting for the head", get, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }, false},
		{"reading the body", get, func(conn net.Conn, in *bufio.Reader) {
			_, _ = readRequest(in)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok")
			_, _ = io.Copy(io.Discard, in)
		}, true},
		{"sending the body", func() *origin.Request {
			r := post("")
			r.Body, r.Length = hold("abc"), -1
			return r
		}, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }, false},
		{"sending the body, answered", func() *origin.Request {
			r := post("")
			r.Body, r.Length = hold("abc"), -1
			return r
		}, func(conn net.Conn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok")
			_, _ = io.Copy(io.Discard, in)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var left atomic.Int32
			s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
				tt.handle(conn, in)
				left.Add(1)
			})
			p := newPool(t, origin.Options{})
			before := runtime.NumGoroutine()
			const times = 20
			for range times {
				ctx, cancel := context.WithCancel(t.Context())
				soon := func() { time.AfterFunc(10*time.Millisecond, cancel) }
				if !tt.head {
					soon()
				}
				res, err := p.Do(ctx, s.target(), tt.request())
				if (err == nil) != tt.head {
					t.Fatalf("error %v", err)
				}
				if err == nil {
					soon()
					if _, err := io.Copy(io.Discard, res); err == nil {
						t.Error("the body ended as if whole")
					}
					res.Close()
				}
				cancel()
			}
			eventually(t, "the origin sees every connection end", func() bool { return left.Load() == times })
			if n := p.Idle() + p.Users(); n > 0 {
				t.Errorf("%d connections or exchanges kept", n)
			}
			eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
		})
	}
}

// TestConcurrent: connections are never shared by two exchanges at a time.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(conn net.Conn, in *bufio.Reader, _ int) {
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			answer := req.RequestURI + string(body)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+
				string("0123456789abcdef"[len(answer)])+"\r\n"+answer+"\r\n0\r\n\r\n")
		}
	})
	p := newPool(t, origin.Options{MaxIdle: 4})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 100 {
				path := "/" + string("abcdefghijklmnop"[i]) + string("0123456789"[n%10])
				r, want := get(), path
				if n%2 == 1 {
					r, want = post("body"), path+"body"
				}
				r.Target = path
				if _, body, err := do(t, p, s.target(), r); err != nil || body != want {
					t.Errorf("%q came for %q: %v", body, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestUpgrade: a connection of its own, both ways, with half-closes.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := serve(t, func(conn net.Conn, in *bufio.Reader, n int) {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(conn, okay)
			_, _ = readRequest(in)
			return
		}
		if n == 1 {
			t.Error("an idle connection was used for it")
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nhello ")
		all, _ := io.ReadAll(in)
		_, _ = conn.Write(bytes.ToUpper(all))
	})
	p := newPool(t, origin.Options{})
	if _, _, err := do(t, p, s.target(), get()); err != nil {
		t.Fatal(err)
	}
	r := get()
	r.Upgrade = "websocket"
	res, err := p.Do(t.Context(), s.target(), r)
	if err != nil || res.Status != 101 {
		t.Fatal(err)
	}
	defer res.Close()
	_, _ = io.WriteString(res.Conn(), "world")
	_ = res.Conn().(*net.TCPConn).CloseWrite()
	if all, err := io.ReadAll(res); string(all) != "hello WORLD" {
		t.Errorf("%q, %v", all, err)
	}
}
