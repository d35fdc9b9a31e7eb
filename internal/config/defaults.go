package config

import (
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// Default returns what an empty file means, before paths are resolved.
func Default() Config {
	return Config{
		Storage: defaultStorage(),
		Admin:   Admin{Listen: "127.0.0.1:8080", PublicURL: "http://127.0.0.1:8080"},
		Scanner: Scanner{Schedule: "@every 15m", Timezone: "UTC"},
		Enforcer: Enforcer{
			Listen:         "127.0.0.1:8443",
			Issuer:         "https://gateway.example.com",
			SessionTickets: true, HTTP1FastPath: true,
			CRLStale:    CRLDeny,
			KeyRotation: days(42),

			AccessLogSample: 1,
			Limits:          defaultLimits(),
		},
	}
}

func defaultLimits() Limits {
	return Limits{
		HandshakeTimeout: span(10 * time.Second), HeaderTimeout: span(10 * time.Second), BodyTimeout: span(2 * time.Minute),
		IdleTimeout: span(2 * time.Minute), ConnectionLifetime: days(1), HeaderBytes: 64 << 10, ChainBytes: 64 << 10, Handshakes: 512,
	}
}

func defaultStorage() Storage {
	return Storage{DSN: "certvigil.db", Retention: days(400)}
}

// kinds are all kinds of items, which a rule is about unless it says less.
var kinds = []string{string(alert.KindCA), string(alert.KindClient), string(alert.KindServer), string(alert.KindCRL)}

// preset sets the spans that applications and rules leave out. It runs before the
// environment is expanded, when a span that is given still has its text.
func (c *Config) preset() {
	c.Enforcer.KeyRotationGiven = c.Enforcer.KeyRotation.given
	for i := range c.Applications {
		a := &c.Applications[i]
		a.SessionDuration.preset(24 * time.Hour)
		a.ConnectTimeout.preset(10 * time.Second)
		a.OriginTimeout.preset(100 * time.Second)
	}
	for i := range c.Alerts {
		c.Alerts[i].RepeatFrom.preset(-1) // which validateRepeat finds the tightest threshold for
		for j := range c.Alerts[i].Escalate {
			c.Alerts[i].Escalate[j].Before.preset(-1) // which validateEscalation refuses
		}
	}
}

// complete fills in what the tables of lists leave out.
func (c *Config) complete() {
	for i := range c.Applications {
		c.Applications[i].complete()
	}
	for i := range c.Channels {
		c.Channels[i].complete()
	}
	if len(c.Alerts) == 0 {
		c.Alerts = []Alert{{Name: "default", Channels: c.channelNames()}}
	}
	for i := range c.Alerts {
		c.Alerts[i].complete()
	}
}

func (a *Application) complete() {
	a.Path = or(a.Path, "/")
	a.Mode = or(a.Mode, ModeEnforce)
	a.ForwardingGiven = a.Forwarding != ""
	a.Forwarding = or(a.Forwarding, "off")
}

func (c *Channel) complete() {
	switch c.Type {
	case TypeEmail:
		c.TLS = or(c.TLS, "starttls")
	case TypeWebhook:
		c.Format = or(c.Format, FormatAccess)
		if c.Format == FormatTemplate {
			c.ContentType = or(c.ContentType, "application/json")
		}
	}
}

func (a *Alert) complete() {
	if a.Kinds == nil {
		a.Kinds = kinds
	}
	if a.Before == nil {
		a.Before = []Duration{days(30), days(14)}
	}
}

// channelNames returns the name of every channel, each once.
func (c *Config) channelNames() []string {
	var names []string
	for _, ch := range c.Channels {
		if !slices.Contains(names, ch.Name) {
			names = append(names, ch.Name)
		}
	}
	return names
}

func days(n int) Duration { return span(time.Duration(n) * alert.Day) }

func span(d time.Duration) Duration { return Duration{Duration: d} }

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
