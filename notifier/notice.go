package notifier

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/templates"
)

// channelNotice announces that this channel fails.
func (w *worker) channelNotice(ctx context.Context, job alert.Job, reason string, now time.Time) *alert.Notice {
	detail := fmt.Sprintf("Certvigil cannot deliver through the channel %q\n"+
		"It says: %s\n"+
		w.failingAsWell(ctx)+
		"Its messages wait. They go as soon as it works again: it is tried by itself from time to time, and at once when its configuration changes. To try it: certvigil channel test %s",
		w.config.Name, reason, w.config.Name)
	subject := "channel:" + w.config.Name + "@" + now.UTC().Format(time.RFC3339)
	return w.notice(ctx, job.Delivery.Rule, subject, detail, now)
}

// failingAsWell names the other channels that fail, each in a line: what was to
// announce one of them may wait for this one.
func (w *worker) failingAsWell(ctx context.Context) string {
	var lines strings.Builder
	for _, c := range w.n.current().Channels {
		if c.Name == w.config.Name {
			continue
		}
		if status, err := w.n.opts.Outbox.Channel(ctx, c.Name); err == nil && status.Failing {
			fmt.Fprintf(&lines, "The channel %q fails as well, since %s: %s\n", c.Name, status.Since.UTC().Format(time.RFC3339), status.Reason)
		}
	}
	return lines.String()
}

// deathNotice announces that a delivery died, unless it was such an
// announcement itself: else two dead channels would tell each other for ever.
func (w *worker) deathNotice(ctx context.Context, job alert.Job, reason string, now time.Time) *alert.Notice {
	told := itemsOf(job.Entries)
	switch {
	case told != "":
	case len(job.Entries) == 1 && job.Entries[0].Alert.Event == alert.EventReport:
		told = "the weekly report, by which the channel is tried"
	default:
		return nil
	}
	d := job.Delivery
	detail := fmt.Sprintf("A message could not be delivered through the channel %q\n"+
		"Its recipient %s was not told of: %s.\n"+
		"The last of %d attempts said: %s\n"+
		"To send it again: certvigil delivery retry %s",
		d.Channel, d.Recipient, told, d.Attempts+1, reason, d.ID)
	return w.notice(ctx, d.Rule, "delivery:"+d.ID, detail, now)
}

// itemsOf names the first items of a message and counts the rest; it is empty
// when the message tells of no item.
func itemsOf(entries []alert.Entry) string {
	const most = 5
	var names []string
	count := 0
	for _, e := range entries {
		if e.Item == nil {
			continue
		}
		if count++; count <= most {
			names = append(names, fmt.Sprintf("%s, which ends at %s",
				templates.ItemTitle(*e.Item), e.Item.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	list := strings.Join(names, "; ")
	if count > most {
		list += fmt.Sprintf("; and %d more", count-most)
	}
	return list
}

// notice addresses an announcement. It is nil when nobody else can be told.
func (w *worker) notice(ctx context.Context, rule, subject, detail string, now time.Time) *alert.Notice {
	a := alert.NewFailure(subject, rule, detail, now)
	n := &alert.Notice{Alert: a}
	for _, route := range w.others(ctx, rule) {
		for _, recipient := range route.Recipients {
			n.Deliveries = append(n.Deliveries, alert.NewDelivery(route.Channel, recipient, rule, []string{a.ID}, now))
		}
	}
	if len(n.Deliveries) == 0 {
		w.log.Error("failure announced to nobody: the rule has no other channel and there is no fallback", "rule", rule)
		return nil
	}
	return n
}

// others returns the rule's other channels that work, or else those of the
// fallback, or else any of them, where the announcement waits.
func (w *worker) others(ctx context.Context, rule string) []Route {
	s := w.n.current()
	configured := map[string]bool{}
	for _, c := range s.Channels {
		configured[c.Name] = c.Name != w.config.Name
	}
	var candidates []Route
	for _, routes := range [][]Route{s.Routes[rule], s.Fallback} {
		var working []Route
		for _, r := range routes {
			if !configured[r.Channel] {
				continue
			}
			candidates = append(candidates, r)
			if status, err := w.n.opts.Outbox.Channel(ctx, r.Channel); err != nil || !status.Failing {
				working = append(working, r)
			}
		}
		if len(working) > 0 {
			return working
		}
	}
	return candidates
}
