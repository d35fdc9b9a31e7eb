-- Where the conversations about items began.

-- +goose Up

-- The first message about an item, which the later ones answer.
CREATE TABLE slack_threads (
    channel      TEXT NOT NULL, -- the channel's name
    conversation TEXT NOT NULL, -- where it posts
    item_id      TEXT NOT NULL REFERENCES items (id),
    ts           TEXT NOT NULL, -- what Slack names the message by
    PRIMARY KEY (channel, conversation, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX slack_threads_item ON slack_threads (item_id);
