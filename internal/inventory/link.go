package inventory

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

// maxDependents is how many certificates are counted that depend on a CA.
const maxDependents = 100

// A Linked is an item as the holder of a signed link gets to know it.
type Linked struct {
	Item       alert.Item
	Dependents []alert.Item // of a CA: active clients it issued, up to maxDependents
	More       bool         // there are, or may be, more of them
}

// Linked returns the item of a signed link, as long as the link is good for
// anything: until the item was renewed, revoked or removed, or has ended. It
// changes nothing, not even that the link was seen.
func (s *Service) Linked(ctx context.Context, itemID string) (Linked, error) {
	item, err := s.store.Item(ctx, itemID)
	if fault.Is(err, fault.NotFound) {
		return Linked{}, linkOver("link_item", "what this link was made for is not stored any more")
	}
	if err != nil {
		return Linked{}, err
	}
	if err := s.checkLinked(ctx, item); err != nil {
		return Linked{}, err
	}
	out := Linked{Item: item}
	if item.Kind == alert.KindCA {
		out.Dependents, err = s.store.Issued(ctx, item.Subject, maxDependents)
		out.More = len(out.Dependents) == maxDependents
	}
	return out, err
}

func (s *Service) checkLinked(ctx context.Context, item alert.Item) error {
	if err := checkKind(item); err != nil {
		return err
	}
	if item.Trust != alert.Trusted {
		return linkOver("link_item", "the certificate of this link was %s", item.Trust)
	}
	next, err := s.store.Successor(ctx, item.ID)
	switch {
	case err == nil:
		return linkOver("link_used", "this link has been used: the certificate %s, which ends %s, takes the place of the old one",
			next.Fingerprint, next.NotAfter.UTC().Format(time.RFC3339))
	case !fault.Is(err, fault.NotFound):
		return err
	}
	if item.Watch == alert.Superseded || s.now().After(item.NotAfter) {
		return linkOver("link_ended", "the certificate of this link has ended or was replaced")
	}
	return nil
}

// linkOver is the refusal of a link that was good once.
func linkOver(rule, format string, args ...any) *fault.Error {
	return fault.New(fault.Conflict, rule, format, args...).
		WithHint("nothing is left to do here; an administrator can do the rest by `certvigil cert renew`")
}

// RenewLinked is Renew for whoever holds a link of an item. Beyond the item
// the link gives no right: a CA with another key is proposed.
func (s *Service) RenewLinked(ctx context.Context, itemID string, data []byte, actor Actor) (Renewal, error) {
	if _, err := s.Linked(ctx, itemID); err != nil {
		return Renewal{}, err
	}
	return s.Renew(ctx, linkRequest(itemID, data, actor))
}

// PreviewLinked is Preview for whoever holds a link of an item.
func (s *Service) PreviewLinked(ctx context.Context, itemID string, data []byte) (Preview, error) {
	if _, err := s.Linked(ctx, itemID); err != nil {
		return Preview{}, err
	}
	return s.Preview(ctx, linkRequest(itemID, data, Actor{}))
}

func linkRequest(itemID string, data []byte, actor Actor) RenewRequest {
	return RenewRequest{Data: data, ItemRef: itemID, Authority: Authority{Once: true}, Reference: "link of " + itemID, Actor: actor}
}
