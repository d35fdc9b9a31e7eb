package notifier

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// An Outbox holds deliveries until they are settled. Writes are durable once
// they return. All methods may be called concurrently, also by other replicas.
type Outbox interface {
	// Claim leases up to n deliveries of a channel that are due at now, oldest
	// first, until the given time, by compare-and-swap. In the same
	// transaction it drops alerts whose item is no longer active, trusted and
	// of the same epoch, and cancels deliveries that are left with none. While
	// the channel fails, it leases nothing before RetryAt and one delivery
	// after it.
	Claim(ctx context.Context, owner, channel string, now, until time.Time, n int) ([]alert.Job, error)
	// Settle records one attempt, its outcome, the channel's status and the
	// notice, in one transaction. It returns a fault.Conflict error, and
	// writes nothing, when owner no longer holds the lease.
	Settle(ctx context.Context, owner, deliveryID string, out alert.Outcome) error
	// Channel returns a channel's status.
	Channel(ctx context.Context, channel string) (alert.ChannelStatus, error)
	// Configured tells the outbox the hash of a channel's configuration. When
	// it differs from the last one, waiting deliveries are due at once.
	Configured(ctx context.Context, channel, hash string, now time.Time) error
	// NextAttempt returns when the channel next has something to do, zero if
	// nothing is waiting.
	NextAttempt(ctx context.Context, channel string) (time.Time, error)
}
