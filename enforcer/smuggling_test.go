package enforcer_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// A recorder is an origin that keeps every byte it gets, and answers each
// request that it understands.
type recorder struct {
	net.Listener
	answer  string
	serving sync.WaitGroup
	mu      sync.Mutex
	conns   []*bytes.Buffer
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
	t.Cleanup(func() { _ = l.Close() })
	r.serving.Go(func() { // so that none is added while stop waits for the last
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.serving.Go(func() { r.serve(conn) })
		}
	})
	return r
}

// stop ends the guard and waits until the origin has read all that it sent.
func (r *recorder) stop(g *guard) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		g.t.Error(err)
	}
	_ = r.Close()
	r.serving.Wait()
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	raw := new(bytes.Buffer)
	r.mu.Lock()
	r.conns = append(r.conns, raw)
	r.mu.Unlock()
	in := bufio.NewReader(io.TeeReader(conn, lockedWriter{&r.mu, raw}))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if _, err := io.WriteString(conn, r.answer); err != nil {
			return
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// requests returns what arrived, each as "METHOD target body", by a reader of
// our own that accepts one form only. What it does not accept is an error;
// a request that broke off is "cut".
func (r *recorder) requests(t testing.TB) (all []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range r.conns {
		for rest := raw.String(); rest != ""; {
			var one string
			var err error
			one, rest, err = strictRequest(rest)
			if err != nil {
				t.Errorf("%v arrived in:\n%q", err, raw)
				break
			}
			all = append(all, one)
		}
	}
	return all
}

func strictRequest(raw string) (one, rest string, err error) {
	head, rest, whole := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	parts := strings.Split(lines[0], " ")
	if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00") {
		return "", "", fmt.Errorf("a stray line end or NUL")
	}
	if len(parts) != 3 || parts[2] != "HTTP/1.1" || !strings.HasPrefix(parts[1], "/") {
		return "", "", fmt.Errorf("request line %q", lines[0])
	}
	fields := map[string][]string{}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ": ")
		if !found || strings.ContainsAny(name, " \t_") || name == "" {
			return "", "", fmt.Errorf("header line %q", line)
		}
		fields[strings.ToLower(name)] = append(fields[strings.ToLower(name)], value)
	}
	if len(fields["host"]) != 1 {
		return "", "", fmt.Errorf("hosts %q", fields["host"])
	}
	lengths, encodings := fields["content-length"], fields["transfer-encoding"]
	if len(lengths)+len(encodings) > 1 || fields["trailer"] != nil {
		return "", "", fmt.Errorf("framing by %q and %q", lengths, encodings)
	}
	body := ""
	switch {
	case !whole:
	case len(lengths) == 1:
		n, err := strconv.Atoi(lengths[0])
		if err != nil || lengths[0] != strconv.Itoa(n) {
			return "", "", fmt.Errorf("length %q", lengths[0])
		}
		if whole = n <= len(rest); whole {
			body, rest = rest[:n], rest[n:]
		}
	case len(encodings) == 1:
		if encodings[0] != "chunked" {
			return "", "", fmt.Errorf("encoding %q", encodings[0])
		}
		if body, rest, whole, err = strictChunks(rest); err != nil {
			return "", "", err
		}
	}
	if !whole {
		return "cut", "", nil
	}
	return strings.TrimSpace(parts[0] + " " + parts[1] + " " + body), rest, nil
}

// strictChunks accepts neither extensions nor trailers.
func strictChunks(raw string) (body, rest string, whole bool, err error) {
	for {
		line, after, found := strings.Cut(raw, "\r\n")
		if !found {
			return "", "", false, nil
		}
		n, err := strconv.ParseUint(line, 16, 32)
		if err != nil {
			return "", "", false, fmt.Errorf("chunk size %q", line)
		}
		if int(n)+2 > len(after) {
			return "", "", false, nil
		}
		if after[n:n+2] != "\r\n" {
			return "", "", false, fmt.Errorf("a chunk without its end")
		}
		body, raw = body+after[:n], after[n+2:]
		if n == 0 {
			return body, raw, true, nil
		}
	}
}

const (
	follow  = "GET /follow HTTP/1.1\r\nHost: " + orders + "\r\nConnection: close\r\n\r\n"
	toHost  = "Host: " + orders + "\r\n"
	chunks  = "Transfer-Encoding: chunked\r\n"
	getFrom = "GET /x HTTP/1.1\r\n"
	post    = "POST /x HTTP/1.1\r\n" + toHost
)

var (
	twice, wrong = []int{200, 200}, []int{400}

	andFollow = func(first string) []string { return []string{first, "GET /follow"} }
)

// smuggled are requests that two readers may take differently, followed by one
// that closes the connection: the answers, and what arrives at the origin.
var smuggled = []struct {
	name, raw string
	status    []int
	arrives   []string
}{
	{"plain", getFrom + toHost + "\r\n", twice, andFollow("GET /x")},
	{"with a length", post + "Content-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},
	{"chunked", post + chunks + "\r\n3\r\nabc\r\n0\r\n\r\n", twice, andFollow("POST /x abc")},

	{"TE and CL", post + chunks + "Content-Length: 4\r\n\r\n1\r\nZ\r\n0\r\n\r\n", twice, andFollow("POST /x Z")},
	{"CL and TE", post + "Content-Length: 40\r\n" + chunks + "\r\n0\r\n\r\n", twice, andFollow("POST /x")},
	{"two equal lengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},
	{"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", wrong, nil},
	{"a list of lengths", post + "Content-Length: 3, 3\r\n\r\nabc", wrong, nil},
	{"signed length", post + "Content-Length: +3\r\n\r\nabc", wrong, nil},
	{"negative length", post + "Content-Length: -3\r\n\r\nabc", wrong, nil},
	{"length with a space", post + "Content-Length: 3 3\r\n\r\nabc", wrong, nil},
	{"hexadecimal length", post + "Content-Length: 0x3\r\n\r\nabc", wrong, nil},
	{"empty length", post + "Content-Length:\r\n\r\n", wrong, nil},
	{"length beyond 63 bits", post + "Content-Length: 18446744073709551619\r\n\r\nabc", wrong, nil},
	{"length with an underscore", post + "Content_Length: 30\r\nContent-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},
	{"TE with an underscore", post + "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},
	{"two TEs", post + chunks + chunks + "\r\n0\r\n\r\n", []int{501}, nil},
	{"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []int{501}, nil},
	{"TE identity", post + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", []int{501}, nil},
	{"TE chunked with a tab", post + "Transfer-Encoding:\tchunked\r\n\r\n1\r\nZ\r\n0\r\n\r\n", twice, andFollow("POST /x Z")},
	{"TE xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []int{501}, nil},
	{"TE with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", wrong, nil},
	{"TE hidden by Connection", post + "Connection: Transfer-Encoding\r\n" + chunks + "\r\n1\r\nZ\r\n0\r\n\r\n", twice, andFollow("POST /x Z")},
	{"CL hidden by Connection", post + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},

	{"bad chunk size", post + chunks + "\r\nxyz\r\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"negative chunk size", post + chunks + "\r\n-1\r\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"chunk size with 0x", post + chunks + "\r\n0x3\r\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"huge chunk size", post + chunks + "\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"chunk extension", post + chunks + "\r\n3;a=b\r\nabc\r\n0\r\n\r\n", twice, andFollow("POST /x abc")},
	{"chunk extension with a bare LF", post + chunks + "\r\n3;a\nx\r\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"chunk ended by LF", post + chunks + "\r\n3\nabc\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"chunk data longer than said", post + chunks + "\r\n3\r\nabcd\r\n0\r\n\r\n", wrong, []string{"cut"}},
	{"chunk without its line end", post + chunks + "\r\n3\r\nabc0\r\n\r\n", wrong, []string{"cut"}},
	{"chunked trailers", post + chunks + "Trailer: X-A\r\n\r\n1\r\nZ\r\n0\r\nX-A: b\r\nContent-Length: 30\r\n\r\n", twice, andFollow("POST /x Z")},

	{"folded line", getFrom + toHost + "X-A: b\r\n c\r\n\r\n", twice, andFollow("GET /x")},
	{"folded TE", post + "Transfer-Encoding:\r\n chunked\r\n\r\n1\r\nZ\r\n0\r\n\r\n", twice, andFollow("POST /x Z")},
	{"bare LF", "GET /x HTTP/1.1\nHost: " + orders + "\n\n", twice, andFollow("GET /x")},
	{"bare LF before a length", post + "X-A: b\nContent-Length: 3\r\n\r\nabc", twice, andFollow("POST /x abc")},
	{"bare CR in a value", getFrom + toHost + "X-A: b\rX-B: c\r\n\r\n", wrong, nil},
	{"NUL in a value", getFrom + toHost + "X-A: b\x00c\r\n\r\n", wrong, nil},
	{"space before the colon", post + "Content-Length : 3\r\n\r\nabc", wrong, nil},
	{"leading space in the first header", getFrom + " X-A: b\r\n" + toHost + "\r\n", wrong, nil},
	{"empty name", getFrom + toHost + ": b\r\n\r\n", wrong, nil},
	{"no colon", getFrom + toHost + "X-A\r\n\r\n", wrong, nil},
	{"NUL in a name", getFrom + toHost + "X\x00A: b\r\n\r\n", wrong, nil},

	{"absolute form, the same host", "GET https://" + orders + "/x HTTP/1.1\r\n" + toHost + "\r\n", twice, andFollow("GET /x")},
	{"absolute form against Host", "GET https://" + admin + "/x HTTP/1.1\r\n" + toHost + "\r\n", []int{421}, nil},
	{"Host against absolute form", "GET https://" + orders + "/x HTTP/1.1\r\nHost: " + admin + "\r\n\r\n", twice, andFollow("GET /x")},
	{"two Hosts", getFrom + toHost + "Host: " + admin + "\r\n\r\n", wrong, nil},
	{"two equal Hosts", getFrom + toHost + toHost + "\r\n", wrong, nil},
	{"no Host", getFrom + "\r\n", wrong, nil},
	{"empty Host", getFrom + "Host:\r\n\r\n", []int{400, 200}, []string{"GET /follow"}},
	{"Host with a user", getFrom + "Host: user@" + orders + "\r\n\r\n", wrong, nil},
	{"Host with a path", getFrom + "Host: " + orders + "/y\r\n\r\n", wrong, nil},
	{"Host with a space", getFrom + "Host: " + orders + " x\r\n\r\n", wrong, nil},
	{"Host named by Connection", getFrom + toHost + "Connection: Host\r\n\r\n", twice, andFollow("GET /x")},

	{"HTTP/0.9", "GET /x\r\n\r\n", wrong, nil},
	{"HTTP/1.0 without Host", "GET /x HTTP/1.0\r\n\r\n", wrong, nil},
	{"HTTP/1.0 with TE", "POST /x HTTP/1.0\r\n" + toHost + "Connection: keep-alive\r\n" + chunks + "\r\n1\r\nZ\r\n0\r\n\r\n", []int{200}, []string{"POST /x"}},
	{"HTTP/1.9", "GET /x HTTP/1.9\r\n" + toHost + "\r\n", twice, andFollow("GET /x")},
	{"HTTP/2.0 in the request line", "GET /x HTTP/2.0\r\n" + toHost + "\r\n", []int{505}, nil},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", wrong, nil},
	{"lower-case method", "get /x HTTP/1.1\r\n" + toHost + "\r\n", twice, andFollow("get /x")},
	{"method with a colon", "GE:T /x HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"CONNECT", "CONNECT " + orders + ":443 HTTP/1.1\r\n" + toHost + "\r\n", []int{400, 200}, []string{"GET /follow"}},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + toHost + "\r\n", []int{400, 200}, []string{"GET /follow"}},
	{"two spaces in the request line", "GET  /x HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"target with a space", "GET /x y HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"target with a tab", "GET /x\ty HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"target with a fragment", "GET /x#y HTTP/1.1\r\n" + toHost + "\r\n", []int{400, 200}, []string{"GET /follow"}},
	{"target without a slash", "GET x HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"target of a bare query", "GET ?x HTTP/1.1\r\n" + toHost + "\r\n", wrong, nil},
	{"target with two slashes", "GET //other.example/x HTTP/1.1\r\n" + toHost + "\r\n", twice, andFollow("GET //other.example/x")},
	{"Upgrade to h2c", getFrom + toHost + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", twice, andFollow("GET /x")},
	{"WebSocket with a body", getFrom + toHost + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", twice, andFollow("GET /x abc")},
	{"a body on GET", getFrom + toHost + "Content-Length: 3\r\n\r\nabc", twice, andFollow("GET /x abc")},
	{"unknown expectation", post + "Expect: something\r\nContent-Length: 3\r\n\r\nabc", []int{417}, nil},
	{"line ends before the request", "\r\n\r\n" + getFrom + toHost + "\r\n", wrong, nil},
}

// TestSmuggling_HTTP1: whatever a client sends, the origin gets well-formed
// requests that mean what the client's meant, or nothing, or one that visibly
// broke off; and what is left of a refused request is never taken for another.
func TestSmuggling_HTTP1(t *testing.T) {
	t.Parallel()
	for _, tt := range smuggled {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			origin := newRecorder(t)
			g := newGuard(t, everyoneBypasses, originAt("http://"+origin.Addr().String()))
			status := g.statuses(tt.raw + follow)
			origin.stop(g)
			arrived := origin.requests(t)
			if len(arrived) == 0 && slices.Equal(tt.arrives, []string{"cut"}) {
				arrived = tt.arrives // the connection can be reset before it is read
			}
			if !slices.Equal(status, tt.status) || !slices.Equal(arrived, tt.arrives) {
				t.Errorf("answers %v, want %v; arrived %q, want %q", status, tt.status, arrived, tt.arrives)
			}
		})
	}
}

func originAt(address string) func(*enforcer.State) {
	return func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse(address) }
}

// statuses sends bytes on a connection and returns the final answers to them.
func (g *guard) statuses(raw string) (all []int) {
	g.t.Helper()
	conn := g.dial(nil)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, raw); err != nil {
		g.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil {
			return all
		}
		if res.StatusCode >= 200 {
			all = append(all, res.StatusCode)
		}
	}
}
