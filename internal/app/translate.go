package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/slack"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/scanner"
)

// namespace is that of the UUIDv5 of what the configuration declares.
var namespace = uuid.MustParse("8a0f5c3e-6f3b-5d3c-9a55-6d1f0c2f7a11")

// objectID returns the id of an object that the configuration declares: it is
// the same on every start and in every replica.
func objectID(kind, name string) string {
	return uuid.NewSHA1(namespace, []byte(kind+"\x00"+name)).String()
}

// Rules returns the alert rules of a configuration.
func Rules(cfg *config.Config) []scanner.Rule {
	rules := make([]scanner.Rule, 0, len(cfg.Alerts))
	for _, a := range cfg.Alerts {
		rule := scanner.Rule{
			Name: a.Name, Match: a.Match, Hostnames: a.Hostnames, CAs: a.CAs, Scale: a.ScaleShortLived,
			Repeat: a.Repeat.Duration, RepeatFrom: a.RepeatFrom.Duration, Digest: a.Digest.Duration, Targets: targets(cfg, a, a.Channels),
		}
		for _, k := range a.Kinds {
			rule.Kinds = append(rule.Kinds, alert.Kind(k))
		}
		for _, d := range a.Before {
			rule.Before = append(rule.Before, d.Duration)
		}
		for _, e := range a.Escalate {
			rule.Escalate = append(rule.Escalate, scanner.Escalation{Before: e.Before.Duration, Targets: targets(cfg, a, e.Channels)})
		}
		rules = append(rules, rule)
	}
	return rules
}

// single reports whether a channel's format carries one item a message.
func single(c config.Channel) bool {
	return c.Type == config.TypeWebhook && webhook.Single(c.Format)
}

// targets returns those of a rule's channels that are named; the ones of mail
// write to owners too.
func targets(cfg *config.Config, a config.Alert, names []string) []scanner.Target {
	var list []scanner.Target
	for _, name := range names {
		c, ok := channelNamed(cfg, name)
		if !ok {
			continue
		}
		t := scanner.Target{Channel: name, Recipients: recipients(c), Single: single(c)}
		if c.Type == config.TypeEmail {
			t.OwnerDomains = a.OwnerDomains
		}
		list = append(list, t)
	}
	return list
}

// setup returns the channels and routes of a configuration. It opens no
// connection. An error names the channel. Without threads, Slack messages of one
// item do not answer each other.
func setup(cfg *config.Config, now func() time.Time, threads slack.Threads) (notifier.Setup, error) {
	s := notifier.Setup{Routes: map[string][]notifier.Route{}, RuleIDs: map[string]string{}, AdminURL: cfg.Admin.PublicURL}
	for _, c := range cfg.Channels {
		channel, err := newChannel(cfg, c, now, threads)
		if err != nil {
			return notifier.Setup{}, fmt.Errorf("channel %q: %w", c.Name, err)
		}
		hash, err := channelHash(cfg, c)
		if err != nil {
			return notifier.Setup{}, fmt.Errorf("channel %q: %w", c.Name, err)
		}
		s.Channels = append(s.Channels, notifier.Config{Name: c.Name, Channel: channel, Hash: hash})
	}
	for _, a := range cfg.Alerts {
		s.Routes[a.Name], s.RuleIDs[a.Name] = routes(cfg, a.ChannelNames()), objectID("alert", a.Name)
	}
	s.Fallback = routes(cfg, cfg.Notifier.Fallback)
	return s, nil
}

func newChannel(cfg *config.Config, c config.Channel, now func() time.Time, threads slack.Threads) (notifier.Channel, error) {
	switch c.Type {
	case config.TypeEmail:
		return email.New(email.Options{Server: c.SMTP, TLS: email.TLSMode(c.TLS), Username: c.Username, Password: c.Password.Reveal(), From: c.From})
	case config.TypeSlack:
		return slack.New(slack.Options{WebhookURL: c.WebhookURL.Reveal(), Token: c.Token.Reveal(), Channel: c.Channel, Threads: threads, Now: now})
	default: // the configuration knows no fourth type
		return webhook.New(webhook.Options{
			URL: c.URL.Reveal(), Format: c.Format, Secret: c.Secret.Reveal(), PreviousSecret: c.PreviousSecret.Reveal(), Authorization: c.Authorization.Reveal(),
			AccountID: cfg.Admin.AccountID, Template: c.Template, ContentType: c.ContentType, Now: now,
		})
	}
}

// channelHash changes with everything that may mend a channel, its secrets too.
func channelHash(cfg *config.Config, c config.Channel) (string, error) {
	public, err := json.Marshal(c) //nolint:gosec // secrets marshal as "[secret]"; they are hashed below
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, part := range []string{string(public), c.Password.Reveal(), c.WebhookURL.Reveal(), c.Token.Reveal(), c.URL.Reveal(), c.Secret.Reveal(), c.PreviousSecret.Reveal(), c.Authorization.Reveal(), cfg.Admin.AccountID} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func channelNamed(cfg *config.Config, name string) (config.Channel, bool) {
	i := slices.IndexFunc(cfg.Channels, func(c config.Channel) bool { return c.Name == name })
	if i < 0 {
		return config.Channel{}, false
	}
	return cfg.Channels[i], true
}

func recipients(c config.Channel) []string {
	if c.Type == config.TypeEmail {
		return c.To
	}
	return []string{c.Name}
}

func routes(cfg *config.Config, names []string) []notifier.Route {
	var out []notifier.Route
	for _, name := range names {
		if c, ok := channelNamed(cfg, name); ok {
			out = append(out, notifier.Route{Channel: name, Recipients: recipients(c)})
		}
	}
	return out
}

// declared returns what the configuration says of what is enforced; the store
// says the rest.
func declared(cfg *config.Config) enforcer.State {
	e := cfg.Enforcer
	state := enforcer.State{
		KeepStale: e.CRLStale == config.CRLKeep, Grace: e.CRLGrace.Duration, DefaultHostname: e.DefaultHostname, Issuer: e.Issuer,
		RequireEKU: e.RequireEKU, SessionTickets: e.SessionTickets, TrustedProxies: e.Proxies(),
	}
	for _, c := range e.Certificates {
		state.Certificates = append(state.Certificates, c.Pair)
	}
	for _, a := range cfg.Applications {
		state.Applications = append(state.Applications, application(a))
	}
	return state
}

// application translates all of an application but its AUD.
func application(a config.Application) enforcer.Application {
	out := enforcer.Application{
		ID: objectID("application", a.Name), Name: a.Name, Hostname: a.Hostname, Path: a.Path, Origin: a.OriginURL(),
		SessionDuration: a.SessionDuration.Duration, ReportOnly: a.Mode == config.ModeReportOnly, Forwarding: enforcer.Forwarding(a.Forwarding),
		RFC9440: a.RFC9440, TLSClientAuthHeaders: a.TLSClientAuthHeaders, RequestHeaders: a.RequestHeaders, OptionsPreflightBypass: a.OptionsPreflightBypass,
		OriginTLS:      enforcer.OriginTLS{Roots: a.OriginRoots, Certificate: a.OriginPair, ServerName: a.OriginServerName, ID: a.OriginTLSID},
		ConnectTimeout: a.ConnectTimeout.Duration, OriginTimeout: a.OriginTimeout.Duration,
		Deny: enforcer.Denial{Message: a.DenyMessage, Page: a.DenyTemplate, URL: a.DenyTarget()},
	}
	for _, p := range a.Policies {
		out.Policies = append(out.Policies, enforcer.Policy{
			Name: p.Name, Action: enforcer.Action(p.Action),
			Include: selectors(p.Include), Require: selectors(p.Require), Exclude: selectors(p.Exclude),
		})
	}
	return out
}

func selectors(list []config.Selector) []enforcer.Selector {
	out := make([]enforcer.Selector, 0, len(list))
	for _, s := range list {
		out = append(out, enforcer.Selector{
			Certificate: s.Certificate || s.Conditions() == 0, // a CA by itself means any valid certificate of it
			Everyone:    s.Everyone, CommonName: s.CommonName, IP: s.Prefixes(),
			SANDNS: s.SANDNS, SANURI: s.SANURI, Issuer: s.Issuer, Serial: s.Serial, Fingerprint: s.Fingerprint, CA: s.CA,
		})
	}
	return out
}
