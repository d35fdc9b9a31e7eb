package enforcer_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
)

// TestVerdict_warm holds the remembered verdict to no allocation at all.
func TestVerdict_warm(t *testing.T) {
	g := newGuard(t)
	j := enforcer.NewJudge(g.Enforcer, orders, g.james().Leaf)
	now := g.clock.Now()
	if got := j.Judge(now); got != 0 {
		t.Fatalf("status %d", got)
	}
	if n := testing.AllocsPerRun(100, func() { j.Judge(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkVerdict has a request on a connection that is known (warm), the
// first one of a known client's new connection (cold), and the first one of a
// client since the state in force (first), by a revocation list too.
func BenchmarkVerdict(b *testing.B) {
	g := newGuard(b)
	now := g.clock.Now()
	serials := make([]*big.Int, 100_000)
	for i := range serials {
		serials[i] = big.NewInt(int64(i + 1))
	}
	ways := []struct {
		name  string
		again func(*enforcer.Judge)
	}{
		{"warm", func(*enforcer.Judge) {}}, {"cold", (*enforcer.Judge).Reconnect}, {"first", (*enforcer.Judge).Forget},
	}
	keys := []struct {
		name string
		leaf *certtest.Certificate
	}{
		{"ecdsa", g.ca.Issue(certtest.Client())}, {"rsa", g.ca.Issue(certtest.Client(), certtest.RSA(2048))},
	}
	for _, state := range []string{"", "-crl"} {
		if state != "" {
			g.state.RevocationLists = []enforcer.RevocationList{newList(b, g.ca, now, serials...)}
			g.apply()
		}
		for _, key := range keys {
			for _, way := range ways {
				b.Run(way.name+"/"+key.name+state, func(b *testing.B) {
					j := enforcer.NewJudge(g.Enforcer, orders, key.leaf.Certificate)
					b.ReportAllocs()
					for b.Loop() {
						way.again(j)
						if j.Judge(now) != 0 {
							b.Fatal("refused")
						}
					}
				})
			}
		}
	}
}

func newBenchGuard(b *testing.B) *guard {
	origin := newBenchOrigin(b)
	return newGuard(b, func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse("http://" + origin) })
}

// newBenchOrigin answers each read with the same bytes, and costs next to
// nothing.
func newBenchOrigin(b *testing.B) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 16<<10)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// benchHead is what a browser sends, more or less.
const benchHead = "GET /path?query=1 HTTP/1.1\r\nHost: " + orders + "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n"

// BenchmarkRequest counts the guard, with as little as possible beside it over
// HTTP/1.1 and with net/http's client over HTTP/2.
func BenchmarkRequest(b *testing.B) {
	b.Run("h1", func(b *testing.B) {
		g := newBenchGuard(b)
		conn := g.dial(g.james())
		// The first answer brings the cookie, which browsers send from then on.
		first := exchangeRaw(b, conn, benchHead+"\r\n")
		cookie, _, _ := strings.Cut(first.Header.Get("Set-Cookie"), ";")
		request := []byte(benchHead + "Cookie: " + cookie + "\r\n\r\n")
		buf := make([]byte, 16<<10)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := conn.Write(request); err != nil {
				b.Fatal(err)
			}
			n, err := conn.Read(buf)
			if err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
				b.Fatalf("%q: %v", buf[:n], err)
			}
		}
	})
	b.Run("h2", func(b *testing.B) {
		g := newBenchGuard(b)
		client := g.client(g.james(), http2)
		b.ReportAllocs()
		for b.Loop() {
			wantStatus(b, get(b, client, "https://"+orders+"/"), 200)
		}
	})
}

// BenchmarkHandshake counts both ends: of a client that is known, of one that
// is seen for the first time, and of one that resumes.
func BenchmarkHandshake(b *testing.B) {
	for name, cache := range map[string]tls.ClientSessionCache{"full": nil, "first": nil, "resumed": tls.NewLRUClientSessionCache(1)} {
		b.Run(name, func(b *testing.B) {
			g := newBenchGuard(b)
			cfg := g.tls(g.james())
			cfg.ServerName, cfg.ClientSessionCache = orders, cache
			buf := make([]byte, 1<<10)
			for b.Loop() {
				if name == "first" {
					b.StopTimer()
					newcomer := g.james()
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return newcomer, nil }
					b.StartTimer()
				}
				raw, err := net.Dial("tcp", g.addr)
				if err != nil {
					b.Fatal(err)
				}
				conn := tls.Client(raw, cfg)
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+orders+"\r\nConnection: close\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = conn.Read(buf)
				}
				_ = conn.Close()
			}
		})
	}
}
