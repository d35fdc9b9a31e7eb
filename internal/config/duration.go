package config

import (
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// A Duration is a span of time, never negative, written as days and what
// [time.ParseDuration] knows: "30d", "36h", "15m", "1d12h", "0d". A day is 24
// hours.
type Duration struct {
	time.Duration

	// text is what the file says, if it says it, until the environment is
	// expanded in it.
	text  string
	given bool
}

// ParseDuration reads a span. Its errors say what was wrong with it.
func ParseDuration(s string) (time.Duration, error) { return alert.ParseSpan(s) }

// UnmarshalText keeps the text; [Load] reads it once the environment has been
// expanded in it.
func (d *Duration) UnmarshalText(text []byte) error {
	d.text, d.given = string(text), true
	return nil
}

// preset sets what the span is when the file does not say.
func (d *Duration) preset(fallback time.Duration) {
	if !d.given {
		d.Duration = fallback
	}
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the span as it would be written in the file, e.g. "1d12h".
func (d Duration) String() string { return alert.FormatSpan(d.Duration) }
