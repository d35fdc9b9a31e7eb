package config

import "log/slog"

// A Secret is a string that never prints itself: formatting, logging and
// encoding all yield "[secret]". The zero value means that none is set.
type Secret string

const redacted = "[secret]"

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// String returns "[secret]", or "" when none is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue keeps log/slog from showing the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps JSON and TOML from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
