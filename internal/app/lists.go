package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A listStore holds the content of revocation lists.
type listStore interface {
	CRLData(ctx context.Context, itemID string) ([]byte, error)
}

// A listCache keeps revocation lists parsed, so that a change of anything else
// does not read them again. It is not for concurrent use.
type listCache struct {
	store   listStore
	log     *slog.Logger
	byItem  map[string]parsedList
	unsound bool // one of the last lists could not be read
}

type parsedList struct {
	digest string // of what is in force
	failed string // of what could not be read since
	list   enforcer.RevocationList
}

// load returns the lists in force, parsed. A list that the store does not give
// is an error: there will be another attempt. One that cannot be read is an
// alarm, and the last good one of that issuer stays in force: nobody who is
// revoked gets in by a broken list. Without a last good one it is an error, and
// the whole state stays as it was.
func (c *listCache) load(ctx context.Context, stored []inventory.CRL) ([]enforcer.RevocationList, error) {
	next, lists := make(map[string]parsedList, len(stored)), make([]enforcer.RevocationList, 0, len(stored))
	unsound := false
	for _, s := range stored {
		p, ok := c.byItem[s.Item.ID]
		if !ok || p.digest != s.Digest {
			fresh, err := c.read(ctx, s)
			switch {
			case err == nil:
				p = fresh
			case !ok || fault.Rule(err) != unreadable:
				return nil, err
			default:
				if p.failed != s.Digest {
					c.log.Error("a revocation list cannot be read; the last good one stays in force", "issuer", s.Item.Subject, "error", err, "hint", fault.Hint(err))
				}
				p.failed, unsound = s.Digest, true
			}
		}
		next[s.Item.ID] = p
		lists = append(lists, p.list)
	}
	c.byItem, c.unsound = next, unsound
	return lists, nil
}

// unreadable is the rule of a list that no further attempt can read.
const unreadable = "crl_unreadable"

func (c *listCache) read(ctx context.Context, s inventory.CRL) (parsedList, error) {
	der, err := c.store.CRLData(ctx, s.Item.ID)
	if err != nil {
		return parsedList{}, fmt.Errorf("reading the revocation list of %s: %w", s.Item.Subject, err)
	}
	refuse := func(err error) error {
		return fault.New(fault.Internal, unreadable, "the stored revocation list of %s cannot be read: %w", s.Item.Subject, err).
			WithHint("add the list again: certvigil crl add FILE; or take it out of force: certvigil crl remove %s", s.Item.ID)
	}
	list, err := crl.Parse(der)
	if err != nil {
		return parsedList{}, refuse(err)
	}
	p := parsedList{digest: s.Digest, list: enforcer.RevocationList{List: list}}
	key, err := hex.DecodeString(s.IssuerKey)
	if err != nil || len(key) != sha256.Size {
		return parsedList{}, refuse(fmt.Errorf("%q is no hash of its issuer's key", s.IssuerKey))
	}
	p.list.IssuerKey = [sha256.Size]byte(key)
	return p, nil
}
