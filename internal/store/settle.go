package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
)

// Settle records one attempt, its outcome, the channel's status and the
// notice, in one transaction. It returns a fault.Conflict error, and writes
// nothing, when owner no longer holds the lease.
func (s *Store) Settle(ctx context.Context, owner, deliveryID string, out alert.Outcome) error {
	return s.write(ctx, "settling a delivery", func(t *tx) error {
		if err := t.settle(ctx, owner, deliveryID, out); err != nil {
			return err
		}
		if err := t.noteAttempt(ctx, deliveryID, out); err != nil {
			return err
		}
		if out.State == alert.StateSent || out.Uncertain {
			if err := t.heard(ctx, deliveryID); err != nil {
				return err
			}
		}
		if out.Channel != nil {
			if err := t.settleChannel(ctx, deliveryID, *out.Channel, out.At); err != nil {
				return err
			}
		}
		return t.insertNotice(ctx, out.Notice)
	})
}

func (t *tx) settle(ctx context.Context, owner, deliveryID string, out alert.Outcome) error {
	counted, settled, next := 1, sql.NullInt64{}, sql.NullInt64{}
	switch out.State {
	case alert.StateSent, alert.StateDead:
		settled = millis(out.At)
	case alert.StateRetrying:
		next = millis(out.NextAttemptAt)
	case alert.StatePending:
		counted, next = 0, millis(out.NextAttemptAt)
	default:
		return fault.New(fault.Invalid, "outcome", "%q is not the outcome of an attempt", out.State)
	}
	changed, err := t.exec(ctx, `UPDATE deliveries SET state = ?, attempts = attempts + ?, settled_at = ?,
			next_attempt_at = COALESCE(?, next_attempt_at), last_error = CASE WHEN ? = 1 THEN ? ELSE last_error END,
			lease_owner = NULL, lease_until = NULL
		WHERE id = ? AND state = 'sending' AND lease_owner = ?`,
		out.State, counted, settled, next, flag(counted == 1 || out.Error != ""), out.Error, deliveryID, owner)
	if err != nil {
		return err
	}
	if changed == 0 {
		return fault.New(fault.Conflict, "lease_lost", "%s no longer holds the lease of delivery %s", owner, deliveryID)
	}
	return nil
}

// keptAttempts is how many attempts of a delivery are kept: one whose channel
// fails is tried hourly, and one with a limit before it may be tried each
// second, for as long as it takes.
const keptAttempts = 100

// noteAttempt keeps what came of an attempt, also of one that is not counted,
// and when the channel last accepted a message. A delivery that was given back
// untried says nothing.
func (t *tx) noteAttempt(ctx context.Context, deliveryID string, out alert.Outcome) error {
	if out.State == alert.StatePending && out.Error == "" {
		return nil
	}
	if _, err := t.exec(ctx, `INSERT INTO attempts (delivery_id, at, outcome, error) VALUES (?, ?, ?, ?)`,
		deliveryID, out.At.UnixMilli(), out.State, out.Error); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM attempts WHERE delivery_id = ? AND id <= (
		SELECT id FROM attempts WHERE delivery_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, deliveryID, deliveryID, keptAttempts); err != nil {
		return err
	}
	if out.State != alert.StateSent {
		return t.noteFailure(ctx, deliveryID, out.At)
	}
	_, err := t.exec(ctx, `INSERT INTO channel_states (channel, failing, reason, probes, config_hash, last_sent)
		SELECT channel, 0, '', 0, '', ? FROM deliveries WHERE id = ?
		ON CONFLICT (channel) DO UPDATE SET last_sent = excluded.last_sent`, out.At.UnixMilli(), deliveryID)
	return err
}

// settleChannel writes the status of a delivery's channel. When it begins to
// work again, the deliveries that waited for it go at once; the one that has
// just been settled keeps its own time.
func (t *tx) settleChannel(ctx context.Context, deliveryID string, status alert.ChannelStatus, at time.Time) error {
	var channel string
	if err := t.row(ctx, `SELECT channel FROM deliveries WHERE id = ?`, deliveryID).Scan(&channel); err != nil {
		return err
	}
	before, err := t.channel(ctx, channel)
	if err != nil {
		return err
	}
	if err := t.setChannel(ctx, channel, status); err != nil {
		return err
	}
	if before.Failing && !status.Failing {
		return t.wake(ctx, channel, deliveryID, at)
	}
	return nil
}

// wake makes a channel's waiting deliveries due at once, all but one.
func (t *tx) wake(ctx context.Context, channel, except string, at time.Time) error {
	_, err := t.exec(ctx, `UPDATE deliveries SET next_attempt_at = ?
		WHERE channel = ? AND state IN ('pending', 'retrying') AND next_attempt_at > ? AND id <> ?`,
		at.UnixMilli(), channel, at.UnixMilli(), except)
	return err
}

func (t *tx) insertNotice(ctx context.Context, notice *alert.Notice) error {
	if notice == nil {
		return nil
	}
	if err := t.insertAlert(ctx, notice.Alert); err != nil {
		return fmt.Errorf("recording a notice: %w", err)
	}
	for _, d := range notice.Deliveries {
		if err := t.insertDelivery(ctx, d); err != nil {
			return fmt.Errorf("recording a notice: %w", err)
		}
	}
	return nil
}

// Channel returns a channel's status; one that was never heard of works.
func (s *Store) Channel(ctx context.Context, channel string) (alert.ChannelStatus, error) {
	var status alert.ChannelStatus
	err := s.read(ctx, "reading a channel's status", func(t *tx) (err error) {
		status, err = t.channel(ctx, channel)
		return err
	})
	return status, err
}

// ChannelStatuses returns the status of every channel that was heard of.
func (s *Store) ChannelStatuses(ctx context.Context) (map[string]alert.ChannelStatus, error) {
	statuses := map[string]alert.ChannelStatus{}
	err := s.read(ctx, "reading the channels' statuses", func(t *tx) error {
		_, err := collect(ctx, t, func(row scanner) (_ struct{}, err error) {
			name, status, err := scanChannel(row)
			statuses[name] = status
			return
		}, `SELECT `+channelColumns+` FROM channel_states`)
		return err
	})
	return statuses, err
}

func (t *tx) channel(ctx context.Context, channel string) (alert.ChannelStatus, error) {
	_, status, err := scanChannel(t.row(ctx, `SELECT `+channelColumns+` FROM channel_states WHERE channel = ?`, channel))
	if errors.Is(err, sql.ErrNoRows) {
		return alert.ChannelStatus{}, nil
	}
	return status, err
}

const channelColumns = `channel, failing, reason, since, retry_at, probes, last_sent`

func scanChannel(row scanner) (name string, status alert.ChannelStatus, err error) {
	var since, retry, sent sql.NullInt64
	err = row.Scan(&name, &status.Failing, &status.Reason, &since, &retry, &status.Probes, &sent)
	status.Since, status.RetryAt, status.LastSent = fromNull(since), fromNull(retry), fromNull(sent)
	return name, status, err
}

// setChannel leaves alone when the channel last accepted a message.
func (t *tx) setChannel(ctx context.Context, channel string, status alert.ChannelStatus) error {
	_, err := t.exec(ctx, `INSERT INTO channel_states (channel, failing, reason, since, retry_at, probes, config_hash)
		VALUES (?, ?, ?, ?, ?, ?, '')
		ON CONFLICT (channel) DO UPDATE SET failing = excluded.failing, reason = excluded.reason,
			since = excluded.since, retry_at = excluded.retry_at, probes = excluded.probes`,
		channel, flag(status.Failing), status.Reason, millis(status.Since), millis(status.RetryAt), status.Probes)
	return err
}

// Configured tells the outbox the hash of a channel's configuration. When it
// differs from the last one, waiting deliveries are due at once, and a channel
// that fails may be probed.
func (s *Store) Configured(ctx context.Context, channel, hash string, now time.Time) error {
	return s.write(ctx, "recording a channel's configuration", func(t *tx) error {
		var last string
		err := t.row(ctx, `SELECT config_hash FROM channel_states WHERE channel = ?`, channel).Scan(&last)
		if err == nil && last == hash || err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		status, err := t.channel(ctx, channel)
		if err != nil {
			return err
		}
		if status.Failing && status.RetryAt.After(now) {
			status.RetryAt = now
		}
		if err := t.setChannel(ctx, channel, status); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE channel_states SET config_hash = ? WHERE channel = ?`, hash, channel); err != nil {
			return err
		}
		return t.wake(ctx, channel, "", now)
	})
}
