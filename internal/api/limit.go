package api

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// An address may fail failBurst times at once and then once in failEvery.
const (
	failBurst  = 10
	failEvery  = 6 * time.Second
	maxClients = 4096 // that are remembered
)

// A limiter counts failures per client. It may be used concurrently.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	clients map[string]*rate.Limiter
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, clients: map[string]*rate.Limiter{}}
}

// take counts a failure. It returns how long the client has to wait, 0 while
// it is within its limit.
func (l *limiter) take(client string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.clients[client]
	if c == nil {
		l.makeRoom(now)
		c = rate.NewLimiter(rate.Every(failEvery), failBurst)
		l.clients[client] = c
	}
	if c.AllowN(now, 1) {
		return 0
	}
	missing := 1 - c.TokensAt(now)
	return max(time.Duration(missing*float64(failEvery)), time.Second)
}

// makeRoom forgets who has not failed lately, and everybody when that is not
// enough: memory is bounded, whatever addresses come.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.clients) < maxClients {
		return
	}
	for client, c := range l.clients {
		if c.TokensAt(now) >= failBurst {
			delete(l.clients, client)
		}
	}
	if len(l.clients) >= maxClients {
		clear(l.clients)
	}
}

// clientOf returns the address a request came from: of IPv6 the /64 network,
// since one client has all of it. Headers say nothing here.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}
