package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
)

// The keys of the table meta.
const (
	metaGeneration  = "trust_generation"
	metaAlerting    = "alerting_generation"
	metaLastScan    = "last_scan"
	metaAccepted    = "clock_accepted"
	metaRules       = "rules_key"
	metaAuditPurged = "audit_purged_before"
	metaBackup      = "backup_made" // in a copy alone
	metaPlacement   = "placement"
	metaKeyRotation = "key_rotation"

	metaInstallation = "installation" // a random name
)

// Generation returns the number that every change of trust raises, in the
// transaction that makes it.
func (s *Store) Generation(ctx context.Context) (int64, error) {
	var generation int64
	err := s.read(ctx, "reading the trust generation", func(t *tx) (err error) {
		generation, err = t.metaInt(ctx, metaGeneration)
		return err
	})
	return generation, err
}

func (t *tx) bumpGeneration(ctx context.Context) error { return t.bump(ctx, metaGeneration) }

// bump raises one of the numbers that tell of changes.
func (t *tx) bump(ctx context.Context, key string) error {
	n, err := t.metaInt(ctx, key)
	if err != nil {
		return err
	}
	return t.setMeta(ctx, key, strconv.FormatInt(n+1, 10))
}

// LastScan returns the time of the last successful scan, zero if none.
func (s *Store) LastScan(ctx context.Context) (time.Time, error) {
	return s.metaTime(ctx, metaLastScan)
}

// AcceptedClock returns when an operator last confirmed the wall clock, zero
// if never.
func (s *Store) AcceptedClock(ctx context.Context) (time.Time, error) {
	return s.metaTime(ctx, metaAccepted)
}

// AcceptClock records that an operator confirmed the wall clock at the time at.
// Whatever waits for a later time is due then, since another clock may have set
// it.
func (s *Store) AcceptClock(ctx context.Context, at time.Time, actor inventory.Actor) error {
	return s.write(ctx, "confirming the clock", func(t *tx) error {
		before, err := t.meta(ctx, metaAccepted)
		if err != nil {
			return err
		}
		if err := t.setMetaTime(ctx, metaAccepted, at); err != nil {
			return err
		}
		for _, query := range []string{
			`UPDATE deliveries SET next_attempt_at = ? WHERE state IN ('pending', 'retrying') AND next_attempt_at > ?`,
			`UPDATE channel_states SET retry_at = ? WHERE retry_at > ?`,
		} {
			if _, err := t.exec(ctx, query, at.UnixMilli(), at.UnixMilli()); err != nil {
				return err
			}
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "clock.accept", object: "clock", before: describeClock(before), after: describeClock(strconv.FormatInt(at.UnixMilli(), 10)),
		})
	})
}

// describeClock is nil while no clock was ever confirmed.
func describeClock(text string) map[string]any {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return map[string]any{"at": fromMillis(ms).Format(time.RFC3339)}
}

func (s *Store) metaTime(ctx context.Context, key string) (time.Time, error) {
	var at time.Time
	err := s.read(ctx, "reading "+key, func(t *tx) error {
		text, err := t.meta(ctx, key)
		if err != nil || text == "" {
			return err
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		at = fromMillis(ms)
		return err
	})
	return at, err
}

func (t *tx) setMetaTime(ctx context.Context, key string, at time.Time) error {
	return t.setMeta(ctx, key, strconv.FormatInt(at.UnixMilli(), 10))
}

func (t *tx) metaInt(ctx context.Context, key string) (int64, error) {
	text, err := t.meta(ctx, key)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// meta returns "" for what was never set.
func (t *tx) meta(ctx context.Context, key string) (value string, err error) {
	err = t.row(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

func (t *tx) setMeta(ctx context.Context, key, value string) error {
	_, err := t.exec(ctx, `INSERT INTO meta (key, value) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

// A watcher holds the one connection whose data_version is compared.
type watcher struct {
	mu   sync.Mutex
	conn *sql.Conn
}

// DataVersion returns a number that differs from the one before when anything
// was committed in between, by this or by any other process. It says nothing
// about how much, and is meaningful within one open store only.
func (s *Store) DataVersion(ctx context.Context) (int64, error) {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.conn == nil {
		conn, err := s.reader.Conn(ctx)
		if err != nil {
			return 0, fmt.Errorf("watching the store: %w", err)
		}
		s.watch.conn = conn
	}
	var version int64
	if err := s.watch.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return 0, fmt.Errorf("watching the store: %w", err)
	}
	return version, nil
}

func (w *watcher) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	return conn.Close()
}
