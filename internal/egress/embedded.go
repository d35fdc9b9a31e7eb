package egress

import "net/netip"

var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 §2.5.5.1, deprecated
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, deprecated
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052 §2.1
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// embeddedIn returns the IPv4 addresses that an IPv6 address may lead to.
func embeddedIn(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	at := func(positions ...int) netip.Addr {
		return netip.AddrFrom4([4]byte{b[positions[0]], b[positions[1]], b[positions[2]], b[positions[3]]})
	}
	last := at(12, 13, 14, 15)
	switch {
	case compatible.Contains(addr), translated.Contains(addr), nat64.Contains(addr), isISATAP(b):
		return []netip.Addr{last}
	case localNAT64.Contains(addr):
		// The length of the prefix is the network's choice: /48, /56, /64, /96.
		return []netip.Addr{at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), last}
	case sixToFour.Contains(addr):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(addr):
		server, client := at(4, 5, 6, 7), last.As4()
		for i := range client {
			client[i] ^= 0xff
		}
		return []netip.Addr{server, netip.AddrFrom4(client)}
	}
	return nil
}

// isISATAP reports whether an interface identifier is RFC 5214 §6.1's.
func isISATAP(b [16]byte) bool {
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
