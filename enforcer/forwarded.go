package enforcer

import (
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A hop is what origins are told of where a connection's requests come from.
type hop struct{ host, address, element string }

// hopTo returns the hop of a request, remembered with its connection.
func (c *client) hopTo(host string) *hop {
	if h := c.hop.Load(); h != nil && h.host == host {
		return h
	}
	h := &hop{host, c.addr.String(), forwardedElement(c.addr, "https", host)}
	c.hop.Store(h)
	return h
}

// setForwarded says where the request came from, in the two ways that origins
// understand. What the client said of it counts only if the client is a
// trusted proxy.
func (o *outgoing) setForwarded(x *exchange, in *http.Request) {
	h := x.flight.client.hopTo(in.Host)
	from, proto, host, forwarded := h.address, "https", in.Host, h.element
	if x.trustedPeer {
		forwarded = priorForwarded(in.Header) + forwarded
		if prior := in.Header["X-Forwarded-For"]; len(prior) > 0 {
			from = strings.Join(prior, ", ") + ", " + from
		}
		proto = firstOr(in.Header["X-Forwarded-Proto"], proto)
		host = firstOr(in.Header["X-Forwarded-Host"], host)
	}
	o.set("X-Forwarded-For", from)
	o.set("X-Forwarded-Proto", proto)
	o.set("X-Forwarded-Host", host)
	o.set("Forwarded", forwarded)
}

func firstOr(values []string, otherwise string) string {
	if len(values) > 0 {
		return values[0]
	}
	return otherwise
}

// forwardedElement returns one hop (RFC 7239 §4). proto and host may be empty.
func forwardedElement(addr netip.Addr, proto, host string) string {
	if proto != "" {
		proto = ";proto=" + forwardedValue(proto)
	}
	if host != "" {
		host = ";host=" + forwardedValue(host)
	}
	return "for=" + forwardedNode(addr) + proto + host
}

func forwardedNode(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "unknown"
	case addr.Is6():
		return `"[` + addr.String() + `]"`
	default:
		return addr.String()
	}
}

// forwardedValue quotes what is not a token.
func forwardedValue(s string) string {
	if httpguts.ValidHeaderFieldName(s) { // which is a token
		return s
	}
	return `"` + quoteEscaper.Replace(s) + `"`
}

var quoteEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// priorForwarded returns what a trusted proxy said, to be continued. One that
// speaks X-Forwarded-* alone is translated, so that no origin finds the proxy
// where it looks for the client.
func priorForwarded(h http.Header) string {
	if prior := strings.Join(h["Forwarded"], ", "); prior != "" {
		if !quotesClosed(prior) {
			return "" // it would swallow what follows
		}
		return prior + ", "
	}
	list := strings.Join(h["X-Forwarded-For"], ",")
	if list == "" {
		return ""
	}
	var s strings.Builder
	proto, host := firstOr(h["X-Forwarded-Proto"], ""), firstOr(h["X-Forwarded-Host"], "")
	for hop := range strings.SplitSeq(list, ",") {
		addr, _ := parseHop(strings.TrimSpace(hop))
		s.WriteString(forwardedElement(addr, proto, host) + ", ")
		proto, host = "", "" // of the first hop: what the client asked for
	}
	return s.String()
}

// quotesClosed reports whether every quoted string in s ends in s.
func quotesClosed(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return !quoted
}
