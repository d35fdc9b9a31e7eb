-- What people said about items that are told to expire.

-- +goose Up

-- Good for its epoch alone.
CREATE TABLE handlings (
    item_id TEXT    NOT NULL PRIMARY KEY REFERENCES items (id),
    epoch   INTEGER NOT NULL,
    by_whom TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    until   INTEGER           -- of a snooze; NULL = acknowledged
) STRICT, WITHOUT ROWID;
