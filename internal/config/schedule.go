package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a machine without a time zone database reads the same file

	"github.com/robfig/cron/v3"
)

// ParseSchedule reads a schedule: a descriptor such as "@every 15m" or five
// cron fields. cron panics on some malformed input; here that is an error.
func ParseSchedule(spec string) (schedule cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			schedule, err = nil, fmt.Errorf("%q is no schedule", spec)
		}
	}()
	if strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=") {
		return nil, errors.New("the time zone belongs in scanner.timezone")
	}
	if every, ok := strings.CutPrefix(spec, "@every "); ok {
		if d, err := time.ParseDuration(every); err == nil && d < time.Second {
			return nil, fmt.Errorf("%q is more often than once a second", spec)
		}
	}
	schedule, err = cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("%q is no schedule: %w", spec, err)
	}
	if schedule.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, fmt.Errorf("%q never comes", spec)
	}
	return schedule, nil
}

func checkTimezone(name string) error {
	if name == "" || name == "Local" {
		return errors.New("name the time zone, so that every machine means the same")
	}
	if _, err := time.LoadLocation(name); err != nil {
		return fmt.Errorf("%q is not in the time zone database", name)
	}
	return nil
}
