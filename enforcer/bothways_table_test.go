package enforcer_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// onBothWays runs the same on both ways, and wants the same of them: what run
// returns, what the access log and the metrics get, and no connection left over.
func onBothWays(t *testing.T, opts enforcer.Options, state func(*enforcer.State), run func(*testing.T, *way) string) {
	t.Helper()
	t.Parallel()
	var got [2]string
	for i, w := range newWays(t, opts, state) {
		got[i] = run(t, w)
		got[i] += "\n" + w.told()
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" {
		t.Errorf("-net/http +everyday:\n%s", diff)
	}
}

// spell writes an answer out, but for what differs from run to run, and for how
// its end is told.
func spell(res *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, close %v\n", res.Proto, res.Status, res.Close)
	for _, h := range []http.Header{res.Header, res.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if name != "Content-Length" || res.Request != nil && res.Request.Method == http.MethodHead {
				fmt.Fprintf(&b, "%s: %q\r\n", name, h[name])
			}
		}
		b.WriteString("\r\n")
	}
	return random.ReplaceAllString(b.String()+body, "") + "\n"
}

// talk sends bytes on a connection of its own and returns the answers, of which
// the first is to a request of this method and the others to GET.
func (w *way) talk(t *testing.T, pair *tls.Certificate, method, raw string) string {
	t.Helper()
	conn := dialTLS(t, w.guard, pair)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, raw) }() // the answer may come before all of it is sent
	return listen(conn, method)
}

// listen reads answers until the other end hangs up.
func listen(conn net.Conn, method string) string {
	var all strings.Builder
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return all.String() + "end"
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return fmt.Sprintf("%s%d, cut off", all.String(), res.StatusCode) // how much of it comes is chance
		}
		all.WriteString(spell(res, string(body)))
		if res.StatusCode >= 200 {
			method = http.MethodGet
		}
	}
}

// TestBothWays_ours compares the answers that are the gateway's own.
func TestBothWays_ours(t *testing.T) {
	t.Parallel()
	ways := newWays(t, enforcer.Options{Renewer: &ledger{}}, func(s *enforcer.State) {
		shut := s.Applications[0]
		shut.Name, shut.Path, shut.Policies = "shut", "/shut", []enforcer.Policy{policy("shut", enforcer.Block, anyone...)}
		shut.Deny.URL = address(t, "https://help.example.com/")
		dead := s.Applications[0]
		dead.Name, dead.Path, dead.Origin = "dead", "/dead", address(t, "http://127.0.0.1:1")
		s.Applications = append(s.Applications, shut, dead)
	})
	stranger, revoked := leaf(ways[0].other, certtest.Client()), ways[0].james()
	next := string(ways[0].ca.Issue(ways[0].commonJames()...).PEM())
	for _, w := range ways {
		w.revoke(cert.Fingerprint(revoked.Leaf))
	}
	james := ways[0].pair
	for _, tt := range []struct {
		name        string
		pair        *tls.Certificate
		method      string
		target      string
		lines, body string
	}{
		{"no certificate", nil, "GET", "/", toHost, ""},
		{"no certificate, JSON", nil, "GET", "/", toHost + "Accept: application/json\r\n", ""},
		{"no certificate, HEAD", nil, "HEAD", "/", toHost, ""},
		{"another CA", stranger, "GET", "/", toHost, ""},
		{"revoked", revoked, "GET", "/", toHost, ""},
		{"refused with a body", nil, "POST", "/", toHost + "Content-Length: 3\r\n", "abc"},
		{"blocked, sent elsewhere", james, "GET", "/shut", toHost + "Accept: text/html\r\n", ""},
		{"misdirected", james, "GET", "/", "Host: " + admin + "\r\n", ""},
		{"misdirected with a body", james, "POST", "/", "Host: " + admin + "\r\nContent-Length: 3\r\n", "abc"},
		{"unknown host", james, "GET", "/", "Host: unknown.example.com\r\n", ""},
		{"bad host", james, "GET", "/", "Host: a_b\r\n", ""},
		{"ambiguous", james, "GET", "/x//shut", toHost, ""},
		{"dead origin", james, "GET", "/dead", toHost, ""},
		{"dead origin with a body", james, "POST", "/dead", toHost + "Content-Length: 3\r\n", "abc"},
		{"keys", nil, "GET", "/cdn-cgi/access/certs", toHost, ""},
		{"keys, POST", nil, "POST", "/cdn-cgi/access/certs", toHost + "Content-Length: 3\r\n", "abc"},
		{"identity", james, "GET", "/cdn-cgi/access/get-identity", toHost, ""},
		{"identity, HEAD", james, "HEAD", "/cdn-cgi/access/get-identity", toHost, ""},
		{"identity, refused", revoked, "GET", "/cdn-cgi/access/get-identity", toHost, ""},
		{"logout", james, "GET", "/cdn-cgi/access/logout", toHost + "Cookie: CF_Authorization=x\r\n", ""},
		{"none of ours", james, "GET", "/cdn-cgi/access/x", toHost, ""},
		{"health", nil, "GET", "/.well-known/certvigil/health", "Host: a\r\n", ""},
		{"health, HEAD", nil, "HEAD", "/.well-known/certvigil/health", "Host: a\r\n", ""},
		{"health, POST", nil, "POST", "/.well-known/certvigil/health", "Host: a\r\nContent-Length: 3\r\n", "abc"},
		{"renewal", james, "POST", "/.well-known/certvigil/renew", fmt.Sprintf("%sContent-Length: %d\r\n", toHost, len(next)), next},
		{"renewal, refused", stranger, "POST", "/.well-known/certvigil/renew", fmt.Sprintf("%sContent-Length: %d\r\n", toHost, len(next)), next},
		{"renewal, too large", james, "POST", "/.well-known/certvigil/renew", toHost + "Content-Length: 200000\r\n", strings.Repeat("x", 200000)},
		{"HTTP/1.0", james, "GET", "/ HTTP/1.0\r\nX-A:", toHost, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [2]string
			for i, w := range ways {
				got[i] = w.talk(t, tt.pair, tt.method, tt.method+" "+tt.target+" HTTP/1.1\r\n"+tt.lines+"\r\n"+tt.body+follow)
				got[i] += "\n" + w.told()
				w.counts.reset()
			}
			if diff := cmp.Diff(got[1], got[0]); diff != "" || strings.HasPrefix(got[0], "end") {
				t.Errorf("-net/http +everyday:\n%s\n%s", diff, got[0])
			}
		})
	}
}

// TestBothWays_answers compares what becomes of an origin's answers.
func TestBothWays_answers(t *testing.T) {
	t.Parallel()
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct{ name, method, raw string }{
		{"of a length", "GET", ok + "Content-Length: 2\r\nContent-Type: a/b\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nok"},
		{"none at all", "GET", ok + "Content-Length: 0\r\n\r\n"},
		{"to HEAD", "HEAD", ok + "Content-Length: 2\r\n\r\n"},
		{"to HEAD, chunked", "HEAD", ok + chunked + "\r\n"},
		{"to HEAD, of no length", "HEAD", ok + "\r\n"},
		{"chunked", "GET", ok + chunked + "\r\n2\r\nok\r\n0\r\n\r\n"},
		{"chunked, empty", "GET", ok + chunked + "\r\n0\r\n\r\n"},
		{"until close", "GET", ok + "\r\nok"},
		{"until close, empty", "GET", ok + "\r\n"},
		{"trailers announced", "GET", ok + chunked + "Trailer: X-A, X-B\r\n\r\n2\r\nok\r\n0\r\nX-A: a\r\n\r\n"},
		{"trailers unannounced", "GET", ok + chunked + "\r\n2\r\nok\r\n0\r\nX-A: a\r\nX-A: b\r\n\r\n"},
		{"a trailer in the head as well", "GET", ok + chunked + "Trailer: X-A\r\nX-A: head\r\n\r\n2\r\nok\r\n0\r\nX-A: a\r\n\r\n"},
		{"a trailer in the head instead", "GET", ok + chunked + "Trailer: X-A\r\nX-A: head\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"trailers that are none", "GET", ok + chunked + "Trailer: Content-Length, Trailer, Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\n\r\n"},
		{"a Trailer beside a length", "GET", ok + "Trailer: X-A\r\nX-A: head\r\nContent-Length: 2\r\n\r\nok"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"204 with fields", "GET", "HTTP/1.1 204 No Content\r\nContent-Type: a/b\r\nX-A: b\r\n\r\n"},
		{"205", "GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Type: a/b\r\nEtag: \"a\"\r\n\r\n"},
		{"304 to HEAD", "HEAD", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Type: a/b\r\n\r\n"},
		{"an unknown status", "GET", "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n"},
		{"a status beyond all", "GET", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"},
		{"hints", "GET", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: b\r\nContent-Length: 5\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{"102 and 199", "GET", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{"100 that nobody waits for", "GET", "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{"hints and no end", "GET", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"},
		{"101 that nobody asked for", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		{"connection of its own", "GET", ok + "Connection: close, X-Hop\r\nX-Hop: a\r\nKeep-Alive: a\r\nContent-Length: 2\r\n\r\nok"},
		{"a Date", "GET", ok + "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"},
		{"odd fields", "GET", ok + "X-High: \x80\xff\r\nX-Tab: a\tb\r\nX-Empty:\r\nx_under-score: a\r\nContent-Length: 2\r\n\r\nok"},
		{"events", "GET", ok + "Content-Type: text/event-stream\r\n\r\ndata: a\n\n"},
		{"large", "GET", ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000)},
		{"large, chunked", "GET", ok + chunked + "\r\n186a0\r\n" + strings.Repeat("x", 100000) + "\r\n0\r\n\r\n"},
		{"a large head", "GET", ok + "X-Big: " + strings.Repeat("x", 20000) + "\r\nContent-Length: 2\r\n\r\nok"},
		{"shorter than announced", "GET", ok + "Content-Length: 5\r\n\r\nok"},
		{"much shorter than announced", "GET", ok + "Content-Length: 200000\r\n\r\n" + strings.Repeat("x", 100000)},
		{"chunks without end", "GET", ok + chunked + "\r\n2\r\nok\r\n"},
		{"a bad chunk", "GET", ok + chunked + "\r\n2\r\nok\r\nzz\r\n"},
		{"no answer", "GET", ""},
		{"malformed", "GET", "nonsense\r\n\r\n"},
		{"two framings", "GET", ok + chunked + "Content-Length: 2\r\n\r\nok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				answer := tt.raw
				if r.URL.Path == "/follow" {
					answer = ok + "Content-Length: 6\r\n\r\nfollow"
				}
				_, _ = io.WriteString(conn, answer)
			})), func(t *testing.T, w *way) string {
				return w.talk(t, w.pair, tt.method, tt.method+" /x HTTP/1.1\r\n"+toHost+"\r\n"+follow)
			})
		})
	}
	t.Run("none in time", func(t *testing.T) {
		onBothWays(t, enforcer.Options{OriginTimeout: patience}, originAt("http://"+rawOrigin(t, func(_ net.Conn, in *bufio.Reader) {
			_, _ = io.Copy(io.Discard, in)
		})), func(t *testing.T, w *way) string { return w.talk(t, w.pair, "GET", getFrom+toHost+"\r\n"+follow) })
	})
}

// TestBothWays_bodies compares what becomes of requests with bodies.
func TestBothWays_bodies(t *testing.T) {
	t.Parallel()
	counting := func(conn net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Received: %d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", n)
		}
	}
	deafTo := func(answer string) func(net.Conn, *bufio.Reader) {
		return func(conn net.Conn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(io.Discard, conn) // not a byte of it counts, but it does not reset the connection
		}
	}
	sized := func(n int) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, n, strings.Repeat("x", n))
	}
	for _, n := range []int{1, 100 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20} {
		t.Run(fmt.Sprintf("%d bytes, taken", n), func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, counting)), func(t *testing.T, w *way) string {
				return w.talk(t, w.pair, "POST", sized(n)+follow)
			})
		})
		t.Run(fmt.Sprintf("%d bytes, refused", n), func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt("http://127.0.0.1:1"), func(t *testing.T, w *way) string {
				return w.talk(t, nil, "POST", sized(n)+follow)
			})
		})
	}
	for name, raw := range map[string]string{
		"stalls":                   post + "Content-Length: 10\r\n\r\nabc",
		"stalls after a request":   getFrom + toHost + "\r\n" + post + "Content-Length: 10\r\n\r\nabc",
		"chunks that stall":        post + chunks + "\r\n3\r\nab",
		"stalls after a large bit": post + "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 100000),
	} {
		for who, pair := range map[string]bool{"admitted": true, "refused": false} {
			t.Run(name+", "+who, func(t *testing.T) {
				onBothWays(t, enforcer.Options{BodyTimeout: 2 * patience}, originAt("http://"+rawOrigin(t, counting)), func(t *testing.T, w *way) string {
					if pair {
						return w.talk(t, w.pair, "POST", raw)
					}
					return w.talk(t, nil, "POST", raw)
				})
			})
		}
	}
	for name, answer := range map[string]string{
		"of a length": "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
	} {
		t.Run("answered unread, "+name, func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, deafTo(answer))), func(t *testing.T, w *way) string {
				// Less than it announces: the rest would come when nobody reads any more.
				conn := dialTLS(t, w.guard, w.pair)
				defer conn.Close()
				send(t, conn, post+"Content-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000))
				return listen(conn, "POST")
			})
		})
		t.Run("answered unread, before another request, "+name, func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, deafTo(answer))), func(t *testing.T, w *way) string {
				got := w.talk(t, w.pair, "POST", sized(32<<20)+follow)
				eventually(t, "the request has ended", func() bool { return w.Flights() == 0 })
				for len(w.records) > 0 {
					a := <-w.records
					got += fmt.Sprint(a.Path, a.Status, a.Sent) // how much was received is chance
				}
				return got
			})
		})
	}
	t.Run("origin leaves", func(t *testing.T) {
		onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, func(_ net.Conn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
		})), func(t *testing.T, w *way) string {
			got := w.talk(t, w.pair, "POST", post+"Content-Length: 10\r\n\r\nabc")
			if !strings.HasPrefix(got, "HTTP/1.1 502 ") {
				t.Errorf("%s: %s", w.name, got)
			}
			return got
		})
	})
	t.Run("client leaves", func(t *testing.T) {
		arrived := make(chan string, 2)
		onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, func(_ net.Conn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			begin := make([]byte, 3)
			_, _ = io.ReadFull(r.Body, begin)
			arrived <- string(begin)
			_, err = io.Copy(io.Discard, r.Body)
			arrived <- fmt.Sprint(err)
		})), func(t *testing.T, w *way) string {
			conn := dialTLS(t, w.guard, w.pair)
			send(t, conn, post+"Content-Length: 10\r\n\r\nabc")
			got := <-arrived
			_ = conn.Close()
			return got + " " + <-arrived
		})
	})
}
