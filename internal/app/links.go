package app

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/link"
	"github.com/certvigil/certvigil/templates"
)

// renewalLinks makes and opens the links by which people renew without a
// token.
type renewalLinks struct {
	signer *link.Signer
	now    func() time.Time
}

// openLinks returns nil when the key file cannot be used: alerts without links
// are better than none. Where anything is sealed by it, the daemon that needs
// that says so by itself.
func (a *App) openLinks(ctx context.Context) *renewalLinks {
	key, err := a.store.LinkKey(ctx)
	if err == nil {
		var signer *link.Signer
		if signer, err = link.New(key, a.o.Now); err == nil {
			return &renewalLinks{signer, a.o.Now}
		}
	}
	a.log.Error("messages have no links: their key cannot be read", "error", err)
	return nil
}

// OpenRenewal implements api.Links.
func (l *renewalLinks) OpenRenewal(token string) (itemID string, err error) {
	return l.signer.Open(link.Renew, token)
}

// OpenHandling implements api.Links.
func (l *renewalLinks) OpenHandling(token string) (itemID string, err error) {
	return l.signer.Open(link.Handle, token)
}

// handleFor is how long after its end an item can be acknowledged by a link:
// as long as it is reminded of.
const handleFor = 30 * alert.Day

// of returns what a person can do about an item. An item that cannot be renewed
// by hand has no link for that: it would be dead before it is sent, or there is
// nothing to hand in.
func (l *renewalLinks) of(adminURL string, i alert.Item) []templates.Link {
	if l == nil || i.Trust != alert.Trusted || !i.Watched() {
		return nil
	}
	var links []templates.Link
	add := func(kind string, p link.Purpose, until time.Time) {
		if token := l.signer.Sign(p, i.ID, until); token != "" && !l.now().After(until) {
			links = append(links, templates.Link{For: kind, URL: adminURL + "/" + kind + "/" + token})
		}
	}
	if i.Watch == alert.Active && (i.Kind == alert.KindCA || i.Kind == alert.KindClient) {
		add(templates.LinkRenew, link.Renew, i.NotAfter)
	}
	add(templates.LinkHandle, link.Handle, i.NotAfter.Add(handleFor))
	return links
}
