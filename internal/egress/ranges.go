package egress

import "net/netip"

// metadata holds where clouds answer with the credentials of the host that
// asks.
var metadata = prefixes(
	"169.254.169.0/24",    // AWS, Azure, Google, Oracle, OpenStack, DigitalOcean, IBM and others; DNS and time of AWS
	"169.254.170.0/24",    // credentials of AWS containers and EKS pods
	"169.254.0.23/32",     // Tencent
	"169.254.42.42/32",    // Scaleway
	"100.100.100.200/32",  // Alibaba
	"192.0.0.192/32",      // Oracle, the old one
	"168.63.129.16/32",    // Azure's wire server, a public address
	"fd00:ec2::/32",       // AWS over IPv6
	"fd20:ce::254/128",    // Google over IPv6
	"fd00:42::42/128",     // Scaleway over IPv6
	"fe80::a9fe:a9fe/128", // OpenStack over IPv6
)

// metadataNames are names of these addresses that hosts are given.
var metadataNames = map[string]bool{
	"metadata": true, "metadata.google.internal": true, "metadata.goog": true, "metadata.azure.com": true,
	"metadata.azure.internal": true, "instance-data": true, "instance-data.ec2.internal": true,
	"metadata.tencentyun.com": true, "api.metadata.cloud.ibm.com": true,
}

// reserved4 is what of IPv4 is not public (IANA IPv4 Special-Purpose Address
// Registry, RFC 6890).
var reserved4 = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private, RFC 1918
	"100.64.0.0/10",   // shared address space of carriers, RFC 6598
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local
	"172.16.0.0/12",   // private, RFC 1918
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays, deprecated
	"192.168.0.0/16",  // private, RFC 1918
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
)

// global6 is what of IPv6 can be public; nothing else was ever given out. The
// translation of IPv4 is judged by what is translated.
var global6 = prefixes("2000::/3", "64:ff9b::/96")

// reserved6 is what of global6 is not public (IANA IPv6 Special-Purpose
// Address Registry).
var reserved6 = prefixes(
	"2001:2::/48",   // benchmarks
	"2001:10::/28",  // ORCHID, not routed
	"2001:20::/28",  // ORCHIDv2, not routed
	"2001:db8::/32", // documentation
	"3ffe::/16",     // the 6bone, which is no more
	"3fff::/20",     // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func within(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func isMetadata(addr netip.Addr) bool { return within(metadata, addr) }

func isPublic(addr netip.Addr) bool {
	switch {
	case addr.Is4():
		return !within(reserved4, addr)
	case addr.Is6():
		return within(global6, addr) && !within(reserved6, addr)
	}
	return false
}
