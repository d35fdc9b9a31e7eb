package app

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/link"
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

// address returns where an item is renewed by hand, "" where it cannot be: a
// link would be dead before it is sent, or there is nothing to hand in.
func (l *renewalLinks) address(adminURL string, i alert.Item) string {
	renewable := i.Kind == alert.KindCA || i.Kind == alert.KindClient
	if l == nil || !renewable || i.Trust != alert.Trusted || l.now().After(i.NotAfter) {
		return ""
	}
	token := l.signer.Sign(link.Renew, i.ID, i.NotAfter)
	if token == "" {
		return ""
	}
	return adminURL + "/renew/" + token
}
