package notifier

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/templates"
)

// A Message is one delivery on its way to its recipient.
type Message struct {
	ID        string // the delivery's id, the same in every attempt
	Channel   string
	Recipient string
	Rule      string
	RuleID    string        // what formats call the rule's id; "" = it has none
	Entries   []alert.Entry // most urgent first; never empty unless Test is set
	Attempt   int           // from 1
	CreatedAt time.Time
	Now       time.Time // what the words of the message are true for
	AdminURL  string    // [admin] public_url, no trailing slash
	Test      bool      // made by `channel test`

	// Links are what a person can do about an item, by its id. Whoever has one
	// may do so: they go to people alone, never to a log.
	Links map[string][]templates.Link
	Facts map[string]alert.Facts // by item id, of the items that are spelled out
}

// A Channel sends messages. Send must honour ctx, put a deadline on every
// network step, and be usable concurrently. A nil error means that the
// counterpart accepted the message. Errors bear no secret, and say by
// [Permanent], [ChannelFailing] or [RetryAfter] what to do next; any other
// error is transient.
type Channel interface {
	Send(ctx context.Context, m Message) error
}

// AboutItem returns the id of the item that the message is about, "" when it is
// about several or none: messages about one item belong together.
func (m Message) AboutItem() string {
	if m.Test || len(m.Entries) != 1 {
		return ""
	}
	return m.Entries[0].Alert.ItemID
}

// Words returns what the message says, for the renderers of templates.
func (m Message) Words() templates.Message {
	return templates.Message{
		ID: m.ID, Channel: templates.OneLine(m.Channel), Rule: templates.OneLine(m.Rule), Entries: m.Entries,
		Now: m.Now, AdminURL: m.AdminURL, Test: m.Test, Links: m.Links, Facts: m.Facts,
	}
}
