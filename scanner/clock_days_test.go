package scanner_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/scanner"
)

// A laptop that slept: the wall clock went on, the monotonic one stood.
func TestClock_Asleep(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		slept time.Duration
		held  time.Duration // how long scanning waits after waking
	}{
		"for a night":               {10 * time.Hour, 0},
		"for two days":              {48 * time.Hour, 0},
		"from Friday to Monday":     {62 * time.Hour, 15 * time.Minute},
		"for the summer's holidays": {6 * 7 * day, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(tt.slept + 30*day) }))
				d := start(t, inv, nil)
				d.jump(tt.slept)
				pass(tt.held + time.Minute - time.Second)
				if tt.held > 0 && len(inv.sent()) != 0 {
					t.Error("it was told of at once, though the clock jumped by more than two days")
				}
				pass(2 * time.Minute)
				if n := len(inv.sent()); n != 1 {
					t.Errorf("%d deliveries after waking, want 1", n)
				}
				if held := strings.Contains(d.log(), "scanning is held"); held != (tt.held > 0) {
					t.Errorf("held: %t, want %t", held, tt.held > 0)
				}
			})
		})
	}
}

// What passed while no process ran is downtime: nothing is held, the tightest
// threshold alone is told, and what was told on Friday is not told again.
func TestClock_AWeekendSwitchedOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		friday := time.Now()
		inv := newMemory(
			item("told", func(it *alert.Item) { it.NotAfter = friday.Add(29 * day) }),
			item("new", func(it *alert.Item) { it.NotAfter = friday.Add(31 * day) }),
			item("both", func(it *alert.Item) { it.NotAfter = friday.Add(14*day + time.Hour) }),
		)
		o := scanner.Options{Inventory: inv, Rules: []scanner.Rule{rule("default")}}
		before, err := scanner.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		fridays := len(inv.sent())
		time.Sleep(62 * time.Hour)

		d := start(t, inv, nil)
		if strings.Contains(d.log(), "held") || inv.scanCount() != 2 {
			t.Fatalf("%d scans on Monday, and the log says:\n%s", inv.scanCount(), d.log())
		}
		told := map[string][]time.Duration{}
		for _, a := range inv.alerts {
			if !a.Covered {
				told[a.ItemID] = append(told[a.ItemID], a.Threshold)
			}
		}
		if fridays != 1 || len(inv.sent()) != 2 {
			t.Errorf("%d deliveries on Friday and %d in all, want 1 and 2", fridays, len(inv.sent()))
		}
		if len(told["told"]) != 1 || len(told["new"]) != 1 || len(told["both"]) != 2 {
			t.Errorf("told at %v", told)
		}
	})
}

// When the clocks change, a schedule in their time zone leaves no day out, and
// what is due is told once.
func TestClock_DaylightSaving(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	spring := time.Date(2000, 3, 25, 12, 0, 0, 0, berlin)  // 02:00 becomes 03:00 on the 26th
	autumn := time.Date(2000, 10, 28, 12, 0, 0, 0, berlin) // 03:00 becomes 02:00 on the 29th
	for name, tt := range map[string]struct {
		noon     time.Time
		schedule string
		due      time.Duration // after noon, when an item's threshold comes
		told     time.Duration // after noon, by when that is told of
		scans    int           // until the next noon by the wall, after the one at the start
	}{
		"spring, in the hour that is left out": {spring, "30 2 * * *", 14 * time.Hour, 14*time.Hour + 32*time.Minute, 1},
		"spring, the last minute before it":    {spring, "59 1 * * *", 13 * time.Hour, 14 * time.Hour, 1},
		"spring, every quarter of an hour":     {spring, "@every 15m", 14*time.Hour + time.Minute, 14*time.Hour + 17*time.Minute, 92},
		"spring, hourly by the wall":           {spring, "0 * * * *", 14*time.Hour + time.Minute, 15*time.Hour + time.Minute, 23},
		"autumn, in the hour that comes twice": {autumn, "30 2 * * *", 14*time.Hour + 20*time.Minute, 14*time.Hour + 32*time.Minute, 2},
		"autumn, due between the two":          {autumn, "30 2 * * *", 15 * time.Hour, 15*time.Hour + 32*time.Minute, 2},
		"autumn, the first minute after it":    {autumn, "0 3 * * *", 15 * time.Hour, 16*time.Hour + time.Minute, 1},
		"autumn, every quarter of an hour":     {autumn, "@every 15m", 15*time.Hour + time.Minute, 15*time.Hour + 17*time.Minute, 100},
		"autumn, hourly by the wall":           {autumn, "0 * * * *", 15*time.Hour + time.Minute, 16*time.Hour + time.Minute, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(tt.noon))
				inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = tt.noon.Add(tt.due + 30*day) }))
				start(t, inv, func(o *scanner.Options) { o.Schedule, o.Location = tt.schedule, berlin })
				pass(tt.told)
				if n := len(inv.sent()); n != 1 {
					t.Errorf("%d deliveries %s after noon, want 1", n, tt.told)
				}
				time.Sleep(time.Until(tt.noon.AddDate(0, 0, 1).Add(time.Second)))
				synctest.Wait()
				// One more is no harm: the look for what cron left out may come first.
				if got := inv.scanCount() - 1; got != tt.scans && got != tt.scans+1 {
					t.Errorf("%d scans, want %d", got, tt.scans)
				}
				if n := len(inv.sent()); n != 1 {
					t.Errorf("%d deliveries by the next noon, want 1", n)
				}
			})
		})
	}
}
