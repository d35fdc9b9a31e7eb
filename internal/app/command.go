package app

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// A Telling is one recipient who would be told of one item.
type Telling struct {
	ItemID    string     `json:"item_id"`
	Kind      alert.Kind `json:"kind"`
	Subject   string     `json:"subject"`
	NotAfter  time.Time  `json:"not_after"`
	Rule      string     `json:"rule"`
	Threshold string     `json:"threshold"` // as configured, e.g. "30d"
	Channel   string     `json:"channel"`
	Recipient string     `json:"recipient"`
}

// A ScanResult tells what one scan did.
type ScanResult struct {
	Candidates int `json:"candidates"` // items that were due to be looked at
	Alerts     int `json:"alerts"`     // recorded, covered ones included
	Deliveries int `json:"deliveries"` // handed to the outbox
}

// Scan carries out one scan by the rules of a configuration, for a command.
func Scan(ctx context.Context, cfg *config.Config, s *store.Store, now func() time.Time) (ScanResult, error) {
	sc, err := scanner.New(scannerOptions(cfg, s, now))
	if err != nil {
		return ScanResult{}, err
	}
	done, err := sc.Scan(ctx)
	return ScanResult{Candidates: done.Candidates, Alerts: done.Alerts, Deliveries: done.Deliveries}, err
}

// Preview returns whom a scan at the given time would tell of what, the most
// urgent first, and changes nothing.
func Preview(ctx context.Context, cfg *config.Config, s *store.Store, at time.Time) ([]Telling, error) {
	sc, err := scanner.New(scannerOptions(cfg, s, func() time.Time { return at }))
	if err != nil {
		return nil, err
	}
	_, planned, err := sc.Preview(ctx, at)
	tellings := make([]Telling, 0, len(planned))
	for _, t := range planned {
		tellings = append(tellings, Telling{
			ItemID: t.Item.ID, Kind: t.Item.Kind, Subject: t.Item.Subject, NotAfter: t.Item.NotAfter, Rule: t.Alert.Rule,
			Threshold: alert.FormatThreshold(t.Alert.Threshold), Channel: t.Channel, Recipient: t.Recipient,
		})
	}
	return tellings, err
}

// TestChannel sends an example message, marked as a test, to each recipient of
// a channel, and calls sent for each that was accepted. The first failure ends
// it.
func TestChannel(ctx context.Context, cfg *config.Config, name string, now func() time.Time, sent func(recipient string)) error {
	c, ok := channelNamed(cfg, name)
	if !ok {
		return fault.New(fault.NotFound, "channel", "no channel is named %q", name).WithHint("see: certvigil channel list")
	}
	channel, err := newChannel(cfg, c, now)
	if err != nil {
		return err
	}
	for _, to := range recipients(c) {
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
