package scanner

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	catchUpEvery = time.Minute
	// catchUpGrace leaves a run that is due just now to cron.
	catchUpGrace = catchUpEvery / 2
)

// Run scans at once, on schedule, after each Kick, and within a minute when
// the last attempt did not succeed or the last success is older than the
// schedule allows. It returns when ctx has ended and no scan runs any more. A
// scan that panics is logged and reported, and runs again the next time. Run
// is called once.
func (s *Scanner) Run(ctx context.Context) {
	// Recovery is the inner link: the other way round a panic would leave the
	// job marked as running, and it would be skipped for ever.
	log := cronLogger{s.log}
	job := cron.NewChain(cron.Recover(log)).Then(cron.FuncJob(func() { s.attempt(ctx) }))
	if s.begin(ctx) != nil {
		return
	}
	s.job = cron.NewChain(cron.SkipIfStillRunning(log)).Then(job)
	s.engage()
	s.end()
	s.cron.Start()
	defer func() { <-s.cron.Stop().Done() }()

	job.Run()
	tick := time.NewTicker(catchUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicked:
			job.Run()
		case <-tick.C:
			if s.behind(ctx) {
				job.Run()
			}
		}
	}
}

// engage has the job woken by the present schedule, once there is a job.
func (s *Scanner) engage() {
	if s.job == nil {
		return
	}
	for _, e := range s.cron.Entries() {
		s.cron.Remove(e.ID)
	}
	s.cron.Schedule(s.table.Load(), s.job)
}

// Kick asks Run for a scan, soon. It never blocks. Kicks that come while one
// is waiting are one scan; a kick during a scan is another scan after it.
func (s *Scanner) Kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// Next returns when the schedule next comes, in its own time zone.
func (s *Scanner) Next() time.Time {
	if entries := s.cron.Entries(); len(entries) > 0 && !entries[0].Next.IsZero() {
		return entries[0].Next
	}
	return s.table.Load().Next(s.now())
}

func (s *Scanner) attempt(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	result := s.recovered(ctx)
	if ctx.Err() != nil && result.Err != nil {
		return // cut off by the shutdown, which is no news
	}
	switch {
	case result.Err == nil:
		s.log.Info("scanned", "candidates", result.Candidates, "alerts", result.Alerts,
			"deliveries", result.Deliveries, "took", result.Took)
	case !held(result.Err) && !result.Panicked: // those are logged where they are found
		s.log.Error("scan failed", "error", result.Err)
	}
	s.onScanned(ctx, result)
}

// recovered scans, and makes a panic a result.
func (s *Scanner) recovered(ctx context.Context) (result Result) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("scan panicked", "panic", p, "stack", string(debug.Stack()))
			result = Result{At: s.now().UTC(), Panicked: true, Err: fmt.Errorf("scan panicked: %v", p)}
		}
	}()
	result, _ = s.Scan(ctx) // the result holds the error
	return result
}

// behind reports whether a scan is owed. It reads the clocks each time, so
// that a jump is noticed within a minute of it.
func (s *Scanner) behind(ctx context.Context) bool {
	select {
	case s.turn <- struct{}{}:
		defer s.end()
	default:
		return false // a scan is running
	}
	wall, mono := s.clocks()
	if s.guard.observe(wall, mono) > 0 || s.owed {
		return true // a scan that is held says so
	}
	last, err := s.inventory.LastScan(ctx)
	if err != nil {
		s.log.Error("reading the last scan", "error", err)
		return false
	}
	return s.table.Load().overdue(last, wall, catchUpGrace)
}
