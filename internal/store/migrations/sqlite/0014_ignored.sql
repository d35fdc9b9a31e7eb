-- That an item is ignored is told to whoever heard of its end. (SQLite changes a
-- CHECK with its table alone.)

-- +goose Up

CREATE TABLE endings_next (
    item_id    TEXT    NOT NULL REFERENCES items (id),
    epoch      INTEGER NOT NULL,
    event      TEXT    NOT NULL CHECK (event IN ('renewed', 'revoked', 'removed', 'ignored')),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL, -- a little later, so that many acts are one message
    PRIMARY KEY (item_id, epoch)
) STRICT, WITHOUT ROWID;
INSERT INTO endings_next SELECT item_id, epoch, event, created_at, due_at FROM endings;
DROP TABLE endings;
ALTER TABLE endings_next RENAME TO endings;
CREATE INDEX endings_due ON endings (due_at);
