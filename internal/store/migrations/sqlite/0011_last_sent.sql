-- When a channel last accepted a message, beyond what retention keeps of it.

-- +goose Up

ALTER TABLE channel_states ADD COLUMN last_sent INTEGER; -- NULL = never

INSERT INTO channel_states (channel, failing, reason, probes, config_hash, last_sent)
    SELECT channel, 0, '', 0, '', MAX(settled_at) FROM deliveries WHERE state = 'sent' GROUP BY channel
    ON CONFLICT (channel) DO UPDATE SET last_sent = excluded.last_sent;
