package inventory

import (
	"context"
	"crypto/x509"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Store keeps what is stored. Every write is one transaction with its audit
// row, bumps trust_generation when it changes trust, and is durable once it
// returns. All methods may be called concurrently, also by other processes.
// Lookups by reference take what people have: a bundle's id or name; an
// item's UUID, a fingerprint or a unique prefix (≥ 6 digits) of either, or a
// serial. They return fault.NotFound, or fault.Conflict when ambiguous.
type Store interface {
	// AddBundle stores a bundle. The same set of certificates under the same
	// name is left as it is (hostnames are added, and constraints that are
	// given replace those that are stored): created is false. It returns fault.Conflict for a name in use by another set, and for a set
	// stored under another name, naming it.
	AddBundle(ctx context.Context, b NewBundle) (bundle Bundle, created bool, err error)
	Bundle(ctx context.Context, ref string) (Bundle, error)
	Bundles(ctx context.Context) ([]Bundle, error)
	// RemoveBundle deletes a bundle that passes the checks; its items that no
	// other bundle holds become removed and are watched no longer.
	RemoveBundle(ctx context.Context, id string, actor Actor, checks ...Check) error
	// UpdateBundle changes a bundle whole or not at all. It returns
	// fault.Conflict for a name in use by another bundle.
	UpdateBundle(ctx context.Context, u BundleUpdate) (Bundle, error)

	// HostnameSettings returns the settings in the order in which they were
	// stored. SetHostnameSettings replaces them all, once the present ones pass
	// the check, which may be nil.
	HostnameSettings(ctx context.Context) ([]HostnameSetting, error)
	SetHostnameSettings(ctx context.Context, list []HostnameSetting, check SettingsCheck, actor Actor) error

	// Access returns the applications and policies that the API made.
	// EditAccess changes them by edit, which must not use the store, stores what
	// it changed with an audit row for each object, and returns what is stored
	// then. An error of edit changes nothing, and neither does the same again.
	Access(ctx context.Context) (Access, error)
	EditAccess(ctx context.Context, edit func(*Access) error, actor Actor) (Access, error)

	// AddItem stores a certificate; one already known gets the new source:
	// created is false. One that was removed or ignored returns with a new epoch.
	AddItem(ctx context.Context, n NewItem) (item alert.Item, created bool, err error)
	Item(ctx context.Context, ref string) (alert.Item, error)
	Items(ctx context.Context, f ItemFilter) ([]alert.Item, error)
	Certificate(ctx context.Context, itemID string) (*x509.Certificate, error)
	// Predecessor returns the item that the given one replaced last, or will
	// replace when it becomes valid, or fault.NotFound.
	Predecessor(ctx context.Context, itemID string) (alert.Item, error)
	// Successor returns the item that replaced the given one, or waits to
	// become valid to do so, or fault.NotFound.
	Successor(ctx context.Context, itemID string) (alert.Item, error)
	// Issued returns up to limit active client certificates that are known
	// under an issuer's name, as cert.IssuerDN writes it.
	Issued(ctx context.Context, issuer string, limit int) ([]alert.Item, error)
	// SetTrust and SetWatch change one item. Becoming active again starts a
	// new epoch; leaving active cancels unsettled deliveries.
	SetTrust(ctx context.Context, itemID string, t alert.Trust, actor Actor) error
	SetWatch(ctx context.Context, itemID string, w alert.Watch, actor Actor) error

	// SetKeyTrust denies every certificate with the key of that SHA-256 (of the
	// SubjectPublicKeyInfo, lower-case hex), known or not, or takes that back.
	SetKeyTrust(ctx context.Context, key string, revoked bool, actor Actor) error

	// AddCRL stores a revocation list in the place of its issuer's last one:
	// the same item with a later end. The same list again changes its source
	// only: created is false. An older one is a fault.Conflict of rule
	// "crl_rollback" unless that is accepted.
	AddCRL(ctx context.Context, n NewCRL) (list CRL, created bool, err error)
	CRL(ctx context.Context, ref string) (CRL, error)
	// RemoveCRL takes a list out of force.
	RemoveCRL(ctx context.Context, itemID string, actor Actor) error
	// EachOfIssuer calls fn with every certificate known under an issuer's
	// name, as cert.IssuerDN writes it, by serial. fn must not use the store.
	EachOfIssuer(ctx context.Context, issuer string, fn func(itemID, serial string) error) error

	// Replace carries out a renewal and returns the new item.
	Replace(ctx context.Context, r Replacement) (alert.Item, error)
	// Propose stores a proposal; the same one again is returned as it stands.
	// It lets those go that have expired, and returns fault.Conflict when too
	// many wait.
	Propose(ctx context.Context, itemID string, c *x509.Certificate, actor Actor) (Proposal, error)
	Proposals(ctx context.Context) ([]Proposal, error)
	// RemoveProposal deletes one that was declined.
	RemoveProposal(ctx context.Context, id string, actor Actor) error
}
