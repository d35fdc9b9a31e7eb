package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/scanner"
)

// A daemon is a running scanner whose wall clock can be set, inside a bubble.
type daemon struct {
	*scanner.Scanner

	ahead   atomic.Int64 // of the wall clock before the monotonic one
	mu      sync.Mutex
	results []scanner.Result
	logged  bytes.Buffer
}

// start runs a scanner until the test ends, and waits for its first scan.
func start(t *testing.T, inv *memory, change func(*scanner.Options)) *daemon {
	t.Helper()
	d := &daemon{}
	o := scanner.Options{
		Inventory: inv,
		Rules:     []scanner.Rule{rule("default")},
		Now:       d.now,
		Logger:    slog.New(slog.NewTextHandler(&locked{w: &d.logged, mu: &d.mu}, nil)),
		OnScanned: func(_ context.Context, r scanner.Result) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.results = append(d.results, r)
		},
	}
	if change != nil {
		change(&o)
	}
	s, err := scanner.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.Scanner = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	return d
}

func (d *daemon) now() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }

func (d *daemon) jump(by time.Duration) { d.ahead.Add(int64(by)) }

func (d *daemon) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logged.String()
}

func (d *daemon) attempts() []scanner.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]scanner.Result(nil), d.results...)
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// pass lets bubble time go by and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestScanner_Run_AtStartAndOnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(30*day + time.Hour) }))
		d := start(t, inv, nil)
		if got := inv.scanCount(); got != 1 {
			t.Fatalf("%d scans at start, want 1", got)
		}
		pass(time.Hour - time.Second)
		if got := len(inv.sent()); got != 0 {
			t.Fatalf("%d deliveries before the threshold, want none", got)
		}
		pass(time.Second)
		if got := inv.scanCount(); got != 5 {
			t.Errorf("%d scans in the first hour, want 5", got)
		}
		if got := len(inv.sent()); got != 1 {
			t.Errorf("%d deliveries at the threshold, want 1", got)
		}
		pass(40 * day)
		if got := len(inv.sent()); got != 2 {
			t.Errorf("%d deliveries in the item's whole life, want 2", got)
		}
		if got, want := d.Next(), time.Now().Add(15*time.Minute); !got.Equal(want) {
			t.Errorf("next scan at %s, want %s", got, want)
		}
		if r := d.attempts()[0]; r.Err != nil || r.Candidates != 0 {
			t.Errorf("first result %+v", r)
		}
	})
}

func TestScanner_Run_Stops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		s, err := scanner.New(scanner.Options{Inventory: inv})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Run(ctx)
		if got := inv.scanCount(); got != 0 {
			t.Errorf("%d scans after the end, want none", got)
		}
	})
}

func TestScanner_Kick_Coalesces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		d := start(t, inv, nil)
		entered, blocking := make(chan struct{}, 10), make(chan struct{})
		inv.set(func(m *memory) { m.entered, m.blocking = entered, blocking })
		d.Kick()
		<-entered
		for range 5 {
			d.Kick() // while a scan runs
		}
		close(blocking)
		synctest.Wait()
		if got := inv.scanCount(); got != 3 {
			t.Errorf("%d scans, want the one at start, the kicked one and one after it", got)
		}
	})
}

func TestScanner_Run_SkipsWhileStillRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		start(t, inv, nil)
		blocking := make(chan struct{})
		inv.set(func(m *memory) { m.blocking = blocking })
		pass(2 * time.Hour) // the first scheduled run hangs; seven more come due
		close(blocking)
		synctest.Wait()
		if got := inv.scanCount(); got > 3 {
			t.Errorf("%d scans, want no pile of those that came due meanwhile", got)
		}
		pass(15 * time.Minute)
		if got := inv.scanCount(); got < 3 {
			t.Errorf("%d scans, want the schedule to go on", got)
		}
	})
}

func TestScanner_Run_SurvivesPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(20 * day) }))
		inv.panicking = true
		d := start(t, inv, nil)
		pass(16 * time.Minute) // by start, catch-up and cron
		panics := 0
		for _, r := range d.attempts() {
			if r.Panicked && r.Err != nil {
				panics++
			}
		}
		if panics != len(d.attempts()) || panics < 16 {
			t.Errorf("%d of %d attempts panicked, want all of at least 16", panics, len(d.attempts()))
		}
		inv.set(func(m *memory) { m.panicking = false })
		pass(time.Minute)
		if got := len(inv.sent()); got != 1 {
			t.Errorf("%d deliveries once the inventory is mended, want 1", got)
		}
		if !strings.Contains(d.log(), "scan panicked") {
			t.Error("the panic was not logged")
		}
	})
}

func TestScanner_Run_RetriesAfterPanicWithinAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		d := start(t, inv, func(o *scanner.Options) { o.Schedule = "@monthly" })
		inv.set(func(m *memory) { m.panicking = true })
		d.Kick()
		synctest.Wait()
		inv.set(func(m *memory) { m.panicking = false })
		pass(time.Minute)
		if got := inv.scanCount(); got != 2 {
			t.Errorf("%d scans a minute after the panic, want 2", got)
		}
	})
}

func TestScanner_Run_SurvivesPanicOfObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		start(t, inv, func(o *scanner.Options) {
			o.OnScanned = func(context.Context, scanner.Result) { panic("the observer broke") }
		})
		pass(time.Hour)
		if got := inv.scanCount(); got != 5 {
			t.Errorf("%d scans, want 5", got)
		}
	})
}

func TestScanner_Run_RetriesWithinAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		inv.failing = errors.New("disk full")
		d := start(t, inv, func(o *scanner.Options) { o.Schedule = "@daily" })
		if got := d.attempts(); len(got) != 1 || got[0].Err == nil {
			t.Fatalf("attempts %+v, want one that failed", got)
		}
		inv.set(func(m *memory) { m.failing = nil })
		pass(time.Minute)
		if got := inv.scanCount(); got != 1 {
			t.Errorf("%d scans a minute later, want 1", got)
		}
		pass(30 * time.Minute)
		if got := inv.scanCount(); got != 1 {
			t.Errorf("%d scans half an hour later, want no more", got)
		}
	})
}

// A machine that slept: the wall clock went on, the timers did not.
func TestScanner_Run_CatchesUpAfterSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		d := start(t, inv, func(o *scanner.Options) { o.Schedule = "@every 12h" })
		d.jump(13 * time.Hour)
		pass(time.Minute)
		if got := inv.scanCount(); got != 2 {
			t.Errorf("%d scans a minute after waking, want 2", got)
		}
	})
}

// cron leaves out a run whose hour is skipped in spring.
func TestScanner_Run_CatchesUpInSpring(t *testing.T) {
	t.Parallel()
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 4, 1, 12, 0, 0, 0, newYork))) // clocks change on 2 April
		inv := newMemory()
		start(t, inv, func(o *scanner.Options) { o.Schedule, o.Location = "30 2 * * *", newYork })
		pass(day)
		if got := inv.scanCount(); got != 2 {
			t.Errorf("%d scans by noon of the day after, want 2", got)
		}
	})
}

func TestScanner_Reconfigure_Rules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(50 * day) }))
		d := start(t, inv, nil)
		if err := d.Reconfigure(t.Context(), []scanner.Rule{rule("default", before(60*day))}, "", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(inv.sent()); got != 1 {
			t.Errorf("%d deliveries after a wider threshold, want 1", got)
		}
		times := inv.reschedules
		if err := d.Reconfigure(t.Context(), []scanner.Rule{rule("default", before(60*day))}, "", nil); err != nil {
			t.Fatal(err)
		}
		if inv.reschedules != times {
			t.Error("the same rules were computed anew")
		}
		err := d.Reconfigure(t.Context(), []scanner.Rule{rule("x"), rule("x")}, "", nil)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("two rules of one name: %v, want an invalid fault", err)
		}
	})
}

func TestScanner_Reconfigure_CutOffIsDoneByTheNextScan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory(item("i", func(it *alert.Item) { it.NotAfter = time.Now().Add(50 * day) }))
		d := start(t, inv, nil)
		inv.set(func(m *memory) { m.failReschedule = errors.New("cut off") })
		if err := d.Reconfigure(t.Context(), []scanner.Rule{rule("default", before(60*day))}, "", nil); err == nil {
			t.Fatal("no error from an inventory that failed")
		}
		synctest.Wait()
		inv.set(func(m *memory) { m.failReschedule = nil })
		pass(time.Minute)
		if got := len(inv.sent()); got != 1 {
			t.Errorf("%d deliveries, want 1", got)
		}
	})
}

func TestScanner_Reconfigure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inv := newMemory()
		d := start(t, inv, func(o *scanner.Options) { o.Schedule = "@every 12h" })
		rules := []scanner.Rule{rule("default")}
		if err := d.Reconfigure(t.Context(), rules, "CRON_TZ=", nil); !fault.Is(err, fault.Invalid) {
			t.Fatalf("a bad schedule: %v, want an invalid fault", err)
		}
		tokyo := time.FixedZone("JST", 9*3600)
		if err := d.Reconfigure(t.Context(), rules, "30 12 * * *", tokyo); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := time.Date(2000, 1, 1, 12, 30, 0, 0, tokyo)
		if got := d.Next(); !got.Equal(want) {
			t.Fatalf("next scan at %s, want %s", got, want)
		}
		before := inv.scanCount()
		pass(time.Until(want))
		if got := inv.scanCount(); got != before+1 {
			t.Errorf("%d scans at the new time, want one more than %d", got, before)
		}
		pass(12 * time.Hour)
		if got := inv.scanCount(); got != before+1 {
			t.Errorf("%d scans half a day later, want none by the old schedule", got-before)
		}
	})
}

func TestScanner_Preview(t *testing.T) {
	t.Parallel()
	inv := newMemory(item("late"), item("soon", func(it *alert.Item) { it.NotAfter = end.Add(-day) }))
	s, err := scanner.New(scanner.Options{Inventory: inv, Rules: []scanner.Rule{rule("default")}, Now: func() time.Time { return end.Add(-300 * day) }})
	if err != nil {
		t.Fatal(err)
	}
	plan, tellings, err := s.Preview(t.Context(), end.Add(-20*day))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range tellings {
		got = append(got, l.Item.ID+" "+l.Alert.Rule+" "+alert.FormatThreshold(l.Alert.Threshold)+" "+l.Channel+" "+l.Recipient)
	}
	want := []string{"soon default 30d mail oncall@example.com", "late default 30d mail oncall@example.com"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(plan.Deliveries) != 1 || len(inv.sent()) != 0 || inv.scanCount() != 0 {
		t.Errorf("planned %d, wrote %d, scanned %d; want 1, 0, 0", len(plan.Deliveries), len(inv.sent()), inv.scanCount())
	}
}

func TestNew_RefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]scanner.Options{
		"no inventory":         {},
		"a schedule of words":  {Inventory: newMemory(), Schedule: "often"},
		"a zone alone":         {Inventory: newMemory(), Schedule: "CRON_TZ=UTC"}, // robfig/cron panics
		"an empty zone":        {Inventory: newMemory(), Schedule: "TZ="},
		"a date that is none":  {Inventory: newMemory(), Schedule: "0 0 31 2 *"},
		"six fields":           {Inventory: newMemory(), Schedule: "0 0 0 1 1 *"},
		"a rule without name":  {Inventory: newMemory(), Rules: []scanner.Rule{rule("")}},
		"a negative threshold": {Inventory: newMemory(), Rules: []scanner.Rule{rule("r", before(-day))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := scanner.New(o); !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v, want an invalid fault", err)
			}
		})
	}
}

func FuzzNew_Schedule(f *testing.F) {
	for _, s := range []string{"@every 15m", "*/5 * * * *", "TZ=UTC 0 0 * * *", "CRON_TZ=", "@every", "@reboot", "0-", "*/0 * * * *", "@every 0s", "@every -5m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := scanner.New(scanner.Options{Inventory: newMemory(), Schedule: spec, Now: func() time.Time { return end }})
		if err == nil && !s.Next().After(end) {
			t.Errorf("schedule %q comes next at %s, not after %s", spec, s.Next(), end)
		}
	})
}
