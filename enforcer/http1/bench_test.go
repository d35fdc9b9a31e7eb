package http1_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"
)

// BenchmarkServe is an everyday request over a kept connection.
func BenchmarkServe(b *testing.B) {
	kilobyte := bytes.Repeat([]byte("x"), 1<<10)
	s := newService(b, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"text/plain"}
		h["Content-Length"] = []string{"1024"}
		h["Etag"] = []string{`"a"`}
		h["Cache-Control"] = []string{"no-store"}
		_, _ = w.Write(kilobyte)
	})
	c := s.dial(b)
	_ = c.SetDeadline(time.Time{})
	request := []byte(get("/path/of/a/page?with=query", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: text/html,*/*;q=0.8",
		"Accept-Language: en", "Accept-Encoding: gzip, br", "Cookie: a=b; c=d", "Referer: https://app.example/", "Sec-Fetch-Mode: navigate"))
	_, _ = c.Write(request)
	answer := make([]byte, len(c.head())+len(kilobyte))
	_, _ = io.ReadFull(c.in, answer[:len(kilobyte)])
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(request)
		if _, err := io.ReadFull(c.in, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// head reads the head of an answer.
func (c *client) head() (head []byte) {
	c.t.Helper()
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		head = append(head, line...)
	}
	return head
}
