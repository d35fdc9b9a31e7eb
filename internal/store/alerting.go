package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// AlertingGeneration returns the number that every change of a stored policy or
// destination raises, in the transaction that makes it.
func (s *Store) AlertingGeneration(ctx context.Context) (generation int64, err error) {
	err = s.read(ctx, "reading the alerting generation", func(t *tx) (err error) {
		generation, err = t.metaInt(ctx, metaAlerting)
		return err
	})
	return generation, err
}

// Alerting returns the stored policies and destinations, without the
// destinations' endpoints: it needs no key.
func (s *Store) Alerting(ctx context.Context) (stored alerting.Stored, err error) {
	err = s.read(ctx, "reading the alerting policies", func(t *tx) (err error) {
		stored, _, err = t.alerting(ctx)
		return err
	})
	return stored, err
}

// OpenAlerting is Alerting with the endpoints. It is a fault when the key file
// is not the one that sealed them.
func (s *Store) OpenAlerting(ctx context.Context) (alerting.Stored, error) {
	var (
		stored alerting.Stored
		sealed [][]byte
	)
	err := s.read(ctx, "reading the alerting policies", func(t *tx) (err error) {
		stored, sealed, err = t.alerting(ctx)
		return err
	})
	if err != nil || len(sealed) == 0 {
		return stored, err
	}
	aead, err := s.cipher(ctx)
	if err != nil {
		return alerting.Stored{}, err
	}
	for i := range stored.Destinations {
		d := &stored.Destinations[i]
		if d.Endpoint, err = openEndpoint(aead, sealed[i], d.ID); err != nil {
			return alerting.Stored{}, err
		}
	}
	return stored, nil
}

// alerting returns what is stored, the oldest first, and the sealed endpoints
// in the order of the destinations.
func (t *tx) alerting(ctx context.Context) (stored alerting.Stored, sealed [][]byte, err error) {
	if stored.Generation, err = t.metaInt(ctx, metaAlerting); err != nil {
		return stored, nil, err
	}
	if stored.Policies, err = t.policies(ctx); err != nil {
		return stored, nil, err
	}
	rows, err := collect(ctx, t, scanDestination, `SELECT `+destinationColumns+`, last_sent
		FROM webhook_destinations LEFT JOIN channel_states ON channel = name ORDER BY created_at, id`)
	for _, row := range rows {
		stored.Destinations, sealed = append(stored.Destinations, row.Destination), append(sealed, row.sealed)
	}
	return stored, sealed, err
}

// changedAlerting ends every change of what is stored of alerting.
func (s *Store) changedAlerting(ctx context.Context, t *tx, actor inventory.Actor, c change) error {
	if err := t.audit(ctx, s.now(), actor, c); err != nil {
		return err
	}
	return t.bump(ctx, metaAlerting)
}

// PutPolicy stores the policy that decide makes of what is stored now, in the
// place of one of its id if there is one; then the same again changes nothing.
func (s *Store) PutPolicy(ctx context.Context, decide func(alerting.Stored) (alerting.Policy, error), actor inventory.Actor) (p alerting.Policy, err error) {
	err = s.write(ctx, "storing an alerting policy", func(t *tx) error {
		stored, _, err := t.alerting(ctx)
		if err != nil {
			return err
		}
		if p, err = decide(stored); err != nil {
			return err
		}
		before, known := stored.Policy(p.ID)
		if known && before.Version() == p.Version() {
			return nil
		}
		if err := t.writePolicy(ctx, p); err != nil {
			return err
		}
		c := change{action: "alerting.policy.create", object: "alerting_policy:" + p.ID, after: describePolicy(p)}
		if known {
			c.action, c.before = "alerting.policy.update", describePolicy(before)
			if err := t.renameRule(ctx, before.Name, p.Name); err != nil {
				return err
			}
		}
		return s.changedAlerting(ctx, t, actor, c)
	})
	return p, err
}

func (t *tx) writePolicy(ctx context.Context, p alerting.Policy) error {
	_, err := t.exec(ctx, `INSERT INTO alerting_policies (id, name, description, enabled, kinds, before_ns, labels, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, enabled = excluded.enabled,
			kinds = excluded.kinds, before_ns = excluded.before_ns, labels = excluded.labels, updated_at = excluded.updated_at`,
		p.ID, p.Name, p.Description, flag(p.Enabled), jsonText(p.Filters.Kinds), jsonText(p.Filters.Before), jsonText(p.Filters.Labels),
		p.CreatedAt.UnixMilli(), p.UpdatedAt.UnixMilli())
	if isUnique(err) {
		return nameInUse(p.Name)
	}
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM alerting_targets WHERE policy_id = ?`, p.ID); err != nil {
		return err
	}
	for mechanism, targets := range mechanismsOf(&p.Mechanisms) {
		for i, target := range *targets {
			if _, err := t.exec(ctx, `INSERT INTO alerting_targets (policy_id, mechanism, target, position) VALUES (?, ?, ?, ?)`, p.ID, mechanism, target, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// mechanismsOf names the lists of a policy's mechanisms as the table does.
func mechanismsOf(m *alerting.Mechanisms) map[string]*[]string {
	return map[string]*[]string{"email": &m.Email, "webhooks": &m.Webhooks, "pagerduty": &m.PagerDuty}
}

// renameRule keeps what was sent, and what waits, under the name of its policy.
func (t *tx) renameRule(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	_, err := t.exec(ctx, `UPDATE deliveries SET rule = ? WHERE rule = ?`, to, from)
	return err
}

// nameInUse is for what decide has not foreseen.
func nameInUse(name string) error {
	return fault.New(fault.Conflict, "name_in_use", "the name %q is in use", name).WithField("name").WithHint("choose another name")
}

// DeletePolicy deletes a policy that passes the check. What it has queued was
// found while it was in force, and goes out.
func (s *Store) DeletePolicy(ctx context.Context, id string, check func(alerting.Policy) error, actor inventory.Actor) error {
	return s.write(ctx, "deleting an alerting policy", func(t *tx) error {
		stored, _, err := t.alerting(ctx)
		if err != nil {
			return err
		}
		p, ok := stored.Policy(id)
		if !ok {
			return alerting.NoPolicy(id)
		}
		if err := check(p); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM alerting_policies WHERE id = ?`, id); err != nil {
			return err
		}
		return s.changedAlerting(ctx, t, actor, change{action: "alerting.policy.delete", object: "alerting_policy:" + id, before: describePolicy(p)})
	})
}

func describePolicy(p alerting.Policy) map[string]any {
	return map[string]any{
		"name": p.Name, "description": p.Description, "enabled": p.Enabled,
		"email": orEmpty(p.Mechanisms.Email), "webhooks": orEmpty(p.Mechanisms.Webhooks), "pagerduty": orEmpty(p.Mechanisms.PagerDuty),
		"kinds": p.Filters.Kinds, "before": p.Filters.Before, "labels": p.Filters.Labels,
	}
}

func (t *tx) policies(ctx context.Context) ([]alerting.Policy, error) {
	list, err := collect(ctx, t, scanPolicy, `SELECT id, name, description, enabled, kinds, before_ns, labels, created_at, updated_at
		FROM alerting_policies ORDER BY created_at, id`)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]map[string]*[]string, len(list))
	for i := range list {
		byID[list[i].ID] = mechanismsOf(&list[i].Mechanisms)
	}
	_, err = collect(ctx, t, func(row scanner) (_ struct{}, err error) {
		var id, mechanism, target string
		if err = row.Scan(&id, &mechanism, &target); err == nil {
			targets := byID[id][mechanism]
			*targets = append(*targets, target)
		}
		return
	}, `SELECT policy_id, mechanism, target FROM alerting_targets ORDER BY policy_id, mechanism, position`)
	return list, err
}

func scanPolicy(row scanner) (p alerting.Policy, err error) {
	var (
		kinds, before, labels string
		created, updated      int64
	)
	if err = row.Scan(&p.ID, &p.Name, &p.Description, &p.Enabled, &kinds, &before, &labels, &created, &updated); err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = fromMillis(created), fromMillis(updated)
	for text, into := range map[string]any{kinds: &p.Filters.Kinds, before: &p.Filters.Before, labels: &p.Filters.Labels} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return p, err
		}
	}
	return p, nil
}

// noteFailure keeps when a destination that the API made last failed.
func (t *tx) noteFailure(ctx context.Context, deliveryID string, at time.Time) error {
	_, err := t.exec(ctx, `UPDATE webhook_destinations SET last_failure = ? WHERE name = (SELECT channel FROM deliveries WHERE id = ?)`, at.UnixMilli(), deliveryID)
	return err
}
