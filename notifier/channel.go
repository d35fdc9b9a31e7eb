package notifier

import (
	"context"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Message is one delivery on its way to its recipient.
type Message struct {
	ID        string // the delivery's id, the same in every attempt
	Channel   string
	Recipient string
	Rule      string
	Entries   []alert.Entry // most urgent first; never empty
	Attempt   int           // from 1
	CreatedAt time.Time
	Now       time.Time // what the words of the message are true for
	AdminURL  string    // [admin] public_url, no trailing slash
	Test      bool      // made by `channel test`
}

// A Channel sends messages. Send must honour ctx, put a deadline on every
// network step, and be usable concurrently. A nil error means that the
// counterpart accepted the message. Errors bear no secret, and say by
// [Permanent], [ChannelFailing] or [RetryAfter] what to do next; any other
// error is transient.
type Channel interface {
	Send(ctx context.Context, m Message) error
}

type verdict struct {
	error
	permanent, failing bool
	after              time.Duration
}

func (v *verdict) Unwrap() error { return v.error }

// Permanent marks an error that no retry of this message can mend.
func Permanent(err error) error { return &verdict{error: err, permanent: true} }

// ChannelFailing marks an error that concerns the channel, not the message:
// its deliveries wait until it is mended.
func ChannelFailing(err error) error { return &verdict{error: err, failing: true} }

// RetryAfter marks a transient error whose counterpart said how long to wait.
func RetryAfter(err error, after time.Duration) error { return &verdict{error: err, after: after} }

func verdictOf(err error) verdict {
	var v *verdict
	if errors.As(err, &v) {
		return *v
	}
	return verdict{error: err}
}
