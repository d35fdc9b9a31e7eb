-- What tells this store's messages of a week from another's.

-- +goose Up

INSERT INTO meta (key, value) VALUES ('installation', lower(hex(randomblob(16))));
