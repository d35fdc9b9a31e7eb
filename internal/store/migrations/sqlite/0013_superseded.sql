-- Since when a superseded item is to be out of use.

-- +goose Up

ALTER TABLE items ADD COLUMN superseded_at INTEGER; -- NULL = it is not superseded

UPDATE items SET superseded_at = COALESCE((SELECT MAX(n.created_at, n.not_before) FROM items n WHERE n.id = items.replaced_by), created_at)
WHERE watch = 'superseded';
