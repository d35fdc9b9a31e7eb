package scanner_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/scanner"
)

// soon ends in 100 days: only a wrong clock could say that it is due.
func soon(t *testing.T) *memory {
	t.Helper()
	return newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(100 * day) }))
}

func TestClock_ForwardJumpIsWaitedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := soon(t)
		d := start(t, inv, nil)
		if d.Held() {
			t.Error("a clock in order is held against others")
		}
		d.jump(90 * day)
		pass(time.Minute + time.Second)
		if !d.Held() {
			t.Error("others are not told within a minute that the clock jumped")
		}
		pass(13 * time.Minute)
		if inv.scanCount() != 1 || len(inv.sent()) != 0 {
			t.Fatalf("%d scans and %d deliveries during the hold, want 1 and none", inv.scanCount(), len(inv.sent()))
		}
		if got := strings.Count(d.log(), "scanning is held"); got == 0 || !strings.Contains(d.log(), "level=WARN") {
			t.Error("no warning of the hold")
		}
		if _, err := d.Scan(t.Context()); !fault.Is(err, fault.Unavailable) || fault.Hint(err) == "" {
			t.Errorf("a scan during the hold: %v, want unavailable with a hint", err)
		}
		pass(3 * time.Minute)
		if inv.scanCount() < 2 || len(inv.sent()) != 1 {
			t.Errorf("%d scans and %d deliveries after the hold, want 2 and 1", inv.scanCount(), len(inv.sent()))
		}
		if d.Held() {
			t.Error("the hold is over, but not for others")
		}
		if !strings.Contains(d.log(), "scanning goes on") {
			t.Error("the end of the hold was not logged")
		}
	})
}

func TestClock_ForwardJumpThatIsTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := soon(t)
		d := start(t, inv, nil)
		d.jump(90 * day)
		pass(5 * time.Minute)
		d.jump(-90 * day)
		pass(time.Hour)
		if len(inv.sent()) != 0 || inv.scanCount() < 4 {
			t.Errorf("%d deliveries and %d scans, want none and the schedule to go on", len(inv.sent()), inv.scanCount())
		}
	})
}

func TestClock_ForwardJumpIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := soon(t)
		inv.accepted = time.Now() // of the clock as it was: no word on what comes
		d := start(t, inv, nil)
		d.jump(90 * day)
		pass(2 * time.Minute)
		if got := inv.scanCount(); got != 1 {
			t.Fatalf("%d scans, want an earlier word not to count", got)
		}
		inv.set(func(m *memory) { m.accepted = d.now() })
		pass(time.Minute)
		if got := inv.scanCount(); got != 2 {
			t.Errorf("%d scans after the clock was accepted, want 2", got)
		}
	})
}

func TestClock_JumpBoundary(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		jump time.Duration
		held bool
	}{
		"a second less than 48 hours": {48*time.Hour - time.Second, false},
		"exactly 48 hours":            {48 * time.Hour, false},
		"a second more than 48 hours": {48*time.Hour + time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wall, mono := end.Add(-300*day), time.Duration(0)
			s, err := scanner.New(scanner.Options{
				Inventory: newMemory(),
				Now:       func() time.Time { return wall }, Monotonic: func() time.Duration { return mono },
			})
			if err != nil {
				t.Fatal(err)
			}
			mono += time.Hour
			wall = wall.Add(time.Hour + tt.jump)
			if _, err := s.Scan(t.Context()); (err != nil) != tt.held {
				t.Errorf("got %v, want held = %t", err, tt.held)
			}
		})
	}
}

// A laptop that sleeps every night never jumps by more than a night.
func TestClock_NightsDoNotAddUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		d := start(t, inv, func(o *scanner.Options) { o.Schedule = "@monthly" })
		for range 10 {
			d.jump(10 * time.Hour)
			pass(14 * time.Hour)
		}
		d.Kick()
		synctest.Wait()
		if strings.Contains(d.log(), "held") {
			t.Error("scanning was held:\n" + d.log())
		}
	})
}

func TestClock_DowntimeIsNoJump(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		inv.last = time.Now().Add(-365 * day)
		start(t, inv, nil)
		if got := inv.scanCount(); got != 1 {
			t.Errorf("%d scans after a year's downtime, want 1", got)
		}
	})
}

func TestClock_BehindTheLastScan(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		behind time.Duration
		held   bool
	}{
		"a second behind": {time.Second, true},
		"exactly on it":   {0, false},
		"a second past":   {-time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv := newMemory(item("i"))
			inv.last = end.Add(tt.behind)
			s, err := scanner.New(scanner.Options{Inventory: inv, Rules: []scanner.Rule{rule("r")}, Now: func() time.Time { return end }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Scan(t.Context()); fault.Is(err, fault.Unavailable) != tt.held {
				t.Errorf("got %v, want held = %t", err, tt.held)
			}
			if wrote := len(inv.sent()) > 0 || inv.reschedules > 0; wrote == tt.held {
				t.Errorf("wrote = %t while held = %t", wrote, tt.held)
			}
		})
	}
}

func TestClock_BehindUntilPastItOrAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		inv.last = time.Now().Add(time.Hour)
		d := start(t, inv, nil)
		pass(59 * time.Minute)
		if got := inv.scanCount(); got != 0 {
			t.Fatalf("%d scans behind the last one, want none", got)
		}
		pass(2 * time.Minute)
		if got := inv.scanCount(); got == 0 {
			t.Error("no scan once past the last one")
		}
		d.jump(-30 * day)
		pass(20 * time.Minute)
		count := inv.scanCount()
		inv.set(func(m *memory) { m.accepted = d.now() })
		pass(time.Minute)
		if got := inv.scanCount(); got != count+1 {
			t.Errorf("%d scans after the clock was accepted, want one more than %d", got, count)
		}
		if got := inv.last; got.After(d.now()) {
			t.Errorf("the last scan is still recorded at %s", got)
		}
	})
}
