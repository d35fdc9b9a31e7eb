-- The whole schema. Times are Unix milliseconds in UTC; ids are UUIDs as text,
-- alert and delivery ids are 32 hex digits; thresholds are nanoseconds.

-- +goose Up

-- Small facts of the store itself: trust_generation, last_scan,
-- clock_accepted, rules_key, audit_purged_before.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Anything with an end date that is watched. A CRL's fingerprint is a hash of
-- its issuer's key and its distribution point, so that a fresh one is the same
-- item; every other item's is that of its DER.
CREATE TABLE items (
    id          TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    spki_hash   TEXT    NOT NULL, -- SHA-256 of the public key: what a renewal may keep
    subject     TEXT    NOT NULL,
    issuer      TEXT    NOT NULL,
    common_name TEXT    NOT NULL,
    serial      TEXT    NOT NULL, -- upper-case hex, whole bytes
    sans        TEXT    NOT NULL, -- JSON array
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    trust       TEXT    NOT NULL CHECK (trust IN ('trusted', 'revoked', 'removed')),
    watch       TEXT    NOT NULL CHECK (watch IN ('active', 'pending', 'superseded', 'ignored')),
    epoch       INTEGER NOT NULL, -- 0 until it is first active
    labels      TEXT    NOT NULL, -- JSON object
    next_due_at INTEGER,          -- NULL = nothing left to say in this epoch
    replaced_by TEXT REFERENCES items (id),
    created_at  INTEGER NOT NULL,
    UNIQUE (fingerprint, kind)
) STRICT;
CREATE INDEX items_due ON items (next_due_at) WHERE watch = 'active' AND trust = 'trusted' AND next_due_at IS NOT NULL;
CREATE INDEX items_pending ON items (not_before) WHERE watch = 'pending';
CREATE INDEX items_untrusted ON items (trust) WHERE trust <> 'trusted';
CREATE INDEX items_end ON items (not_after, id);
CREATE INDEX items_groups ON items (kind, watch, labels, trust);
CREATE INDEX items_serial ON items (serial);
CREATE INDEX items_subject ON items (subject);
CREATE INDEX items_replaced ON items (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX items_key ON items (spki_hash);

-- What an item is made of, apart, because the small row above is rewritten at
-- every threshold and a revocation list may weigh 40 MB.
CREATE TABLE item_der (
    item_id TEXT NOT NULL PRIMARY KEY REFERENCES items (id),
    der     BLOB NOT NULL
) STRICT;

CREATE TABLE item_sources (
    item_id    TEXT    NOT NULL REFERENCES items (id),
    kind       TEXT    NOT NULL,
    reference  TEXT    NOT NULL, -- file path, endpoint, hostname, uploader
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (item_id, kind, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_sources_seen ON item_sources (last_seen) WHERE kind = 'observed';

-- Renewals whose new certificate is not valid yet: it takes over when it is.
CREATE TABLE successions (
    new_item_id TEXT    NOT NULL REFERENCES items (id),
    old_item_id TEXT    NOT NULL REFERENCES items (id),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (new_item_id, old_item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX successions_old ON successions (old_item_id);

-- What is uploaded as a CA. A renewal adds to its set, so the set as uploaded
-- and the set as it is now are both kept: the same upload again is the same
-- bundle before and after a renewal.
CREATE TABLE bundles (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    uploaded_hash TEXT    NOT NULL UNIQUE,
    set_hash      TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX bundles_set ON bundles (set_hash);

CREATE TABLE bundle_items (
    bundle_id TEXT    NOT NULL REFERENCES bundles (id) ON DELETE CASCADE,
    item_id   TEXT    NOT NULL REFERENCES items (id),
    position  INTEGER NOT NULL, -- from 0
    role      TEXT    NOT NULL CHECK (role IN ('anchor', 'intermediate')),
    PRIMARY KEY (bundle_id, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX bundle_items_item ON bundle_items (item_id);

CREATE TABLE bundle_hostnames (
    bundle_id TEXT NOT NULL REFERENCES bundles (id) ON DELETE CASCADE,
    hostname  TEXT NOT NULL,
    PRIMARY KEY (bundle_id, hostname)
) STRICT, WITHOUT ROWID;
CREATE INDEX bundle_hostnames_hostname ON bundle_hostnames (hostname);

-- CAs that ask to take another's place, trusted nowhere.
CREATE TABLE proposals (
    id          TEXT    NOT NULL PRIMARY KEY,
    item_id     TEXT    NOT NULL REFERENCES items (id),
    fingerprint TEXT    NOT NULL,
    der         BLOB    NOT NULL,
    proposed_by TEXT    NOT NULL, -- "kind:id" of the actor
    created_at  INTEGER NOT NULL,
    UNIQUE (item_id, fingerprint)
) STRICT;

CREATE TABLE alerts (
    id           TEXT    NOT NULL PRIMARY KEY,
    subject      TEXT    NOT NULL, -- an item's id, "delivery:ID" or "channel:NAME@TIME"
    item_id      TEXT REFERENCES items (id),
    epoch        INTEGER NOT NULL,
    rule         TEXT    NOT NULL,
    threshold_ns INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    covered      INTEGER NOT NULL,
    detail       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (subject, epoch, rule, threshold_ns, event)
) STRICT;
CREATE INDEX alerts_item ON alerts (item_id, epoch);
CREATE INDEX alerts_created ON alerts (created_at);

-- The tightest threshold at which a recipient was told of an item, whichever
-- rule asked for it.
CREATE TABLE told (
    item_id      TEXT    NOT NULL REFERENCES items (id),
    epoch        INTEGER NOT NULL,
    channel      TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    threshold_ns INTEGER NOT NULL,
    PRIMARY KEY (item_id, epoch, channel, recipient)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    id              TEXT    NOT NULL PRIMARY KEY,
    channel         TEXT    NOT NULL,
    recipient       TEXT    NOT NULL,
    rule            TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'sending', 'retrying', 'sent', 'dead', 'cancelled')),
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    lease_owner     TEXT,
    lease_until     INTEGER,
    last_error      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    settled_at      INTEGER,
    CHECK ((state = 'sending') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CHECK ((state IN ('sent', 'dead', 'cancelled')) = (settled_at IS NOT NULL))
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (channel, next_attempt_at) WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_leased ON deliveries (channel, lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_state ON deliveries (state, created_at);
CREATE INDEX deliveries_created ON deliveries (created_at);
CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE delivery_alerts (
    delivery_id TEXT    NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    alert_id    TEXT    NOT NULL REFERENCES alerts (id),
    dropped     INTEGER NOT NULL DEFAULT 0, -- 1 = held no longer before it was sent
    PRIMARY KEY (delivery_id, alert_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_alerts_alert ON delivery_alerts (alert_id);

CREATE TABLE attempts (
    id          INTEGER NOT NULL PRIMARY KEY,
    delivery_id TEXT    NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    error       TEXT    NOT NULL
) STRICT;
CREATE INDEX attempts_delivery ON attempts (delivery_id, id);

CREATE TABLE channel_states (
    channel     TEXT    NOT NULL PRIMARY KEY,
    failing     INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    since       INTEGER, -- NULL = it works
    retry_at    INTEGER,
    probes      INTEGER NOT NULL,
    config_hash TEXT    NOT NULL
) STRICT;

CREATE TABLE tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    scopes       TEXT    NOT NULL, -- JSON array
    item_id      TEXT REFERENCES items (id),
    hash         BLOB    NOT NULL UNIQUE, -- SHA-256 of the secret
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT;

CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    before     TEXT    NOT NULL, -- JSON or empty
    after      TEXT    NOT NULL, -- JSON or empty
    request_id TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_object ON audit (object, id);
CREATE INDEX audit_at ON audit (at);

-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are never changed');
END;
-- +goose StatementEnd

-- Only rows older than the retention that the purge has declared may go.
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM meta WHERE key = 'audit_purged_before' AND OLD.at < CAST(value AS INTEGER))
BEGIN
    SELECT RAISE(ABORT, 'audit rows are removed by retention only');
END;
-- +goose StatementEnd

-- The aud claim of each application.
CREATE TABLE audiences (
    application_id TEXT    NOT NULL PRIMARY KEY,
    aud            TEXT    NOT NULL UNIQUE,
    created_at     INTEGER NOT NULL
) STRICT;

-- Private keys, sealed by the key file.
CREATE TABLE signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;

INSERT INTO meta (key, value) VALUES ('trust_generation', '1');
