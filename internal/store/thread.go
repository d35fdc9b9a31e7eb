package store

import (
	"context"
	"database/sql"
	"errors"
)

// SlackThread returns what Slack names the first message by that a channel
// posted about an item in a conversation, "" when there is none on record.
func (s *Store) SlackThread(ctx context.Context, channel, conversation, itemID string) (ts string, err error) {
	err = s.read(ctx, "looking up a thread", func(t *tx) error {
		err := t.row(ctx, `SELECT ts FROM slack_threads WHERE channel = ? AND conversation = ? AND item_id = ?`,
			channel, conversation, itemID).Scan(&ts)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return ts, err
}

// BeginSlackThread records the first message that a channel posted about an
// item in a conversation, in place of one that is gone.
func (s *Store) BeginSlackThread(ctx context.Context, channel, conversation, itemID, ts string) error {
	return s.write(ctx, "recording a thread", func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO slack_threads (channel, conversation, item_id, ts) VALUES (?, ?, ?, ?)
			ON CONFLICT (channel, conversation, item_id) DO UPDATE SET ts = excluded.ts`, channel, conversation, itemID, ts)
		return err
	})
}
