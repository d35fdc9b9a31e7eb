-- The applications and policies that the management API makes. What the
-- configuration declares is never in here.

-- +goose Up

CREATE TABLE applications (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    aud        TEXT    NOT NULL UNIQUE,
    origin     TEXT    NOT NULL, -- URL; '' = inherited
    settings   TEXT    NOT NULL, -- JSON object: what is only read as a whole
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE application_places (
    hostname       TEXT    NOT NULL,
    path           TEXT    NOT NULL,
    application_id TEXT    NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL, -- from 0
    PRIMARY KEY (hostname, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX application_places_application ON application_places (application_id);

-- Policies of one application are deleted with it; reusable ones are not while
-- any has them.
CREATE TABLE policies (
    id             TEXT    NOT NULL PRIMARY KEY,
    application_id TEXT REFERENCES applications (id) ON DELETE CASCADE, -- NULL = reusable
    name           TEXT    NOT NULL,
    action         TEXT    NOT NULL CHECK (action IN ('allow', 'block', 'bypass', 'service_auth')),
    rules          TEXT    NOT NULL, -- JSON object: include, require, exclude, session_duration
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX policies_application ON policies (application_id) WHERE application_id IS NOT NULL;

CREATE TABLE application_policies (
    application_id TEXT    NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    policy_id      TEXT    NOT NULL REFERENCES policies (id),
    precedence     INTEGER NOT NULL,
    PRIMARY KEY (application_id, policy_id),
    UNIQUE (application_id, precedence)
) STRICT, WITHOUT ROWID;
CREATE INDEX application_policies_policy ON application_policies (policy_id);
