package fetch

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"syscall"

	"github.com/certvigil/certvigil/internal/egress"
)

// A way is what one Get may still dial. Where it begins is the word of whoever
// gave the URL, and may be in a private network. Where it leads from a public
// server is that server's word, which must not reach into one.
type way struct {
	policy  egress.Policy // of the next server; it only narrows
	byProxy bool          // the next server is asked through a proxy
}

type wayKey struct{}

// next takes the way on to a server, if that may be asked.
func (w *way) next(f *Fetcher, at *url.URL) error {
	if err := w.policy.CheckURL(at); err != nil {
		return err
	}
	proxy, err := f.proxy(at)
	w.byProxy = err == nil && proxy != nil
	if w.byProxy && (egress.Policy{}).CheckURL(at) == nil {
		// Its address is the proxy's to know: only the name speaks for it.
		w.policy = egress.Policy{}
	}
	return nil
}

// dial connects to a server, or to the proxy, which is the operator's choice
// and may be anywhere.
func (f *Fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w, ok := ctx.Value(wayKey{}).(*way)
	if !ok || w.byProxy {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	dialer := &net.Dialer{Resolver: f.resolver, Control: func(_, address string, _ syscall.RawConn) error { return f.checkDialled(w.policy, address) }}
	conn, err := dialer.DialContext(ctx, network, address)
	if err == nil && f.checkDialled(egress.Policy{}, conn.RemoteAddr().String()) == nil {
		w.policy = egress.Policy{}
	}
	return conn, err
}

func (f *Fetcher) checkDialled(p egress.Policy, address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return p.Control("", address, nil)
	}
	return f.check(p, addr)
}
