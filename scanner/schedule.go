package scanner

import (
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/certvigil/certvigil/internal/fault"
)

// cronParser reads what robfig/cron calls a standard spec: five fields or a
// descriptor such as "@every 15m".
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// parseSchedule reads a schedule. The parser panics on some malformed input,
// such as "CRON_TZ=UTC" alone; here every bad one is a fault.Invalid error.
func parseSchedule(spec string) (schedule cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			schedule, err = nil, badSchedule(spec, "it cannot be read")
		}
	}()
	schedule, err = cronParser.Parse(spec)
	if err != nil {
		return nil, badSchedule(spec, err.Error())
	}
	if schedule.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, badSchedule(spec, "it never comes")
	}
	return schedule, nil
}

func badSchedule(spec, why string) error {
	return fault.New(fault.Invalid, "schedule", "schedule %q: %s", spec, why).WithField("scanner.schedule").
		WithHint(`write five cron fields, or e.g. "@every 15m"`)
}

// overdue reports whether a schedule had a run more than a grace before now,
// and after the last success. It compares readings of the local clock as if
// there were no daylight saving, so that a run in the hour that is skipped in
// spring, which cron leaves out, is overdue like any other.
func overdue(schedule cron.Schedule, last, now time.Time, grace time.Duration) bool {
	due := schedule.Next(clockFace(last))
	return !due.IsZero() && clockFace(now).After(due.Add(grace))
}

func clockFace(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// cronLogger hands cron's own log to slog. Its routine messages are noise.
type cronLogger struct{ *slog.Logger }

func (l cronLogger) Info(msg string, args ...any) { l.Debug("schedule", append(args, "what", msg)...) }

func (l cronLogger) Error(err error, msg string, args ...any) {
	l.Logger.Error("schedule", append(args, "what", msg, "error", err)...)
}
