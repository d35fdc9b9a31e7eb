package app

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// The reason of an answer is the other side's words, which may hold the URL.
func TestPing_TellsNoSecret(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = conn.Write([]byte("HTTP/1.1 500 nothing at /beat-of-secret\r\nContent-Length: 0\r\n\r\n"))
	}()
	err = ping(t.Context(), "http://"+l.Addr().String()+"/beat-of-secret")
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "500 "+http.StatusText(500)) {
		t.Errorf("got %v", err)
	}
}

func TestFailURL(t *testing.T) {
	t.Parallel()
	for heartbeat, want := range map[string]string{
		"https://hc.example.com/ping/uuid":        "https://hc.example.com/ping/uuid/fail",
		"https://hc.example.com/ping/uuid/":       "https://hc.example.com/ping/uuid/fail",
		"https://hc.example.com":                  "https://hc.example.com/fail",
		"https://hc.example.com/ping?key=a/b":     "https://hc.example.com/ping/fail?key=a/b",
		"https://u:p@hc.example.com:8443/a%2Fb/c": "https://u:p@hc.example.com:8443/a%2Fb/c/fail",
	} {
		if got := failURL(heartbeat); got != want {
			t.Errorf("%s: %s, want %s", heartbeat, got, want)
		}
	}
}
