package store

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
)

// A change is what an audit row tells; before and after are encoded as JSON.
type change struct {
	action, object string
	before, after  map[string]any
}

func (t *tx) audit(ctx context.Context, at time.Time, actor inventory.Actor, c change) error {
	_, err := t.exec(ctx, `INSERT INTO audit (at, actor_kind, actor_id, action, object, before, after, request_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		at.UnixMilli(), actor.Kind, actor.ID, c.action, c.object, state(c.before), state(c.after), actor.RequestID)
	return err
}

func state(fields map[string]any) string {
	if fields == nil {
		return ""
	}
	return jsonText(fields)
}

// Audit returns audit rows, newest first. A limit of 0 or less means no limit.
func (s *Store) Audit(ctx context.Context, limit int) ([]inventory.AuditEntry, error) {
	var entries []inventory.AuditEntry
	err := s.read(ctx, "reading the audit trail", func(t *tx) (err error) {
		entries, err = collect(ctx, t, scanAudit, `SELECT id, at, actor_kind, actor_id, action, object, before, after, request_id
			FROM audit ORDER BY id DESC LIMIT ?`, rowLimit(limit))
		return err
	})
	return entries, err
}

func scanAudit(row scanner) (e inventory.AuditEntry, err error) {
	var at int64
	err = row.Scan(&e.ID, &at, &e.ActorKind, &e.ActorID, &e.Action, &e.Object, &e.Before, &e.After, &e.RequestID)
	e.At = fromMillis(at)
	return e, err
}
