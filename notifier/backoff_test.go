package notifier_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/certvigil/certvigil/notifier"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	const h, m, s = time.Hour, time.Minute, time.Second
	waits := []time.Duration{5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h}
	var total time.Duration
	for i, want := range waits {
		t.Run(fmt.Sprintf("after attempt %d", i+1), func(t *testing.T) {
			t.Parallel()
			got, ok := notifier.Backoff(i+1, 0.5)
			if got != want || !ok {
				t.Errorf("got %s %v, want %s", got, ok, want)
			}
			low, _ := notifier.Backoff(i+1, 0)
			high, _ := notifier.Backoff(i+1, 0.999999)
			if low != want*9/10 || high <= want || high > want*11/10 {
				t.Errorf("jitter spreads over %s … %s", low, high)
			}
		})
		total += want
	}
	if total != 75*h+35*m+5*s {
		t.Errorf("the schedule lasts %s", total)
	}
	if notifier.MaxAttempts != len(waits)+1 {
		t.Errorf("MaxAttempts is %d", notifier.MaxAttempts)
	}
	for _, attempt := range []int{notifier.MaxAttempts, notifier.MaxAttempts + 1, 1000} {
		if _, ok := notifier.Backoff(attempt, 0.5); ok {
			t.Errorf("there is something after attempt %d", attempt)
		}
	}
	if got, ok := notifier.Backoff(0, 0.5); got != 5*s || !ok {
		t.Errorf("attempt 0: %s %v", got, ok)
	}
}

func TestProbeBackoff(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		probes int
		want   time.Duration
	}{
		{0, 30 * time.Second}, {1, 30 * time.Second}, {2, time.Minute}, {7, 32 * time.Minute}, {8, time.Hour}, {1 << 40, time.Hour},
	} {
		if got := notifier.ProbeBackoff(tc.probes, 0.5); got != tc.want {
			t.Errorf("after %d probes: %s, want %s", tc.probes, got, tc.want)
		}
	}
}
