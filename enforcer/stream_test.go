package enforcer_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
)

// TestFlush: an event reaches the client while the origin is still silent
// about the next.
func TestFlush(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(origin.Close)
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse(origin.URL) })
	for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
		open(t, g.client(g.james(), mode), "/")
	}
}

// TestDuplex: over HTTP/2 both bodies flow at once, as gRPC needs it.
func TestDuplex(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(http.HandlerFunc(echoing))
	t.Cleanup(origin.Close)
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse(origin.URL) })
	upload, writer := io.Pipe()
	res, err := g.client(g.james(), http2).Post("https://"+orders+"/", "text/plain", upload)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	answers := bufio.NewReader(res.Body)
	for _, line := range []string{"one\n", "two\n"} {
		go func() { _, _ = io.WriteString(writer, line) }()
		if got, err := answers.ReadString('\n'); got != line {
			t.Fatalf("%q came back: %v", got, err)
		}
	}
	_ = writer.Close()
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the answer ended with %v", err)
	}
}

// echoing is an origin that answers at once, and then with what it is sent.
func echoing(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	_ = rc.Flush()
	_, _ = io.Copy(flusher{w, rc}, r.Body)
}

type flusher struct {
	io.Writer
	rc *http.ResponseController
}

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.rc.Flush())
}

// TestBodies: large bodies pass unchanged both ways.
func TestBodies(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
		_, _ = io.CopyN(w, zeros{}, size)
	}))
	t.Cleanup(origin.Close)
	g := newGuard(t, func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse(origin.URL) })
	want := sha256.New()
	_, _ = io.CopyN(want, zeros{}, size)
	for _, mode := range []func(*http.Transport){func(*http.Transport) {}, http2} {
		res, err := g.client(g.james(), mode).Post("https://"+orders+"/", "application/octet-stream", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		_, err = io.Copy(got, res.Body)
		_ = res.Body.Close()
		if err != nil || res.Header.Get("X-Sum") != fmt.Sprintf("%x", want.Sum(nil)) || string(got.Sum(nil)) != string(want.Sum(nil)) {
			t.Errorf("bodies differ: %v", err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
