-- What the management API says of hostnames.

-- +goose Up

CREATE TABLE hostname_settings (
    hostname            TEXT    NOT NULL PRIMARY KEY,
    position            INTEGER NOT NULL, -- from 0, in the order in which they were given
    forward_client_cert INTEGER NOT NULL CHECK (forward_client_cert IN (0, 1))
) STRICT;
