package socket_test

import (
	"net"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/socket"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialled.Close(); _ = accepted.Close() })
	near, _ = accepted.(*net.TCPConn)
	far, _ = dialled.(*net.TCPConn)
	return near, far
}

// above is a connection that says what it is above.
type above struct{ net.Conn }

func (a above) NetConn() net.Conn { return a.Conn }

func TestProbe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do                  func(near, far *net.TCPConn)
		quiet, left, broken bool
	}{
		"nothing":          {func(_, _ *net.TCPConn) {}, true, false, false},
		"unread bytes":     {func(_, far *net.TCPConn) { _, _ = far.Write([]byte("x")) }, false, false, false},
		"half closed":      {func(_, far *net.TCPConn) { _ = far.CloseWrite() }, false, true, false},
		"bytes and closed": {func(_, far *net.TCPConn) { _, _ = far.Write([]byte("x")); _ = far.Close() }, false, true, false},
		"reset":            {func(_, far *net.TCPConn) { _ = far.SetLinger(0); _ = far.Close() }, false, true, true},
		"closed by us":     {func(near, _ *net.TCPConn) { _ = near.Close() }, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t)
			var p socket.Probe
			p.Init(above{above{near}})
			if !p.Quiet() || p.Left() || p.Broken() {
				t.Fatal("a new connection is not quiet")
			}
			tt.do(near, far)
			deadline := time.Now().Add(10 * time.Second)
			for p.Quiet() != tt.quiet || p.Left() != tt.left || p.Broken() != tt.broken {
				if time.Now().After(deadline) {
					t.Fatalf("quiet %t, left %t, broken %t", p.Quiet(), p.Left(), p.Broken())
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestProbe_unknown(t *testing.T) {
	t.Parallel()
	var zero, piped socket.Probe
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	piped.Init(near)
	for _, p := range []*socket.Probe{&zero, &piped} {
		if p.Quiet() || !p.Left() || !p.Broken() {
			t.Error("a connection that cannot be asked is taken for a sound one")
		}
	}
}

func BenchmarkQuiet(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	var p socket.Probe
	p.Init(nc)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Quiet() {
			b.Fatal("not quiet")
		}
	}
}
