package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// sameOrigin refuses what a browser sends for a page of another origin, unless
// it is a GET, HEAD or OPTIONS, which change nothing. Programs that are no
// browser say neither where they come from nor that they are one, and pass.
//
// None of our routes takes an authority that a browser adds by itself: tokens
// stand in a header that a page can set only after a preflight, which we answer
// to nobody, or in the path of a link. A certificate of admin.client_ca opens the
// listener, and permits nothing alone. So this is a second line, for the day on
// which that is forgotten. /client/v4 has the first one alone: its clients are
// programs, and each of its routes demands such a header.
func (s *server) sameOrigin(r *http.Request) error {
	protection := http.NewCrossOriginProtection()
	if origin := originOf(s.public()); origin != "" {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return err
		}
	}
	if protection.Check(r) == nil {
		return nil
	}
	return fault.New(fault.Forbidden, "cross_origin", "a page of another origin has sent this request").
		WithHint("open the page at its own address; behind a proxy, admin.public_url has to be the address that browsers use")
}

// originOf returns the origin of an absolute URL as browsers write it
// (RFC 6454 §6.2), "" for none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host
}
