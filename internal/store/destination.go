package store

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/inventory"
)

const destinationColumns = `id, name, type, sealed, created_at, updated_at, last_failure`

// A sealedDestination is a destination whose endpoint is not opened.
type sealedDestination struct {
	alerting.Destination
	sealed []byte
}

// A sealedEndpoint is what is sealed of a destination, as JSON.
type sealedEndpoint struct {
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"`
}

func destinationSealedAs(id string) string { return "webhook_destinations/" + id }

func sealEndpoint(aead cipher.AEAD, e alerting.Endpoint, id string) ([]byte, error) {
	text, err := json.Marshal(sealedEndpoint(e)) //nolint:gosec // to be sealed
	if err != nil {
		return nil, err
	}
	return seal(aead, text, destinationSealedAs(id))
}

func openEndpoint(aead cipher.AEAD, sealed []byte, id string) (alerting.Endpoint, error) {
	text, err := unseal(aead, sealed, destinationSealedAs(id))
	if err != nil {
		return alerting.Endpoint{}, fmt.Errorf("reading the destination %s: %w", id, err)
	}
	var e sealedEndpoint
	if err := json.Unmarshal(text, &e); err != nil {
		return alerting.Endpoint{}, fmt.Errorf("reading the destination %s: what is sealed is malformed", id) // the error might tell it
	}
	return alerting.Endpoint(e), nil
}

func scanDestination(row scanner) (d sealedDestination, err error) {
	var (
		created, updated int64
		success, failure sql.NullInt64
	)
	err = row.Scan(&d.ID, &d.Name, &d.Type, &d.sealed, &created, &updated, &failure, &success)
	d.CreatedAt, d.UpdatedAt = fromMillis(created), fromMillis(updated)
	d.LastSuccess, d.LastFailure = optional(success), optional(failure)
	return d, err
}

// PutDestination stores the destination that decide makes of what is stored
// now, in the place of one of its id if there is one; then the same again
// changes nothing. Its endpoint is sealed.
func (s *Store) PutDestination(ctx context.Context, decide func(alerting.Stored) (alerting.Destination, error), actor inventory.Actor) (d alerting.Destination, err error) {
	aead, err := s.cipher(ctx)
	if err != nil {
		return d, err
	}
	err = s.write(ctx, "storing a destination", func(t *tx) error {
		stored, _, err := t.alerting(ctx)
		if err != nil {
			return err
		}
		if d, err = decide(stored); err != nil {
			return err
		}
		before, known := stored.Destination(d.ID)
		if known && before.Version() == d.Version() {
			return nil
		}
		sealed, err := sealEndpoint(aead, d.Endpoint, d.ID)
		if err != nil {
			return err
		}
		if err := t.writeDestination(ctx, d, sealed); err != nil {
			return err
		}
		c := change{action: "alerting.destination.create", object: "destination:" + d.ID, after: describeDestination(d)}
		if known {
			c.action, c.before = "alerting.destination.update", map[string]any{"name": before.Name, "type": before.Type}
			if err := t.renameChannel(ctx, before.Name, d.Name); err != nil {
				return err
			}
		}
		if err := t.noteSuccess(ctx, d); err != nil {
			return err
		}
		return s.changedAlerting(ctx, t, actor, c)
	})
	return d, err
}

// noteSuccess keeps that a destination took its test message.
func (t *tx) noteSuccess(ctx context.Context, d alerting.Destination) error {
	if d.LastSuccess == nil {
		return nil
	}
	_, err := t.exec(ctx, `INSERT INTO channel_states (channel, failing, reason, probes, config_hash, last_sent) VALUES (?, 0, '', 0, '', ?)
		ON CONFLICT (channel) DO UPDATE SET last_sent = excluded.last_sent`, d.Name, d.LastSuccess.UnixMilli())
	return err
}

func (t *tx) writeDestination(ctx context.Context, d alerting.Destination, sealed []byte) error {
	_, err := t.exec(ctx, `INSERT INTO webhook_destinations (`+destinationColumns+`) VALUES (?, ?, ?, ?, ?, ?, NULL)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, sealed = excluded.sealed, updated_at = excluded.updated_at`,
		d.ID, d.Name, d.Type, sealed, d.CreatedAt.UnixMilli(), d.UpdatedAt.UnixMilli())
	if isUnique(err) {
		return nameInUse(d.Name)
	}
	return err
}

// renameChannel takes along what a channel was told, what waits for it and how
// it fares: a new name tells nobody anything again. What a channel of that name
// left behind long ago gives way.
func (t *tx) renameChannel(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	for _, query := range []string{
		`DELETE FROM told WHERE channel = ?`,
		`DELETE FROM channel_states WHERE channel = ?`,
	} {
		if _, err := t.exec(ctx, query, to); err != nil {
			return err
		}
	}
	for _, query := range []string{
		`UPDATE told SET channel = ?, recipient = ? WHERE channel = ?`,
		`UPDATE deliveries SET channel = ?, recipient = ? WHERE channel = ?`,
	} {
		if _, err := t.exec(ctx, query, to, to, from); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `UPDATE channel_states SET channel = ? WHERE channel = ?`, to, from)
	return err
}

// DeleteDestination deletes a destination that passes the check, takes it from
// the policies that name it, which it returns as they were, cancels what waits
// for it, since it can never be sent, and forgets what it was told: another one
// of that name begins anew.
func (s *Store) DeleteDestination(ctx context.Context, id string, check func(alerting.Destination) error, actor inventory.Actor) (policies []alerting.Policy, err error) {
	err = s.write(ctx, "deleting a destination", func(t *tx) error {
		stored, _, err := t.alerting(ctx)
		if err != nil {
			return err
		}
		d, ok := stored.Destination(id)
		if !ok {
			return alerting.NoDestination(id)
		}
		if err := check(d); err != nil {
			return err
		}
		names := []string{}
		for _, p := range stored.Policies {
			if slices.Contains(p.Mechanisms.Webhooks, id) {
				policies, names = append(policies, p), append(names, p.Name)
			}
		}
		cancelled, err := s.dropDestination(ctx, t, d)
		if err != nil {
			return err
		}
		return s.changedAlerting(ctx, t, actor, change{
			action: "alerting.destination.delete", object: "destination:" + id,
			before: map[string]any{"name": d.Name, "type": d.Type, "policies": names}, after: map[string]any{"cancelled_deliveries": cancelled},
		})
	})
	return policies, err
}

func (s *Store) dropDestination(ctx context.Context, t *tx, d alerting.Destination) (cancelled int64, err error) {
	now := s.now().UnixMilli()
	if _, err := t.exec(ctx, `UPDATE alerting_policies SET updated_at = ? WHERE id IN (SELECT policy_id FROM alerting_targets WHERE mechanism = 'webhooks' AND target = ?)`, now, d.ID); err != nil {
		return 0, err
	}
	if _, err := t.exec(ctx, `DELETE FROM alerting_targets WHERE mechanism = 'webhooks' AND target = ?`, d.ID); err != nil {
		return 0, err
	}
	if cancelled, err = t.exec(ctx, `UPDATE deliveries SET state = 'cancelled', settled_at = ?, lease_owner = NULL, lease_until = NULL
		WHERE channel = ? AND state IN ('pending', 'retrying', 'sending')`, now, d.Name); err != nil {
		return 0, err
	}
	for _, query := range []string{
		`DELETE FROM told WHERE channel = ?`,
		`DELETE FROM channel_states WHERE channel = ?`,
		`DELETE FROM webhook_destinations WHERE name = ?`,
	} {
		if _, err := t.exec(ctx, query, d.Name); err != nil {
			return 0, err
		}
	}
	return cancelled, nil
}

// describeDestination tells the host of a destination, and no more of its URL.
func describeDestination(d alerting.Destination) map[string]any {
	host := ""
	if u, err := url.Parse(d.Endpoint.URL); err == nil {
		host = u.Host
	}
	return map[string]any{"name": d.Name, "type": d.Type, "host": host, "has_secret": d.Endpoint.Secret != ""}
}
