package enforcer_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A stream2 is one request over HTTP/2, frame by frame.
type stream2 struct {
	fields  [][2]string
	data    []string // frames; none ends the stream with the header
	trailer [][2]string
}

// TestSmuggling_HTTP2: what HTTP/2 can carry and HTTP/1.1 cannot is refused,
// not translated. Each request is followed by another one on the connection
// to the origin.
func TestSmuggling_HTTP2(t *testing.T) {
	t.Parallel()
	head := func(method, path string, more ...string) [][2]string {
		fields := [][2]string{{":method", method}, {":scheme", "https"}, {":authority", orders}, {":path", path}}
		for i := 0; i+1 < len(more); i += 2 {
			fields = append(fields, [2]string{more[i], more[i+1]})
		}
		return fields
	}
	reset := ""
	for _, tt := range []struct {
		name    string
		stream  stream2
		status  string // reset if the stream was reset
		arrives []string
	}{
		{"plain", stream2{fields: head("GET", "/x")}, "200", []string{"GET /x"}},
		{"a body", stream2{fields: head("POST", "/x"), data: []string{"a", "bc"}}, "200", []string{"POST /x abc"}},
		{"a body with its length", stream2{fields: head("POST", "/x", "content-length", "3"), data: []string{"abc"}}, "200", []string{"POST /x abc"}},
		{"CRLF in a value", stream2{fields: head("GET", "/x", "x-a", "b\r\nX-B: c")}, reset, nil},
		{"LF in a value", stream2{fields: head("GET", "/x", "x-a", "b\nX-B: c")}, reset, nil},
		{"NUL in a value", stream2{fields: head("GET", "/x", "x-a", "b\x00c")}, reset, nil},
		{"CRLF in a name", stream2{fields: head("GET", "/x", "x-a\r\nx-b", "c")}, reset, nil},
		{"a colon in a name", stream2{fields: head("GET", "/x", "x-a: b", "c")}, reset, nil},
		{"a space in a name", stream2{fields: head("GET", "/x", "x a", "c")}, reset, nil},
		{"a capital in a name", stream2{fields: head("GET", "/x", "X-A", "c")}, reset, nil},
		{"an empty name", stream2{fields: head("GET", "/x", "", "c")}, reset, nil},
		{"transfer-encoding", stream2{fields: head("POST", "/x", "transfer-encoding", "chunked"), data: []string{"0\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n"}}, "400", nil},
		{"connection", stream2{fields: head("GET", "/x", "connection", "close")}, "400", nil},
		{"upgrade", stream2{fields: head("GET", "/x", "upgrade", "websocket")}, "400", nil},
		{"te with more than trailers", stream2{fields: head("GET", "/x", "te", "gzip")}, "400", nil},
		{"content-length too short", stream2{fields: head("POST", "/x", "content-length", "1"), data: []string{"abc"}}, reset, []string{"cut"}},
		{"content-length too long", stream2{fields: head("POST", "/x", "content-length", "30"), data: []string{"abc"}}, "400", []string{"cut"}},
		{"content-length without a body", stream2{fields: head("POST", "/x", "content-length", "30")}, "400", nil},
		{"two content-lengths", stream2{fields: head("POST", "/x", "content-length", "3", "content-length", "30"), data: []string{"abc"}}, "400", nil},
		{"content-length that is none", stream2{fields: head("POST", "/x", "content-length", "+3")}, "400", nil},
		{"content_length", stream2{fields: head("POST", "/x", "content_length", "30"), data: []string{"abc"}}, "200", []string{"POST /x abc"}},
		{"CRLF in the path", stream2{fields: head("GET", "/x HTTP/1.1\r\nHost: a\r\n\r\n")}, reset, nil},
		{"a space in the path", stream2{fields: head("GET", "/x HTTP/1.1")}, "400", nil},
		{"a fragment in the path", stream2{fields: head("GET", "/x#y")}, "400", nil},
		{"a path without a slash", stream2{fields: head("GET", "x")}, reset, nil},
		{"an absolute path", stream2{fields: head("GET", "https://"+orders+"/x")}, "400", nil},
		{"an empty path", stream2{fields: head("GET", "")}, reset, nil},
		{"OPTIONS *", stream2{fields: head("OPTIONS", "*")}, "400", nil},
		{"a space in the method", stream2{fields: head("GET /y HTTP/1.1\r\nX: ", "/x")}, reset, nil},
		{"host beside :authority", stream2{fields: head("GET", "/x", "host", admin)}, "200", []string{"GET /x"}},
		{"another :authority", stream2{fields: [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", admin}, {":path", "/x"}, {"host", orders}}}, "421", nil},
		{"CRLF in :authority", stream2{fields: [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", orders + "\r\nX-A: b"}, {":path", "/x"}}}, reset, nil},
		{"a path in :authority", stream2{fields: [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", orders + "/y"}, {":path", "/x"}}}, "400", nil},
		{"no :authority", stream2{fields: [][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/x"}, {"host", orders}}}, "200", []string{"GET /x"}},
		{"two :paths", stream2{fields: head("GET", "/x", ":path", "/y")}, reset, nil},
		{"a pseudo-header after others", stream2{fields: [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", orders}, {"x-a", "b"}, {":path", "/x"}}}, reset, nil},
		{"an unknown pseudo-header", stream2{fields: head("GET", "/x", ":protocol", "websocket")}, reset, nil},
		{"CONNECT", stream2{fields: [][2]string{{":method", "CONNECT"}, {":authority", orders}}}, "400", nil},
		{"trailers", stream2{fields: head("POST", "/x"), data: []string{"abc"}, trailer: [][2]string{{"cf-access-jwt-assertion", "a"}, {"content-length", "30"}}}, "200", []string{"POST /x abc"}},
		{"a pseudo-header in trailers", stream2{fields: head("POST", "/x"), data: []string{"abc"}, trailer: [][2]string{{":path", "/y"}}}, reset, []string{"cut"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			origin := newRecorder(t)
			g := newGuard(t, everyoneBypasses, originAt("http://"+origin.Addr().String()))
			status := g.stream2(tt.stream)
			if follow := g.stream2(stream2{fields: head("GET", "/follow")}); follow != "200" {
				t.Errorf("the next request was answered %q", follow)
			}
			origin.stop(g)
			arrived := origin.requests(t)
			if !slices.Contains(arrived, "GET /follow") {
				t.Errorf("the next request arrived as %q", arrived)
			}
			arrived = slices.DeleteFunc(arrived, func(s string) bool { return s == "GET /follow" })
			if len(arrived) == 0 && slices.Equal(tt.arrives, []string{"cut"}) {
				arrived = tt.arrives // nothing had been sent, or the connection was reset before it was read
			}
			if status != tt.status || !slices.Equal(arrived, tt.arrives) {
				t.Errorf("answer %q, want %q; arrived %q, want %q", status, tt.status, arrived, tt.arrives)
			}
		})
	}
}

// stream2 makes one request on a connection of its own and returns the status
// of the answer, or "" if stream or connection was reset.
func (g *guard) stream2(s stream2) (status string) {
	g.t.Helper()
	cfg := g.tls(nil)
	cfg.ServerName, cfg.NextProtos = orders, []string{"h2"}
	conn, err := tls.Dial("tcp", g.addr, cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write([]byte(h2.ClientPreface))
	framer := h2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encode := func(fields [][2]string) []byte {
		block.Reset()
		for _, f := range fields {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return block.Bytes()
	}
	bare := len(s.data) == 0
	_ = framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(s.fields), EndHeaders: true, EndStream: bare})
	for i, data := range s.data {
		_ = framer.WriteData(1, i == len(s.data)-1 && s.trailer == nil, []byte(data))
	}
	if s.trailer != nil {
		_ = framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(s.trailer), EndHeaders: true, EndStream: true})
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
				g.t.Errorf("neither an answer nor an end: %v", err)
			}
			return status
		}
		switch f := frame.(type) {
		case *h2.MetaHeadersFrame:
			status = f.PseudoValue("status")
			if f.StreamEnded() {
				return status
			}
		case *h2.DataFrame:
			if f.StreamEnded() {
				return status
			}
		case *h2.RSTStreamFrame:
			return status
		case *h2.GoAwayFrame:
			if f.ErrCode != h2.ErrCodeNo {
				return status
			}
		}
	}
}
