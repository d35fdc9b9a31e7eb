package enforcer_test

import (
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	b.Cleanup(origin.Close)
	return newGuard(b, func(s *enforcer.State) { s.Applications[0].Origin, _ = url.Parse(origin.URL) })
}

// BenchmarkRequest counts client, guard and origin together.
func BenchmarkRequest(b *testing.B) {
	for name, mode := range map[string]func(*http.Transport){"h1": func(*http.Transport) {}, "h2": http2} {
		b.Run(name, func(b *testing.B) {
			g := newBenchGuard(b)
			client := g.client(g.james(), mode)
			b.ReportAllocs()
			for b.Loop() {
				wantStatus(b, get(b, client, "https://"+orders+"/"), 200)
			}
		})
	}
}

// BenchmarkHandshake counts both ends.
func BenchmarkHandshake(b *testing.B) {
	for name, cache := range map[string]tls.ClientSessionCache{"full": nil, "resumed": tls.NewLRUClientSessionCache(1)} {
		b.Run(name, func(b *testing.B) {
			g := newBenchGuard(b)
			cfg := g.tls(g.james())
			cfg.ServerName, cfg.ClientSessionCache = orders, cache
			buf := make([]byte, 1<<10)
			for b.Loop() {
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
