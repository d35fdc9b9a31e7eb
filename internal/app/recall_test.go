package app

import (
	"database/sql"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A channel that failed when the daemon stopped does not look sound after a
// restart, although it is not tried before its time.
func TestStart_RecallsFailingChannels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		failing bool
		metric  string
	}{
		{"a failing channel", true, `certvigil_channel_failing{channel="hook"} 1`},
		{"a sound channel", false, `certvigil_channel_failing{channel="hook"} 0`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			h.leaveChannel("hook", tc.failing)
			next, err := New(t.Context(), h.options())
			if err != nil {
				t.Fatal(err)
			}
			if err := next.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := next.Stop(); err != nil {
					t.Error(err)
				}
			})
			w := httptest.NewRecorder()
			next.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			if !strings.Contains(w.Body.String(), tc.metric) {
				t.Errorf("the metrics lack %s", tc.metric)
			}
			if told := strings.Contains(h.log.String(), `msg="channel still failing" channel=hook error="bad password"`); told != tc.failing {
				t.Errorf("told so: %v, want %v:\n%s", told, tc.failing, h.log)
			}
		})
	}
}

// While a wrong clock holds scanning back, the metrics tell of the last scan that
// there was, and not of none.
func TestStart_RecallsTheLastScan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	last := time.Now().Add(time.Hour).Truncate(time.Second)
	h.do(`INSERT INTO meta (key, value) VALUES ('last_scan', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, strconv.FormatInt(last.UnixMilli(), 10))
	next, err := New(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := next.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := httptest.NewRecorder()
	next.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	want := "certvigil_scan_last_success_timestamp_seconds " + strconv.FormatFloat(float64(last.Unix()), 'g', -1, 64)
	if !strings.Contains(w.Body.String(), want+"\n") {
		t.Errorf("the metrics lack %s", want)
	}
}

// leaveChannel writes a channel's state as a daemon leaves it behind.
func (h *house) leaveChannel(name string, failing bool) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(h.dir, "certvigil.db")+"?_busy_timeout=5000")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	now := time.Now().UnixMilli()
	_, err = db.Exec(`INSERT INTO channel_states (channel, failing, reason, since, retry_at, probes, config_hash) VALUES (?, ?, 'bad password', ?, ?, 1, '')
		ON CONFLICT (channel) DO UPDATE SET failing = excluded.failing, reason = excluded.reason, since = excluded.since, retry_at = excluded.retry_at`,
		name, failing, now, now+time.Hour.Milliseconds())
	if err != nil {
		h.t.Fatal(err)
	}
}
