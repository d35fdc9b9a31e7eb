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

// of returns what a person can do about an item. An item that cannot be renewed
// by hand has no link for that: it would be dead before it is sent, or there is
// nothing to hand in.
func (l *renewalLinks) of(adminURL string, i alert.Item) []templates.Link {
	renewable := i.Kind == alert.KindCA || i.Kind == alert.KindClient
	if l == nil || !renewable || i.Trust != alert.Trusted || l.now().After(i.NotAfter) {
		return nil
	}
	token := l.signer.Sign(link.Renew, i.ID, i.NotAfter)
	if token == "" {
		return nil
	}
	return []templates.Link{{For: templates.LinkRenew, URL: adminURL + "/renew/" + token}}
}
