-- Epochs that go on with what an earlier one had opened, since nobody was told
-- that it had ended.

-- +goose Up

CREATE TABLE continuations (
    item_id TEXT    NOT NULL REFERENCES items (id),
    epoch   INTEGER NOT NULL,
    began   INTEGER NOT NULL, -- the first of them
    PRIMARY KEY (item_id, epoch)
) STRICT, WITHOUT ROWID;
