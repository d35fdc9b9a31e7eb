package app

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// A Telling is one recipient who would be told of one item.
type Telling struct {
	ItemID    string      `json:"item_id"`
	Kind      alert.Kind  `json:"kind"`
	Subject   string      `json:"subject"`
	NotAfter  time.Time   `json:"not_after"`
	Rule      string      `json:"rule"`
	Event     alert.Event `json:"event"`
	Threshold string      `json:"threshold,omitempty"` // as configured, e.g. "30d"; of what expires
	Channel   string      `json:"channel"`
	Recipient string      `json:"recipient"`
}

// A ScanResult tells what one scan did.
type ScanResult struct {
	Candidates int `json:"candidates"` // items that were due to be looked at
	Alerts     int `json:"alerts"`     // recorded, covered ones included
	Deliveries int `json:"deliveries"` // handed to the outbox
}

// Scan carries out one scan by the rules of a configuration, for a command.
func Scan(ctx context.Context, cfg *config.Config, s *store.Store, now func() time.Time) (ScanResult, error) {
	r, err := rosterOf(ctx, cfg, s)
	if err != nil {
		return ScanResult{}, err
	}
	sc, err := scanner.New(scannerOptions(r, s, now))
	if err != nil {
		return ScanResult{}, err
	}
	done, err := sc.Scan(ctx)
	return ScanResult{Candidates: done.Candidates, Alerts: done.Alerts, Deliveries: done.Deliveries}, err
}

// Preview returns whom a scan at the given time would tell of what, the most
// urgent first, and changes nothing.
func Preview(ctx context.Context, cfg *config.Config, s *store.Store, at time.Time) ([]Telling, error) {
	r, err := rosterOf(ctx, cfg, s)
	if err != nil {
		return nil, err
	}
	sc, err := scanner.New(scannerOptions(r, s, func() time.Time { return at }))
	if err != nil {
		return nil, err
	}
	_, planned, err := sc.Preview(ctx, at)
	tellings := make([]Telling, 0, len(planned))
	for _, t := range planned {
		telling := Telling{
			ItemID: t.Item.ID, Kind: t.Item.Kind, Subject: t.Item.Subject, NotAfter: t.Item.NotAfter, Rule: t.Alert.Rule,
			Event: t.Alert.Event, Channel: t.Channel, Recipient: t.Recipient,
		}
		if t.Alert.Event == alert.EventExpiring {
			telling.Threshold = alert.FormatThreshold(t.Alert.Threshold)
		}
		tellings = append(tellings, telling)
	}
	return tellings, err
}

// A Channel is a channel as it is listed.
type Channel struct{ Name, Type string }

// Channels returns the channels that the configuration declares, and then those
// that the API made, with the type that a declared one of their kind would have.
func Channels(ctx context.Context, cfg *config.Config, s *store.Store) ([]Channel, error) {
	r, err := rosterOf(ctx, cfg, s)
	if err != nil {
		return nil, err
	}
	var list []Channel
	for _, c := range cfg.Channels {
		list = append(list, Channel{c.Name, c.Type})
	}
	for _, d := range r.stored.Destinations {
		kind := config.TypeWebhook
		if d.Type == alerting.TypeSlack {
			kind = config.TypeSlack
		}
		list = append(list, Channel{d.Name, kind})
	}
	return list, nil
}

// Overhear returns a context for TestChannel that tells the conversation with
// the counterpart line by line, secrets cut out: "> " precedes what we say, "< "
// what it answers, "* " what happens in between.
func Overhear(ctx context.Context, tell func(line string)) context.Context {
	return notifier.Overhear(ctx, func(by notifier.Speaker, line string) { tell(string(by) + " " + line) })
}

// TestChannel sends an example message, marked as a test, to each recipient of
// a channel, and calls sent for each that was accepted. The first failure ends
// it. The store is opened by open for a channel that the configuration does not
// declare; such a one may be made by the API.
func TestChannel(ctx context.Context, cfg *config.Config, open func(func(*store.Store) error) error, name string, now func() time.Time, sent func(recipient string)) error {
	if c, ok := channelNamed(cfg, name); ok {
		channel, err := newChannel(cfg, c, now, nil)
		if err != nil {
			return err
		}
		return testChannel(ctx, cfg, channel, name, recipients(c), now, sent)
	}
	return open(func(s *store.Store) error {
		r, err := openRosterOf(ctx, cfg, s)
		if err != nil {
			return err
		}
		for _, d := range r.stored.Destinations {
			if d.Name != name {
				continue
			}
			channel, err := newDestination(cfg, d, now)
			if err != nil {
				return err
			}
			return testChannel(ctx, cfg, channel, name, []string{name}, now, sent)
		}
		return fault.New(fault.NotFound, "channel", "no channel is named %q", name).WithHint("see: certvigil channel list")
	})
}

func testChannel(ctx context.Context, cfg *config.Config, channel notifier.Channel, name string, to []string, now func() time.Time, sent func(recipient string)) error {
	for _, to := range to {
		err := channel.Send(ctx, notifier.Message{
			ID: alert.DeliveryID(name, to, []string{uuid.NewString()}), Channel: name, Recipient: to, Attempt: 1,
			CreatedAt: now(), Now: now(), AdminURL: cfg.Admin.PublicURL, Test: true,
		})
		if err != nil {
			return fault.New(fault.Unavailable, "channel", "sending to %s by channel %q: %w", to, name, err).
				WithHint("%s", sendHint(err))
		}
		sent(to)
	}
	return nil
}

// sendHint says what to do about a message that could not be sent.
func sendHint(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the other side's certificate does not verify here: mend it, or add its CA to the system's (SSL_CERT_FILE may name another file); alerts would wait until then"
	}
	return "mend what the words above say; alerts would wait until then"
}
