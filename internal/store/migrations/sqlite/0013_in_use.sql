-- What was superseded and is in use all the same.

-- +goose Up

ALTER TABLE items ADD COLUMN superseded_at INTEGER; -- NULL = it is not superseded
ALTER TABLE items ADD COLUMN used_at       INTEGER; -- of a superseded item that should be out of use: when it was seen last; else NULL

UPDATE items SET superseded_at = COALESCE((SELECT MAX(n.created_at, n.not_before) FROM items n WHERE n.id = items.replaced_by), created_at)
WHERE watch = 'superseded';

CREATE INDEX items_used ON items (used_at) WHERE used_at IS NOT NULL;
DROP INDEX items_due;
CREATE INDEX items_due ON items (next_due_at) WHERE (watch = 'active' OR used_at IS NOT NULL) AND trust = 'trusted' AND next_due_at IS NOT NULL;
