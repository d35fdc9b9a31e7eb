package fetch

import (
	"net"
	"net/netip"

	"github.com/certvigil/certvigil/internal/egress"
)

// CountAsPublic has one address, which cannot be public in a test, count as
// public.
func (f *Fetcher) CountAsPublic(address string) {
	f.check = func(p egress.Policy, addr netip.AddrPort) error {
		if addr.String() == address {
			return nil
		}
		return p.Check(addr.Addr())
	}
}

// ResolveBy has names resolved by other means than the system's.
func (f *Fetcher) ResolveBy(r *net.Resolver) { f.resolver = r }
