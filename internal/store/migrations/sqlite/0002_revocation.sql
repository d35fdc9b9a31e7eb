-- Revocation lists, revoked keys, and what a bundle may vouch for.

-- +goose Up

-- A revocation list beside its item, whose not_before and not_after are
-- thisUpdate and nextUpdate, and whose serial is the CRLNumber.
CREATE TABLE crls (
    item_id       TEXT    NOT NULL PRIMARY KEY REFERENCES items (id),
    issuer_key    TEXT    NOT NULL, -- SHA-256 of the issuer's public key
    digest        TEXT    NOT NULL, -- SHA-256 of the DER
    number        TEXT    NOT NULL, -- CRLNumber in decimal; '' = it has none
    entries       INTEGER NOT NULL,
    source        TEXT    NOT NULL, -- URL or path it is refreshed from; '' = uploaded
    etag          TEXT    NOT NULL,
    last_modified TEXT    NOT NULL,
    checked_at    INTEGER,          -- the last refresh that reached the source
    refresh_at    INTEGER,
    failure       TEXT    NOT NULL, -- why the last refresh failed; '' = it did not
    failing_since INTEGER,
    CHECK ((failure = '') = (failing_since IS NULL))
) STRICT;

-- Every certificate with such a key is denied, known or not.
CREATE TABLE revoked_keys (
    spki_hash  TEXT    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What ends when is counted for every scrape of the metrics: from the index alone.
DROP INDEX items_end;
CREATE INDEX items_end ON items (not_after, id, kind, watch, trust);

-- The known certificates of an issuer, for what a revocation list means here.
CREATE INDEX items_issuer ON items (issuer, serial);

-- The constraints of a bundle; empty ones do not limit.
ALTER TABLE bundles ADD COLUMN permit_san  TEXT    NOT NULL DEFAULT '[]'; -- JSON array of patterns
ALTER TABLE bundles ADD COLUMN permit_cn   TEXT    NOT NULL DEFAULT '[]'; -- JSON array of patterns
ALTER TABLE bundles ADD COLUMN max_leaf_ns INTEGER NOT NULL DEFAULT 0;
