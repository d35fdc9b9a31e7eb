package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// A safeBuffer may be written and read at once.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestPanic: it ends its connection, and nothing else.
func TestPanic(t *testing.T) {
	t.Parallel()
	var logged safeBuffer
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/panic":
			_, _ = io.WriteString(w, "hello")
			panic("a mistake")
		case "/status":
			w.WriteHeader(42)
		}
	}, func(o *http1.Options) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	other := s.dial(t)
	for _, path := range []string{"/abort", "/panic", "/status"} {
		c := s.dial(t)
		c.kept()
		c.send(get(path) + get("/next"))
		if _, body, err := c.try(); err == nil {
			t.Errorf("%s: the answer looks whole: %q", path, body)
		}
		_, err := c.in.Peek(1)
		if err == nil {
			t.Errorf("%s: something follows", path)
		}
		other.kept()
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(logged.String(), "no status: 42") })
	if got := strings.Count(logged.String(), "panic while"); got != 2 || !strings.Contains(logged.String(), "a mistake") {
		t.Errorf("%d panics were logged: %s", got, logged.String())
	}
}

// TestCrowd: whoever uses the same buffers gets nothing of each other's.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := newService(t, mirror)
	var crowd sync.WaitGroup
	for i := range 24 {
		crowd.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for round := range 4 {
				visit(t, s, random, fmt.Sprintf("<%d.%d>", i, round))
			}
		})
	}
	crowd.Wait()
}

// mirror sends back what it is sent, or fails in some way.
func mirror(w http.ResponseWriter, r *http.Request) {
	marker := r.Header.Get("X-Marker")
	w.Header()["X-Marker"] = []string{marker}
	w.Header()["X-"+marker[1:len(marker)-1]] = []string{marker}
	switch r.URL.Path {
	case "/panic":
		_, _ = io.WriteString(w, marker)
		panic(http.ErrAbortHandler)
	case "/unread":
		_, _ = io.WriteString(w, marker)
		return
	case "/trailer":
		w.Header()["Trailer"] = []string{"X-End"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
	w.Header()["X-End"] = []string{marker}
}

// visit sends some requests, all with the marker, and expects it in the answers.
func visit(t *testing.T, s *service, random *rand.Rand, marker string) {
	c := s.dial(t)
	defer c.NetConn().Close()
	for range 8 {
		path := []string{"/", "/", "/trailer", "/unread", "/panic", "/cut"}[random.IntN(6)]
		body := strings.Repeat(marker, random.IntN(4000))
		request := strings.Replace(post(path, strconv.Itoa(len(body)), ""), "\r\n", "\r\nX-Marker: "+marker+"\r\n", 1)
		if path == "/cut" {
			_, _ = io.WriteString(c, request+body[:len(body)/2])
			return
		}
		_, _ = io.WriteString(c, request+body)
		if path == "/panic" {
			_, _ = io.Copy(io.Discard, c.in)
			return
		}
		res, got, err := c.try()
		if err != nil {
			t.Errorf("%s: %v", marker, err)
			return
		}
		if path == "/unread" {
			body = marker
		}
		names := 0
		for name := range res.Header {
			if strings.HasPrefix(name, "X-") && name != "X-End" {
				names++
			}
		}
		if got != body || names != 2 || res.Header.Get("X-Marker") != marker || path == "/trailer" && res.Trailer.Get("X-End") != marker {
			t.Errorf("%s %s gets %.40q, %v", path, marker, got, res.Header)
			return
		}
	}
}

// TestIdleHoldsNothing is not parallel: buffers are counted for all servers.
func TestIdleHoldsNothing(t *testing.T) { //nolint:paralleltest // see above
	eventually(t, "all buffers are back", func() bool { return http1.Held() == 0 })
	h := newWaiting()
	s := newService(t, h.serve)
	idle, busy := s.dial(t), s.dial(t)
	eventually(t, "both are served", func() bool { return s.Conns() == 2 })
	if n := http1.Held(); n != 0 {
		t.Errorf("new connections hold %d buffers", n)
	}
	idle.kept()
	idle.send(post("/", "5", "hello") + get("/")) // the last leaves nothing behind
	idle.receive()
	idle.receive()
	busy.send(get("/wait"))
	within(t, "the request", h.began)
	eventually(t, "one buffer is held", func() bool { return http1.Held() == 1 })
	close(h.release)
	busy.receive()
	eventually(t, "none is held", func() bool { return http1.Held() == 0 })
	busy.send("POST / HTTP/1.1\r\n")
	eventually(t, "one buffer is held", func() bool { return http1.Held() == 1 })
	_ = busy.Close()
	eventually(t, "none is held", func() bool { return http1.Held() == 0 })
	idle.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.receive()
	eventually(t, "none is held of one that was passed on", func() bool { return http1.Held() == 0 })
}
