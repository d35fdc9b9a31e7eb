package scanner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/glob"
)

// DefaultSchedule is the documented default of scanner.schedule.
const DefaultSchedule = "@every 15m"

// Options are what a scanner needs. Only Inventory is required.
type Options struct {
	Inventory Inventory
	Rules     []Rule
	Schedule  string         // a robfig/cron spec; default DefaultSchedule
	Location  *time.Location // of the schedule; default UTC
	Now       func() time.Time
	Monotonic func() time.Duration // a clock that only runs forward; default the machine's
	Logger    *slog.Logger
	// OnScanned is called after every attempt to scan, on the goroutine that
	// scanned, also when it failed, was held or panicked. It must not call
	// Scan or Reconfigure.
	OnScanned func(context.Context, Result)
}

// A Result tells what an attempt to scan did.
type Result struct {
	At         time.Time     // what the scan took for now, UTC
	Took       time.Duration // of monotonic time
	Candidates int           // items that were due to be looked at
	Alerts     int           // recorded, covered ones included
	Deliveries int           // handed to the outbox
	Panicked   bool
	Err        error // nil on success; then the rest is written
}

// A Scanner carries out scans, one at a time. All methods may be called
// concurrently.
type Scanner struct {
	inventory Inventory
	cron      *cron.Cron
	now       func() time.Time
	monotonic func() time.Duration
	log       *slog.Logger
	onScanned func(context.Context, Result)
	kicked    chan struct{} // holds one kick, so that any number become one scan

	table    atomic.Pointer[timetable] // when to scan
	believed atomic.Bool               // the last check of the clock was in order

	turn    chan struct{} // filled for a whole scan; guards what follows
	job     cron.Job      // what the schedule wakes; nil before Run
	rules   []Rule
	key     string // a hash of the rules
	guard   guard
	holding bool // the hold has been logged
	owed    bool // the last attempt did not succeed
}

// New returns a scanner, or a fault.Invalid error that says which option is
// wrong. It starts nothing.
func New(o Options) (*Scanner, error) {
	if o.Inventory == nil {
		return nil, fault.New(fault.Invalid, "inventory", "scanner: no inventory")
	}
	table, err := newTimetable(o.Schedule, o.Location)
	if err != nil {
		return nil, err
	}
	if err := checkRules(o.Rules); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &Scanner{
		inventory: o.Inventory, now: o.Now, monotonic: o.Monotonic,
		log: o.Logger, onScanned: o.OnScanned, kicked: make(chan struct{}, 1), turn: make(chan struct{}, 1), rules: o.Rules, key: rulesKey(o.Rules),
	}
	s.cron = cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cronLogger{o.Logger}))
	s.table.Store(table)
	s.guard.believe(s.clocks())
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Monotonic == nil {
		start := time.Now()
		o.Monotonic = func() time.Duration { return time.Since(start) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnScanned == nil {
		o.OnScanned = func(context.Context, Result) {}
	}
	return o
}

// Scan carries out one scan now. An error leaves nothing half written; it is
// fault.Unavailable while the clock cannot be believed.
func (s *Scanner) Scan(ctx context.Context) (Result, error) {
	if err := s.begin(ctx); err != nil {
		return Result{At: s.now().UTC(), Err: err}, err
	}
	defer s.end()
	wall, mono := s.clocks()
	result := Result{At: wall}
	result.Err = s.scan(ctx, wall, mono, &result)
	result.Took = s.monotonic() - mono
	s.owed = result.Err != nil
	return result, result.Err
}

func (s *Scanner) scan(ctx context.Context, wall time.Time, mono time.Duration, result *Result) error {
	s.owed = true // until it has succeeded, also when it panics
	if err := s.checkClock(ctx, wall, mono); err != nil {
		return err
	}
	key, err := s.reschedule(ctx)
	if err != nil {
		return err
	}
	err = s.inventory.Scan(ctx, wall, func(candidates []alert.Candidate) alert.Plan {
		plan, _ := NewPlan(s.rules, candidates, wall)
		plan.Rules = key
		result.Candidates += len(candidates)
		result.Alerts += len(plan.Alerts)
		result.Deliveries += len(plan.Deliveries)
		return plan
	})
	if err != nil {
		result.Candidates, result.Alerts, result.Deliveries = 0, 0, 0 // not known to be written
		return fmt.Errorf("scanning the inventory: %w", err)
	}
	return nil
}

// Preview returns what a scan at the given instant would tell, most urgent
// first, and the plan it would write. It changes nothing, and asks no clock.
func (s *Scanner) Preview(ctx context.Context, at time.Time) (alert.Plan, []Telling, error) {
	at = at.UTC()
	if err := s.begin(ctx); err != nil {
		return alert.Plan{}, nil, err
	}
	rules := s.rules
	s.end()
	candidates, err := s.inventory.Preview(ctx, at, widest(rules))
	if err != nil {
		return alert.Plan{}, nil, fmt.Errorf("previewing a scan: %w", err)
	}
	plan, tellings := NewPlan(rules, candidates, at)
	return plan, tellings, nil
}

// widest returns the largest threshold of any rule.
func widest(rules []Rule) time.Duration {
	var widest time.Duration
	for _, r := range rules {
		for _, s := range r.steps(alert.Item{}) {
			widest = max(widest, s.threshold)
		}
	}
	return widest
}

// Reconfigure puts new rules and a new schedule in force, computes anew when
// each item is due, and kicks a scan. Schedule and location have the defaults
// of Options. On an error from the inventory the rules are in force all the
// same, and the next scan does the rest first; wrong rules, a wrong schedule,
// and a ctx that ends while it waits for a running scan, change nothing.
func (s *Scanner) Reconfigure(ctx context.Context, rules []Rule, schedule string, location *time.Location) error {
	table, err := newTimetable(schedule, location)
	if err != nil {
		return err
	}
	if err := checkRules(rules); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	s.rules, s.key = rules, rulesKey(rules)
	s.table.Store(table)
	s.engage()
	defer s.Kick()
	_, err = s.reschedule(ctx)
	return err
}

// begin waits for the turn to scan, or for the end of ctx.
func (s *Scanner) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a running scan: %w", ctx.Err())
	}
}

func (s *Scanner) end() { <-s.turn }

// reschedule is cheap when the inventory already went by these rules; another
// process may have gone by others meanwhile.
func (s *Scanner) reschedule(ctx context.Context) (key string, err error) {
	rules, key, now := s.rules, s.key, s.now().UTC()
	if slices.ContainsFunc(rules, func(r Rule) bool { return len(r.Hostnames)+len(r.CAs) > 0 }) {
		place, err := s.inventory.Placement(ctx)
		if err != nil {
			return "", fmt.Errorf("reading where items are used: %w", err)
		}
		key += fmt.Sprintf(":%d", place)
	}
	err = s.inventory.Reschedule(ctx, key, func(c alert.Candidate) time.Time { return NextDue(rules, c, now) })
	if err != nil {
		return "", fmt.Errorf("rescheduling the inventory: %w", err)
	}
	return key, nil
}

func (s *Scanner) checkClock(ctx context.Context, wall time.Time, mono time.Duration) error {
	last, err := s.inventory.LastScan(ctx)
	if err != nil {
		return fmt.Errorf("reading the last scan: %w", err)
	}
	accepted, err := s.inventory.AcceptedClock(ctx)
	if err != nil {
		return fmt.Errorf("reading the accepted clock: %w", err)
	}
	err = s.guard.check(wall, mono, last, accepted)
	s.believed.Store(err == nil)
	if holding := err != nil; holding != s.holding {
		s.holding = holding
		if holding {
			s.log.Warn("scanning is held", "reason", err, "hint", fault.Hint(err))
		} else {
			s.log.Info("scanning goes on")
		}
	}
	return err
}

// Held reports whether the clock is not believed at present, or not yet, since
// no scan has checked it: what others do by it should wait too. A jump is
// noticed within a minute.
func (s *Scanner) Held() bool { return !s.believed.Load() }

// clocks reads both clocks; the wall clock without its monotonic part, since
// the two are compared.
func (s *Scanner) clocks() (wall time.Time, mono time.Duration) {
	return s.now().Round(0).UTC(), s.monotonic()
}

// held reports whether err says that the clock cannot be believed.
func held(err error) bool { return fault.Rule(err) == "clock_held" }

func checkRules(rules []Rule) error {
	seen := map[string]bool{}
	for i, r := range rules {
		if r.Name == "" || seen[r.Name] {
			return fault.New(fault.Invalid, "rules", "alert[%d]: the name %q is empty or taken", i, r.Name).WithField("alert.name")
		}
		seen[r.Name] = true
		for _, s := range r.steps(alert.Item{}) {
			if s.threshold < 0 {
				return fault.New(fault.Invalid, "rules", "alert %q: the threshold %s is negative", r.Name, s.threshold).WithField("alert.before")
			}
		}
		for _, pattern := range r.Hostnames {
			if _, err := glob.Compile(pattern, '.'); err != nil {
				return fault.New(fault.Invalid, "rules", "alert %q: %w", r.Name, err).WithField("alert.hostnames")
			}
		}
	}
	return nil
}

// rulesKey names a set of rules, for the inventory to know by which one it is
// scheduled. The leading number changes with the meaning of rules.
func rulesKey(rules []Rule) string {
	text, err := json.Marshal(rules)
	if err != nil {
		panic("scanner: rules do not marshal: " + err.Error()) // plain data always does
	}
	sum := sha256.Sum256(text)
	return "2:" + hex.EncodeToString(sum[:16])
}
