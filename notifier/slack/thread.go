package slack

import (
	"context"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
)

// Threads remember which message the later ones about an item answer. Writes
// are durable once they return. Methods may be called concurrently, also by
// other replicas.
type Threads interface {
	// SlackThread returns what Slack names the first message by that a channel
	// posted about an item in a conversation, "" when there is none on record.
	SlackThread(ctx context.Context, channel, conversation, itemID string) (ts string, err error)
	// BeginSlackThread records the first message, in place of one that is gone.
	BeginSlackThread(ctx context.Context, channel, conversation, itemID, ts string) error
}

// thread returns the message that m answers, "" when it is the first about its
// item or about several. A message that goes without its thread is better than
// none, so trouble with the record is no error.
func (c *Channel) thread(ctx context.Context, m notifier.Message) string {
	item := m.AboutItem()
	if item == "" || c.api == nil || c.options.Threads == nil {
		return ""
	}
	ts, err := c.options.Threads.SlackThread(ctx, m.Channel, c.options.Channel, item)
	if err != nil {
		return ""
	}
	return ts
}

// began records the first message about an item. It has been posted: were its
// record an error, it would be posted again. The next message then begins a
// thread of its own.
func (c *Channel) began(ctx context.Context, m notifier.Message, ts string) {
	if item := m.AboutItem(); item != "" && ts != "" && c.options.Threads != nil {
		_ = c.options.Threads.BeginSlackThread(ctx, m.Channel, c.options.Channel, item, ts)
	}
}

// broadcasts reports whether an answer is shown in the conversation too: what
// asks for something must not hide in a thread that nobody reads any more.
func broadcasts(m notifier.Message) bool {
	return m.Entries[0].Alert.Event != alert.EventRenewed
}
