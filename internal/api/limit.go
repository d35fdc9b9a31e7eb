package api

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/certvigil/certvigil/internal/ratelimit"
)

// newLimiter counts failures: an address may fail so often at once, and then
// once in a while.
func newLimiter(now func() time.Time) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Options{Burst: 10, Every: 6 * time.Second, Most: 4096, Now: now})
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
