// Package alert holds the words of the alerting half: items, alerts,
// deliveries, their identities and their states. It does no I/O.
package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Day is 24 hours: thresholds are spans of time, never calendar days.
const Day = 24 * time.Hour

// An Event is what an alert tells.
type Event string

// The events.
const (
	EventExpiring Event = "expiring"
	EventRenewed  Event = "renewed"
	EventRevoked  Event = "revoked"
	EventRemoved  Event = "removed" // it is trusted and watched no longer
	EventIgnored  Event = "ignored" // it is watched no longer
	EventReport   Event = "report"  // a channel's weekly report
	EventFailed   Event = "failed"  // a delivery died, a channel fails or a revocation list cannot be refreshed
)

// An Alert is one thing to tell. Subject is the UUID of an item for every
// event but EventFailed, where it is "delivery:ID", "channel:NAME@RFC3339" or
// "crl:ID@RFC3339", with the UUID of the list's item, and EventReport, where it
// is "report:CHANNEL@RFC3339" with the beginning of the week.
type Alert struct {
	ID        string        `json:"id"`
	Subject   string        `json:"subject"`
	ItemID    string        `json:"item_id,omitempty"` // "" when the subject is no item
	Epoch     int           `json:"epoch"`
	Began     int           `json:"-"` // the epoch with which Epoch goes on; 0 = it began anew
	Rule      string        `json:"rule"`
	Threshold time.Duration `json:"-"` // as configured, before scaling
	Event     Event         `json:"event"`
	Covered   bool          `json:"covered"`          // a tighter threshold was told in its place; it has no delivery
	Detail    string        `json:"detail,omitempty"` // words of an EventFailed or EventReport alert; no secret
	CreatedAt time.Time     `json:"created_at"`
}

// ID returns the identity of an alert: 32 hex digits of a SHA-256 over its
// subject, epoch, rule, threshold and event. The same alert always has the
// same id, also in a store restored from a backup.
func ID(subject string, epoch int, rule string, threshold time.Duration, event Event) string {
	return digest("alert", subject, strconv.Itoa(epoch), rule, strconv.FormatInt(int64(threshold/time.Second), 10), string(event))
}

// Key is the same for whatever is told of one subject in one epoch, and those that
// go on with it, by whichever rule: receivers tie the end of an alert to its
// beginning by it.
func (a Alert) Key() string { return ID(a.Subject, cmp.Or(a.Began, a.Epoch), "", 0, "") }

// Resolves reports whether the alert tells that an earlier one is over.
func (a Alert) Resolves() bool {
	switch a.Event {
	case EventRenewed, EventRevoked, EventRemoved, EventIgnored:
		return true
	case EventExpiring, EventReport, EventFailed:
	}
	return false
}

// A DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery: pending → sending → sent | retrying | dead |
// cancelled; retrying → sending.
const (
	StatePending   DeliveryState = "pending"
	StateSending   DeliveryState = "sending"
	StateRetrying  DeliveryState = "retrying"
	StateSent      DeliveryState = "sent"
	StateDead      DeliveryState = "dead"
	StateCancelled DeliveryState = "cancelled"
)

// A Delivery is one message to one recipient of one channel, carrying one or
// more alerts.
type Delivery struct {
	ID            string        `json:"id"`
	Channel       string        `json:"channel"`
	Recipient     string        `json:"recipient"` // an e-mail address; for Slack and webhooks the channel's name
	Rule          string        `json:"rule"`
	AlertIDs      []string      `json:"alerts"` // sorted
	State         DeliveryState `json:"state"`
	Attempts      int           `json:"attempts"`
	NextAttemptAt time.Time     `json:"next_attempt_at"`
	LastError     string        `json:"last_error,omitempty"`
	CreatedAt     time.Time     `json:"created_at"`
	SettledAt     *time.Time    `json:"settled_at,omitempty"`
}

// DeliveryID returns the identity of a delivery: 32 hex digits of a SHA-256
// over channel, recipient and the sorted alert ids. alertIDs is not changed.
func DeliveryID(channel, recipient string, alertIDs []string) string {
	ids := slices.Sorted(slices.Values(alertIDs))
	return digest("delivery", channel, recipient, strings.Join(ids, ","))
}

// NewDelivery returns a pending delivery that is due at now.
func NewDelivery(channel, recipient, rule string, alertIDs []string, now time.Time) Delivery {
	ids := slices.Sorted(slices.Values(alertIDs))
	return Delivery{
		ID: DeliveryID(channel, recipient, ids), Channel: channel, Recipient: recipient, Rule: rule,
		AlertIDs: ids, State: StatePending, NextAttemptAt: now, CreatedAt: now,
	}
}

// NewFailure returns the alert of something that failed, which is about no item.
// The same subject and rule are the same alert.
func NewFailure(subject, rule, detail string, now time.Time) Alert {
	return Alert{
		ID: ID(subject, 0, rule, 0, EventFailed), Subject: subject, Rule: rule,
		Event: EventFailed, Detail: detail, CreatedAt: now,
	}
}

// NewReport returns the alert of a channel's report of a period, which is about
// no item. The same channel and period of one installation are the same alert:
// two that write to one mailbox must not pass for each other's repetition.
func NewReport(installation, channel string, period time.Time, detail string, now time.Time) Alert {
	subject := "report:" + channel + "@" + period.UTC().Format(time.RFC3339)
	return Alert{ID: ID(subject, 0, installation, 0, EventReport), Subject: subject, Event: EventReport, Detail: detail, CreatedAt: now}
}

// digest joins length-prefixed parts, so that no two lists of parts collide.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// FormatThreshold returns a threshold as it is written in the configuration:
// whole days as "30d", anything else as time.Duration prints it.
func FormatThreshold(d time.Duration) string {
	if d%Day == 0 {
		return strconv.FormatInt(int64(d/Day), 10) + "d"
	}
	return d.String()
}

// DaysLeft returns the days left at now, rounded up; 0 once expired.
func DaysLeft(notAfter, now time.Time) int {
	left := notAfter.Sub(now)
	if left <= 0 {
		return 0
	}
	return int((left + Day - 1) / Day)
}

// FormatLeft returns the time left at now in words: "in 13 d 4 h", "in 4 h 10
// min", "in 3 min", "in less than a minute", "expired 3 d ago". Spans are rounded
// down.
func FormatLeft(notAfter, now time.Time) string {
	left := notAfter.Sub(now)
	if left < 0 {
		return "expired " + span(-left) + " ago"
	}
	return "in " + span(left)
}

func span(d time.Duration) string {
	days, hours, minutes := int(d/Day), int(d%Day/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case days > 0 && hours > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case days > 0:
		return fmt.Sprintf("%d d", days)
	case hours > 0 && minutes > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%d h", hours)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return "less than a minute"
}
