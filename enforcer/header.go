package enforcer

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/certvigil/certvigil/internal/header"
)

// The headers that tell the origin who the client is.
const (
	headerAssertion = "Cf-Access-Jwt-Assertion"
	headerCertDER   = "Cf-Client-Cert-Der-Base64"
	headerCertHash  = "Cf-Client-Cert-Sha256"
	cookieName      = "CF_Authorization"
)

// Header names that only a gateway may set, folded: ours and those that other
// gateways' origins trust. X-Forwarded-* and Forwarded are in the list since
// what a trusted proxy said of them is set anew.
var (
	reservedPrefixes = []string{
		"cf-access-", "cf-client-cert-", "cf-cert-", "x-ssl-", "x-client-cert",
		"x-forwarded-", "x-amzn-mtls-",
	}
	reservedNames = map[string]bool{
		"client-cert": true, "client-cert-chain": true,
		"forwarded": true, "x-real-ip": true, "true-client-ip": true, "cf-connecting-ip": true,
		// By these some origins serve another path than the one that was judged.
		"x-original-url": true, "x-rewrite-url": true,
		"proxy": true, // HTTP_PROXY to a CGI (CVE-2016-5385)
	}
	// framingNames are harmless as they are spelled; another spelling of them
	// is a header to us and framing, host or cookie to a CGI-like origin.
	framingNames = map[string]bool{
		"content-length": true, "transfer-encoding": true, "host": true,
		"connection": true, "upgrade": true, "expect": true, "trailer": true, "te": true,
	}
)

// innocuous are frequent names, in canonical form, that need no closer look.
var innocuous = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Authorization": true, "Cache-Control": true,
	"Content-Type": true, "If-Modified-Since": true, "If-None-Match": true, "Origin": true, "Pragma": true, "Priority": true,
	"Range": true, "Referer": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Platform": true,
	"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-User": true,
	"Upgrade-Insecure-Requests": true, "User-Agent": true,
}

// reserved reports whether a header name is one that clients must not set, in
// any spelling: origins in the CGI tradition fold case and every other
// character than letters and digits ("Cf_Access.Jwt-Assertion"). owned are the
// application's own names, folded. Nothing longer is reserved.
func reserved(name string, owned map[string]bool) bool {
	if len(owned) == 0 && innocuous[name] {
		return false
	}
	var buf [header.MaxName]byte
	folded := header.AppendFold(buf[:0], name[:min(len(name), len(buf))])
	for _, prefix := range reservedPrefixes {
		if len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix {
			return true
		}
	}
	return reservedNames[string(folded)] || owned[string(folded)] ||
		framingNames[string(folded)] && !strings.EqualFold(name, string(folded))
}

// stripCookie returns Cookie headers without our cookie and leaves the other
// cookies as they were.
func stripCookie(lines []string) []string {
	found := false
	for _, line := range lines {
		found = found || namesOurCookie(line)
	}
	if !found {
		return lines
	}
	var kept []string
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			if !namesOurCookie(pair) {
				pairs = append(pairs, pair)
			}
		}
		if rest := strings.TrimSpace(strings.Join(pairs, ";")); rest != "" {
			kept = append(kept, rest)
		}
	}
	return kept
}

// namesOurCookie reports whether any cookie parser may find our cookie in s:
// some also separate by commas, white space or quotes, and some take a cookie
// without a name ("=CF_Authorization=x") for one whose name is in its value
// (CVE-2023-23934). It looks for the name's underscore, which is rare.
func namesOurCookie(s string) bool {
	const before = len("CF")
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '_')
		if i < 0 {
			return false
		}
		start := from + i - before
		end := start + len(cookieName)
		from += i + 1
		if start >= 0 && end <= len(s) && strings.EqualFold(s[start:end], cookieName) &&
			(start == 0 || s[start-1] == '=' || separates(s[start-1])) && (end == len(s) || s[end] == '=' || separates(s[end])) {
			return true
		}
	}
}

func separates(b byte) bool { return b <= ' ' || b == ',' || b == '"' || b == ';' }

// hasCookie reports whether the client has that CF_Authorization cookie. It admits
// nobody; it only tells whether the client needs a newer one.
func hasCookie(lines []string, pair string) bool {
	for _, line := range lines {
		if strings.Contains(line, pair) {
			return true
		}
	}
	return false
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// clientAddr returns the address of the client: the peer's, or, if that is a
// trusted proxy, the rightmost one in X-Forwarded-For that is not. It stops at
// an entry it cannot read: what stands left of it is anybody's claim.
func clientAddr(peer netip.Addr, trusted []netip.Prefix, h http.Header) netip.Addr {
	addr := peer
	if len(trusted) == 0 || !isTrusted(peer, trusted) {
		return addr
	}
	list := strings.Join(h["X-Forwarded-For"], ",")
	for list != "" {
		var last string
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			list, last = list[:i], list[i+1:]
		} else {
			list, last = "", list
		}
		hop, ok := parseHop(strings.TrimSpace(last))
		if !ok {
			return addr
		}
		addr = hop
		if !isTrusted(addr, trusted) {
			return addr
		}
	}
	return addr
}

// parseHop reads an address with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
