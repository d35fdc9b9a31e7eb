-- Who heard what, and which ends of a watch are still to be told of.

-- +goose Up

ALTER TABLE told ADD COLUMN rule  TEXT    NOT NULL DEFAULT ''; -- that asked for it
ALTER TABLE told ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;  -- 1 = a message has gone, or may have

UPDATE told SET heard = 1 WHERE EXISTS (
    SELECT 1 FROM alerts a JOIN delivery_alerts da ON da.alert_id = a.id JOIN deliveries d ON d.id = da.delivery_id
    WHERE a.item_id = told.item_id AND a.epoch = told.epoch AND a.event = 'expiring' AND da.dropped = 0
        AND d.channel = told.channel AND d.recipient = told.recipient AND d.state = 'sent');
UPDATE told SET rule = COALESCE((
    SELECT d.rule FROM alerts a JOIN delivery_alerts da ON da.alert_id = a.id JOIN deliveries d ON d.id = da.delivery_id
    WHERE a.item_id = told.item_id AND a.epoch = told.epoch AND a.event = 'expiring'
        AND d.channel = told.channel AND d.recipient = told.recipient ORDER BY a.threshold_ns LIMIT 1), '');

-- An epoch of an item that was renewed, revoked or removed while somebody had
-- been told of its end: written with the act, gone with the scan that tells.
CREATE TABLE endings (
    item_id    TEXT    NOT NULL REFERENCES items (id),
    epoch      INTEGER NOT NULL,
    event      TEXT    NOT NULL CHECK (event IN ('renewed', 'revoked', 'removed')),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL, -- a little later, so that many acts are one message
    PRIMARY KEY (item_id, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX endings_due ON endings (due_at);
