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

// A timetable is a schedule in its time zone. It is a cron.Schedule.
type timetable struct {
	schedule cron.Schedule
	location *time.Location
}

// newTimetable reads a schedule; "" means DefaultSchedule, nil UTC. cron's
// parser panics on some malformed input, such as "CRON_TZ=UTC" alone; here
// every bad one is a fault.Invalid error.
func newTimetable(spec string, location *time.Location) (t *timetable, err error) {
	defer func() {
		if recover() != nil {
			t, err = nil, badSchedule(spec, "it cannot be read")
		}
	}()
	if spec == "" {
		spec = DefaultSchedule
	}
	if location == nil {
		location = time.UTC
	}
	schedule, err := cronParser.Parse(spec)
	if err != nil {
		return nil, badSchedule(spec, err.Error())
	}
	if schedule.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, badSchedule(spec, "it never comes")
	}
	return &timetable{schedule: schedule, location: location}, nil
}

func badSchedule(spec, why string) error {
	return fault.New(fault.Invalid, "schedule", "schedule %q: %s", spec, why).WithField("scanner.schedule").
		WithHint(`write five cron fields, or e.g. "@every 15m"`)
}

// Next returns when the schedule comes after t, zero if never.
func (t *timetable) Next(after time.Time) time.Time { return t.schedule.Next(after.In(t.location)) }

// overdue reports whether a run came more than a grace before now, and after
// the last success. It compares readings of the local clock as if there were
// no daylight saving, so that a run in the hour that is skipped in spring,
// which cron leaves out, is overdue like any other.
func (t *timetable) overdue(last, now time.Time, grace time.Duration) bool {
	due := t.schedule.Next(t.clockFace(last))
	return !due.IsZero() && t.clockFace(now).After(due.Add(grace))
}

func (t *timetable) clockFace(at time.Time) time.Time {
	at = at.In(t.location)
	year, month, day := at.Date()
	return time.Date(year, month, day, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// cronLogger hands cron's own log to slog. Its routine messages are noise.
type cronLogger struct{ *slog.Logger }

// Info implements cron.Logger.
func (l cronLogger) Info(msg string, args ...any) { l.Debug("schedule", append(args, "what", msg)...) }

// Error implements cron.Logger.
func (l cronLogger) Error(err error, msg string, args ...any) {
	l.Logger.Error("schedule", append(args, "what", msg, "error", err)...)
}
