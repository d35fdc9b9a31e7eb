package enforcer

import (
	"net/url"

	"github.com/certvigil/certvigil/internal/hostname"
)

func checkDenial(d *Denial) error {
	if d.URL == nil {
		return nil
	}
	switch {
	case d.Page != nil:
		return refuse("deny", "it has both a page and a URL for those who are denied").WithHint("keep one of them")
	case d.URL.Scheme != "https" && d.URL.Scheme != "http" || d.URL.Hostname() == "":
		return refuse("deny_url", "the URL for those who are denied, %q, is not an http or https URL with a host", d.URL.Redacted())
	case d.URL.User != nil:
		return refuse("deny_url", "the URL for those who are denied has a user or a password, which everybody would see")
	}
	return nil
}

// checkCircles refuses to send those whom an application denies to a page that
// the same application guards.
func checkCircles(sites names[*site]) error {
	for _, at := range sites {
		for _, app := range at.apps {
			if u := app.deny.URL; u != nil && leadsTo(sites, u) == app {
				return refuse("deny_url", "application %q: the URL for those who are denied leads to the application itself", app.name).
					WithHint("name a page that everybody may see")
			}
		}
	}
	return nil
}

// leadsTo returns the application that a URL is about, if it is one of ours.
func leadsTo(sites names[*site], u *url.URL) *application {
	name, err := hostname.Normalize(u.Hostname())
	if err != nil {
		return nil
	}
	at, found := sites.find(name)
	if !found {
		return nil
	}
	if u.Path == "" {
		u = u.JoinPath("/")
	}
	app, _ := at.application(u)
	return app
}
