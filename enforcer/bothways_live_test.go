package enforcer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
)

// TestBothWays_lifetime: an old connection is asked to end.
func TestBothWays_lifetime(t *testing.T) {
	onBothWays(t, enforcer.Options{ConnectionLifetime: time.Hour}, func(*enforcer.State) {}, func(t *testing.T, w *way) (all string) {
		for _, pair := range []*tls.Certificate{w.pair, nil} {
			client := w.browser(pair)
			for range 2 {
				for _, path := range []string{"/", "/cdn-cgi/access/certs"} {
					a, reused := getTraced(t, client, "https://"+orders+path)
					all += fmt.Sprint(reused, spell(a.Response, a.body))
				}
				w.clock.advance(time.Hour)
			}
		}
		return all
	})
}

func TestBothWays_resumption(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, func(*enforcer.State) {}, func(t *testing.T, w *way) (all string) {
				client := w.browser(w.pair, func(tr *http.Transport) {
					tr.TLSClientConfig.MaxVersion, tr.TLSClientConfig.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
				})
				for range 2 {
					a := get(t, client, "https://"+orders+"/")
					all += fmt.Sprint(a.TLS.DidResume, spell(a.Response, a.body))
					client.CloseIdleConnections()
				}
				return all
			})
		})
	}
}

// TestBothWays_webSocket: one comes after everyday requests on the same
// connection, and may begin before it is answered.
func TestBothWays_webSocket(t *testing.T) {
	t.Run("frames", func(t *testing.T) {
		onBothWays(t, enforcer.Options{}, originAt(streams(t).URL), func(t *testing.T, w *way) (all string) {
			used := dialTLS(t, w.guard, w.pair)
			for range 2 {
				a := exchangeRaw(t, used, strings.Replace(getFrom, "/x", "/plain", 1)+toHost+"\r\n")
				all += spell(a.Response, a.body)
			}
			conn := dialSocket(t, w.browser(w.pair, func(tr *http.Transport) {
				tr.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return used, nil }
			}))
			for range 3 {
				echo(t, conn)
			}
			return all + fmt.Sprint(conn.Close(websocket.StatusNormalClosure, ""))
		})
	})
	t.Run("bytes", func(t *testing.T) {
		onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: b\r\n\r\nhello")
			early := make([]byte, len("early"))
			_, _ = io.ReadFull(in, early)
			_, _ = conn.Write(early)
		})), func(t *testing.T, w *way) string {
			return w.converse(t, w.pair, strings.Repeat(getFrom+toHost+"\r\n", 2)+
				getFrom+toHost+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nearly")
		})
	})
}

// TestBothWays_expect: the client is asked for the body on a connection that has
// served everyday requests, and serves them after it.
func TestBothWays_expect(t *testing.T) {
	onBothWays(t, enforcer.Options{}, originAt("http://"+rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.Header.Get("Expect") != "" {
				_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})), func(t *testing.T, w *way) (all string) {
		conn := dialTLS(t, w.guard, w.pair)
		defer conn.Close()
		for range 2 {
			a := exchangeRaw(t, conn, getFrom+toHost+"\r\n")
			all += spell(a.Response, a.body)
		}
		a := exchangeRaw(t, conn, post+"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		wantStatus(t, a, http.StatusContinue)
		a = exchangeRaw(t, conn, "abc")
		all += spell(a.Response, a.body)
		send(t, conn, follow)
		return all + listen(conn, http.MethodGet)
	})
}

// TestBothWays_trust: a change takes effect on the next request of a connection,
// and on one in flight, whether it has been answered or not.
func TestBothWays_trust(t *testing.T) {
	for name, change := range map[string]func(*way){
		"revoked":    func(w *way) { w.revoke(cert.Fingerprint(w.pair.Leaf)) },
		"CA removed": func(w *way) { w.state.Bundles = w.state.Bundles[1:]; w.apply() },
		"policy changed": func(w *way) {
			w.state.Applications[0].Policies = []enforcer.Policy{policy("none", enforcer.Block, anyone...)}
			w.apply()
		},
		"application removed": func(w *way) { w.state.Applications = w.state.Applications[1:]; w.apply() },
		"still trusted":       func(w *way) { w.apply() },
	} {
		origin := streams(t)
		t.Run(name+", the next", func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt(origin.URL), func(t *testing.T, w *way) (all string) {
				conn := dialTLS(t, w.guard, w.pair)
				defer conn.Close()
				a := exchangeRaw(t, conn, getFrom+toHost+"\r\n")
				all += spell(a.Response, a.body)
				change(w)
				a = exchangeRaw(t, conn, post+"Content-Length: 3\r\n\r\nabc")
				return all + spell(a.Response, a.body)
			})
		})
		if name == "still trusted" {
			continue
		}
		t.Run(name+", unanswered", func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt(origin.URL), func(t *testing.T, w *way) string {
				conn := dialTLS(t, w.guard, w.pair)
				defer conn.Close()
				send(t, conn, strings.Replace(getFrom, "/x", "/silent", 1)+toHost+"\r\n")
				eventually(t, "the request is in flight", func() bool { return w.Flights() == 1 })
				change(w)
				send(t, conn, follow) // on the same connection
				return listen(conn, http.MethodGet)
			})
		})
		t.Run(name+", answered", func(t *testing.T) {
			onBothWays(t, enforcer.Options{}, originAt(origin.URL), func(t *testing.T, w *way) string {
				res := open(t, w.browser(w.pair), "/events") // its first event comes while the next is awaited
				all := spell(res, "")
				change(w)
				_, err := io.Copy(io.Discard, res.Body)
				a := <-w.records
				return all + fmt.Sprint(err, a.Status, a.Reason, a.Admitted, a.Sent > 0) // how much was sent is chance
			})
		})
	}
}

// TestBothWays_shutdown: what is in flight is answered, by whomever it is served;
// what waits for a request is closed at once.
func TestBothWays_shutdown(t *testing.T) {
	release := make(chan struct{})
	address := rawOrigin(t, func(conn net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if r.URL.Path == "/held" {
				<-release
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	const everyday, passedOn = getFrom + toHost + "\r\n", post + chunks + "\r\n3\r\nabc\r\n0\r\n\r\n"
	held := func(request string) string { return strings.Replace(request, "/x", "/held", 1) }
	t.Parallel()
	ways := newWays(t, enforcer.Options{}, originAt("http://"+address))
	var got [2]string
	var down [2]chan error
	var flying [2][]*tls.Conn
	for i, w := range ways {
		connect := func(requests ...string) *tls.Conn {
			conn := dialTLS(t, w.guard, w.pair)
			for _, r := range requests {
				wantStatus(t, exchangeRaw(t, conn, r), http.StatusOK)
			}
			return conn
		}
		idle := []*tls.Conn{connect(everyday), connect(passedOn), connect(everyday, passedOn, everyday), connect(everyday)}
		send(t, idle[3], "GET /x HT") // a part of a head is not yet a request
		for n, requests := range [][]string{
			{held(everyday)},
			{everyday, held(everyday)},
			{held(passedOn)},
			{everyday, held(passedOn)},
			{passedOn, held(everyday)},
			{everyday, held(everyday) + everyday}, // of which the second may go unanswered
		} {
			conn := connect(requests[:len(requests)-1]...)
			send(t, conn, requests[len(requests)-1])
			flying[i] = append(flying[i], conn)
			eventually(t, "it is in flight", func() bool { return w.Flights() == n+1 })
		}
		down[i] = make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			down[i] <- w.Shutdown(ctx)
		}()
		for n, conn := range idle {
			began := time.Now()
			if said := wantClosed(t, conn); said != "" || time.Since(began) > 10*time.Second {
				t.Errorf("%s: idle connection %d was told %q, after %v", w.name, n, said, time.Since(began))
			}
		}
		if _, err := tls.Dial("tcp", w.addr, w.tls(w.pair)); err == nil {
			t.Errorf("%s: a new connection is accepted", w.name)
		}
		select {
		case err := <-down[i]:
			t.Errorf("%s: shut down with requests in flight: %v", w.name, err)
		default:
		}
	}
	close(release)
	for i, w := range ways {
		for _, conn := range flying[i] {
			got[i] += listen(conn, http.MethodGet)
		}
		if err := <-down[i]; err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		got[i] += strings.Join(slices.Sorted(strings.Lines(w.told())), "") // they end in any order
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" || strings.Count(got[0], "200 OK, close true") != len(flying[0]) {
		t.Errorf("-net/http +everyday:\n%s\n%s", diff, got[0])
	}
}
