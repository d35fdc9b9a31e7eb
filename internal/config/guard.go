package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/internal/access"
)

// remarkGuard warns about what lets in more than it seems to.
func (c *checker) remarkGuard(cfg *Config) {
	if cfg.Enforcer.CRLStale == CRLKeep {
		c.warn(`enforcer.crl_stale = "keep": who is revoked after the last list that arrived stays admitted, for as long as none arrives`)
	}
	for _, a := range cfg.Applications {
		if origin := a.OriginURL(); origin.Scheme != access.HTTPS && !isNear(origin.Hostname()) {
			c.warn("application %q: identity headers and answers travel unencrypted to %s: use an https origin", a.Name, origin.Host)
		}
		c.remarkSerials(a)
	}
}

// remarkSerials names policies that a serial number alone decides: each CA
// counts by itself, so another CA of the host name may have given it too.
func (c *checker) remarkSerials(a Application) {
	for _, p := range a.Policies {
		if slices.ContainsFunc(slices.Concat(p.Include, p.Require, p.Exclude), func(s Selector) bool { return s.Serial != nil && s.CA == "" }) {
			c.warn("application %q, policy %q: serial numbers are unique to one CA only: add ca to the selector, or use fingerprint", a.Name, p.Name)
		}
	}
}

// isNear reports whether a host is on this machine or, by its address or name,
// on a network that is not public. Names are not looked up.
func isNear(host string) bool {
	if isLoopback(host) {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	host = "." + strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.LastIndexByte(host, '.') == 0 ||
		slices.ContainsFunc([]string{".internal", ".local", ".localhost", ".home.arpa"}, func(zone string) bool { return strings.HasSuffix(host, zone) })
}
