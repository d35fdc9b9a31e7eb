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

// Audit returns the audit rows that the filter selects, newest first.
func (s *Store) Audit(ctx context.Context, f inventory.AuditFilter) ([]inventory.AuditEntry, error) {
	clause, args := auditConditions(f).clause()
	var entries []inventory.AuditEntry
	err := s.read(ctx, "reading the audit trail", func(t *tx) (err error) {
		entries, err = collect(ctx, t, scanAudit, `SELECT a.id, a.at, a.actor_kind, a.actor_id, a.action, a.object, a.before, a.after, a.request_id
			FROM audit a `+clause+` ORDER BY a.id DESC LIMIT ?`, append(args, rowLimit(f.Limit))...)
		return err
	})
	return entries, err
}

func auditConditions(f inventory.AuditFilter) conditions {
	c := conditions{}
	if f.Object != "" {
		c = c.matching(auditedObject(f.Object))
	}
	if f.Actor != "" {
		c = c.matching(auditedActor(f.Actor))
	}
	if f.Action != "" { // '/' follows the dot
		c = c.matching(`a.action = ? OR a.action >= ? AND a.action < ?`, []any{f.Action, f.Action + ".", f.Action + "/"})
	}
	if !f.Since.IsZero() {
		c = c.and(`a.at >= ?`, f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		c = c.and(`a.at < ?`, f.Until.UnixMilli())
	}
	return c
}

// named selects the objects that bear a name in any row. The trail is asked,
// not what is stored now: what was removed is still found.
const named = `SELECT object FROM audit WHERE json_extract(NULLIF(after, ''), '$.name') = ? OR json_extract(NULLIF(before, ''), '$.name') = ?`

// auditedObject selects what a reference names: an object as a row writes it,
// its id or the first digits of one, its name, or an item's fingerprint or
// serial.
func auditedObject(ref string) (condition string, args []any) {
	const id = `substr(a.object, instr(a.object, ':') + 1)`
	digits := digitsOf(ref)
	condition = `a.object = ? OR ` + id + ` IN (?, ?) OR a.object IN (` + named + `)
		OR a.object IN (SELECT 'item:' || id FROM items WHERE fingerprint = ? OR serial = ? AND kind <> 'crl')`
	args = []any{ref, ref, digits, ref, ref, digits, serialOf(digits)}
	if from, to, ok := prefixRange(digits); ok {
		condition += ` OR ` + id + ` >= ? AND ` + id + ` < ?
			OR a.object IN (SELECT 'item:' || id FROM items WHERE fingerprint >= ? AND fingerprint < ?)`
		args = append(args, from, to, from, to)
	}
	return condition, args
}

// auditedActor selects who a reference names: a kind of actor, one as the
// listing writes it, an id or the first digits of one, or a token's name.
func auditedActor(ref string) (condition string, args []any) {
	condition = `a.actor_kind = ? OR a.actor_id = ? OR a.actor_kind || ':' || a.actor_id = ?
		OR a.actor_kind = 'token' AND 'token:' || a.actor_id IN (` + named + `)`
	args = []any{ref, ref, ref, ref, ref}
	if from, to, ok := prefixRange(digitsOf(ref)); ok {
		condition += ` OR a.actor_id >= ? AND a.actor_id < ?`
		args = append(args, from, to)
	}
	return condition, args
}

func scanAudit(row scanner) (e inventory.AuditEntry, err error) {
	var at int64
	err = row.Scan(&e.ID, &at, &e.ActorKind, &e.ActorID, &e.Action, &e.Object, &e.Before, &e.After, &e.RequestID)
	e.At = fromMillis(at)
	return e, err
}
