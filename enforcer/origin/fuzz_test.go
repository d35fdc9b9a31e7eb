package origin_test

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer/origin"
)

// FuzzHead: what is written of a request is read back as the same request, or
// it is not written.
func FuzzHead(f *testing.F) {
	f.Add("GET", "/", "app.example", "Accept", "*/*", "X-A", "b", int64(-2))
	f.Add("POST", "/a?b=c", "app.example:8443", "Content-Type", "text/plain; charset=utf-8", "X-A", "", int64(5))
	f.Add("POST", "//a/../b%2f", "[2001:db8::1]", "X-A", "b\tc", "x-a", "\xff", int64(-1))
	f.Add("GET", "/ HTTP/1.1\r\nHost: b", "a\r\nb", "X A", "b\r\nTransfer-Encoding: chunked", "", " b ", int64(0))
	f.Add("GET", "/a b", "a b", "X-A:", "b\x00", "X-A\n", "b\n c", int64(0))
	f.Fuzz(func(t *testing.T, method, target, host, name, value, name2, value2 string, length int64) {
		r := &origin.Request{
			Method: method, Target: target, Host: host,
			Fields: []origin.Field{{Name: name, Value: value}, {Name: name2, Value: value2}},
		}
		if length >= -1 {
			r.Body, r.Length = http.NoBody, length
		}
		head, err := origin.Head(r)
		if err != nil {
			return
		}
		for _, n := range []string{name, name2} {
			switch http.CanonicalHeaderKey(n) {
			case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Expect", "Te", "Pragma":
				return // the caller never passes these
			}
		}
		const after = "GET /after HTTP/1.1\r\nHost: after\r\n\r\n"
		in := bufio.NewReader(strings.NewReader(head + after))
		got, err := http.ReadRequest(in)
		if err != nil {
			if !validForNetHTTP(target, host) {
				return
			}
			t.Fatalf("%q cannot be read: %v", head, err)
		}
		if got.Method != method || got.RequestURI != target || got.Host != host {
			t.Errorf("%q was read as %q %q %q", head, got.Method, got.RequestURI, got.Host)
		}
		want := http.Header{}
		for _, f := range r.Fields {
			want.Add(f.Name, strings.Trim(f.Value, " \t"))
		}
		delete(got.Header, "Content-Length")
		for name := range got.Header {
			if !slices.Equal(got.Header[name], want[name]) {
				t.Errorf("%q: %s is %q, want %q", head, name, got.Header[name], want[name])
			}
		}
		if len(got.Header) != len(want) {
			t.Errorf("%q was read as %v", head, got.Header)
		}
		wantLength := length
		if r.Body == nil {
			wantLength = 0
		}
		if got.ContentLength != wantLength {
			t.Errorf("%q has length %d, want %d", head, got.ContentLength, wantLength)
		}
		if length <= 0 && length != -1 {
			if next, err := http.ReadRequest(in); err != nil || next.RequestURI != "/after" {
				t.Errorf("%q leaves something behind: %v", head, err)
			}
		}
	})
}

// validForNetHTTP: net/url refuses some targets that every server would take
// for bytes, such as "/%zz", and some hosts.
func validForNetHTTP(target, host string) bool {
	_, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	return err == nil
}

// FuzzAnswer: a head that is accepted is read alike by net/http.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		okay,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\nx-a: c\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: X-A, close\r\nX-A: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
		"HTTP/1.1 200 OK\nX-A: b\r\n c\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		status, length, chunked, fields, err := origin.ParseAnswer(raw)
		if err != nil || status < 200 {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", raw, err)
		}
		if status != want.StatusCode || chunked != slices.Equal(want.TransferEncoding, []string{"chunked"}) {
			t.Errorf("%q: status %d, chunked %v; want %d, %v", raw, status, chunked, want.StatusCode, want.TransferEncoding)
		}
		if said := want.Header.Get("Content-Length"); said != "" && strconv.FormatInt(length, 10) != strings.TrimLeft(said, "0") && length != 0 {
			t.Errorf("%q: length %d, want %s", raw, length, said)
		}
		for name, values := range fields {
			if !slices.Equal(values, want.Header[name]) {
				t.Errorf("%q: %s is %q, want %q", raw, name, values, want.Header[name])
			}
		}
	})
}
