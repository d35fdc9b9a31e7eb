-- Who vouched for the client certificates that were seen.

-- +goose Up

-- The certificates of the chain by which a client was let in: what depends on
-- a CA is found by its fingerprint, an intermediate's and the root's alike.
CREATE TABLE item_authorities (
    item_id   TEXT NOT NULL REFERENCES items (id),
    authority TEXT NOT NULL, -- SHA-256 of the CA certificate's DER
    PRIMARY KEY (authority, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_authorities_item ON item_authorities (item_id);

-- What ended long ago and is known from handshakes alone is found for retention.
CREATE INDEX items_ended ON items (not_after) WHERE kind = 'client';
