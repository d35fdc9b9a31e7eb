-- Alerting policies and webhook destinations that the management API makes.
-- What the configuration declares is never copied here.

-- +goose Up

-- A channel of that name.
CREATE TABLE webhook_destinations (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    type         TEXT    NOT NULL,
    sealed       BLOB    NOT NULL, -- JSON of its URL and its secret, sealed by the key file
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_failure INTEGER
) STRICT;

-- An alert rule of that name. Empty filters are those of the documented default.
CREATE TABLE alerting_policies (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    description TEXT    NOT NULL,
    enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    kinds       TEXT    NOT NULL, -- JSON array
    before_ns   TEXT    NOT NULL, -- JSON array of nanoseconds
    labels      TEXT    NOT NULL, -- JSON object
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE alerting_targets (
    policy_id TEXT    NOT NULL REFERENCES alerting_policies (id) ON DELETE CASCADE,
    mechanism TEXT    NOT NULL CHECK (mechanism IN ('email', 'webhooks', 'pagerduty')),
    target    TEXT    NOT NULL, -- an address, or the id of a destination, which the configuration may declare
    position  INTEGER NOT NULL, -- from 0, within the mechanism
    PRIMARY KEY (policy_id, mechanism, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerting_targets_target ON alerting_targets (target);

-- Grows with every change of the above.
INSERT INTO meta (key, value) VALUES ('alerting_generation', '1');
