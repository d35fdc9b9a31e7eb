package http1_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// shut begins to shut the service down.
func shut(t *testing.T, s *service) <-chan error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	go func() { done <- s.Shutdown(ctx) }()
	return done
}

// TestShutdown: connections that serve nothing end at once, the others with
// their answers, which say so.
func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newWaiting()
	s := newService(t, h.serve, func(o *http1.Options) { o.HeadRefused = func(*tls.Conn) { t.Error("a head was refused") } })
	fresh, idle, begun, busy := s.dial(t), s.dial(t), s.dial(t), s.dial(t)
	idle.kept()
	begun.kept()
	begun.send("GET / HT")
	busy.send(get("/wait") + get("/"))
	within(t, "the request", h.began)
	eventually(t, "all are served", func() bool { return s.Conns() == 4 })

	done := shut(t, s)
	for _, c := range []*client{fresh, idle, begun} {
		c.ended()
	}
	late := s.dial(t)
	late.ended()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(h.release)
	if res, _ := busy.receive(); !res.Close {
		t.Error("the answer does not say that it is the last")
	}
	busy.ended()
	if err := within(t, "the end", done); err != nil {
		t.Error(err)
	}
	if err := within(t, "the end", shut(t, s)); err != nil {
		t.Error(err)
	}
}

// TestShutdownUpload: a body that is still coming is not cut off.
func TestShutdownUpload(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 1)
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		echo(w, r)
	})
	c := s.dial(t)
	c.send(post("/a", "10", "hello"))
	within(t, "the request", began)
	done := shut(t, s)
	s.dial(t).ended()                 // closing has begun
	time.Sleep(50 * time.Millisecond) // for it to go by all connections
	c.send("world")
	if !c.expect("POST /a helloworld").Close {
		t.Error("the answer does not say that it is the last")
	}
	if err := within(t, "the end", done); err != nil {
		t.Error(err)
	}
}

// TestShutdownLate: what is still busy when the context ends is said.
func TestShutdownLate(t *testing.T) {
	t.Parallel()
	h := newWaiting()
	s := newService(t, h.serve)
	c := s.dial(t)
	c.send(get("/wait"))
	within(t, "the request", h.began)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	done := shut(t, s)
	s.Close()
	c.ended()
	close(h.release)
	if err := within(t, "the end", done); err != nil {
		t.Error(err)
	}
}

// TestShutdownMeanwhile: no connection is missed that ceases to serve just then.
func TestShutdownMeanwhile(t *testing.T) {
	t.Parallel()
	for range 40 {
		s := newService(t, echo)
		for range 4 {
			c := s.dial(t)
			go func() {
				for {
					if _, err := io.WriteString(c, get("/")); err != nil {
						return
					}
					if _, _, err := c.try(); err != nil {
						return
					}
				}
			}()
		}
		eventually(t, "all are served", func() bool { return s.Conns() == 4 })
		if err := within(t, "the end", shut(t, s)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClose: connections end, whatever they do.
func TestClose(t *testing.T) {
	t.Parallel()
	h := newWaiting()
	s := newService(t, h.serve)
	fresh, idle, busy := s.dial(t), s.dial(t), s.dial(t)
	idle.kept()
	busy.send(get("/wait"))
	within(t, "the request", h.began)
	eventually(t, "all are served", func() bool { return s.Conns() == 3 })
	s.Close()
	for _, c := range []*client{fresh, idle, busy} {
		c.ended()
	}
	close(h.release)
	s.Close()
	s.dial(t).ended()
	eventually(t, "none is left", func() bool { return s.Conns() == 0 })
}

// TestContext: requests have the connection's context, which ends with it.
func TestContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	contexts := make(chan context.Context, 1)
	s := http1.New(http1.Options{
		Handler:       http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { contexts <- r.Context() }),
		HeaderTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 20,
	})
	t.Cleanup(s.Close)
	l := tls.NewListener(listen(t), serverConfig())
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		secure := nc.(*tls.Conn) //nolint:forcetypeassert // as the listener makes
		if secure.Handshake() == nil {
			s.Serve(context.WithValue(context.Background(), key{}, "v"), secure)
		}
	}()
	c := dial(t, l.Addr().String())
	c.kept()
	ctx := within(t, "the context", contexts)
	if ctx.Value(key{}) != "v" || ctx.Err() != nil {
		t.Errorf("value %v, %v", ctx.Value(key{}), ctx.Err())
	}
	_ = c.Close()
	within(t, "the context's end", ctx.Done())
}
