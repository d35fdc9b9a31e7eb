package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/slack"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/scanner"
)

// A roster says who is told of what: what the configuration declares, joined
// with what was made by the API.
type roster struct {
	cfg    *config.Config
	stored alerting.Stored
}

// rosterOf joins a configuration with what the store holds, without the secrets
// of destinations: it is enough to decide what is due.
func rosterOf(ctx context.Context, cfg *config.Config, s *store.Store) (roster, error) {
	stored, err := s.Alerting(ctx)
	if err != nil {
		return roster{}, err
	}
	r := roster{cfg, stored}
	return r, r.check()
}

// openRosterOf is rosterOf with the secrets, to send by.
func openRosterOf(ctx context.Context, cfg *config.Config, s *store.Store) (roster, error) {
	stored, err := s.OpenAlerting(ctx)
	if err != nil {
		return roster{}, err
	}
	r := roster{cfg, stored}
	return r, r.check()
}

// check refuses what does not go together. The API refuses to make it; it comes
// of a change of the configuration.
func (r roster) check() error {
	for _, d := range r.stored.Destinations {
		if _, ok := channelNamed(r.cfg, d.Name); ok {
			return collision("channel", d.Name, "the destination "+d.ID)
		}
	}
	for _, p := range r.stored.Policies {
		if slices.ContainsFunc(r.cfg.Alerts, func(a config.Alert) bool { return a.Name == p.Name }) {
			return collision("alert", p.Name, "the alerting policy "+p.ID)
		}
		if err := r.checkTargets(p); err != nil && p.Enabled {
			return err
		}
	}
	return nil
}

func collision(key, name, other string) error {
	return fault.New(fault.Conflict, "alerting_name_in_use", "the [[%s]] %q of the configuration file has the name of %s, which was made by the API", key, name, other).
		WithField(key + ".name").WithHint("name one of them otherwise")
}

// checkTargets refuses a policy that would silently tell fewer people than it
// says.
func (r roster) checkTargets(p alerting.Policy) error {
	if len(p.Mechanisms.Email) > 0 && r.transport() == "" {
		return fault.New(fault.Conflict, "no_transport", "the alerting policy %q, made by the API, tells e-mail addresses, and no channel lends them its server", p.Name).
			WithField("channel.default_transport").WithHint("set default_transport = true on one e-mail channel, or take the addresses from the policy first")
	}
	for _, id := range slices.Concat(p.Mechanisms.Webhooks, p.Mechanisms.PagerDuty) {
		if _, ok := r.channelOf(id); !ok {
			return fault.New(fault.Conflict, "no_destination", "the alerting policy %q, made by the API, tells the channel of the id %s, and there is none of it", p.Name, id).
				WithField("channel").WithHint("give the channel its former name back, or take it from the policy first")
		}
	}
	return nil
}

// transport is the channel that lends its server to addresses, "" for none.
func (r roster) transport() string {
	i := slices.IndexFunc(r.cfg.Channels, func(c config.Channel) bool { return c.DefaultTransport })
	if i < 0 {
		return ""
	}
	return r.cfg.Channels[i].Name
}

// A target is a channel that a policy tells.
type target struct {
	name   string
	single bool // its format carries one item a message
}

// channelOf returns the channel of a destination's id.
func (r roster) channelOf(id string) (target, bool) {
	for _, c := range r.cfg.Channels {
		if channelID(c) == id {
			return target{c.Name, single(c)}, true
		}
	}
	d, ok := r.stored.Destination(id)
	return target{d.Name, d.Type != alerting.TypeSlack}, ok
}

// has reports whether there is a channel of a name.
func (r roster) has(name string) bool { return slices.Contains(r.channels(), name) }

// channels returns the names of all channels.
func (r roster) channels() []string {
	var names []string
	for _, c := range r.cfg.Channels {
		names = append(names, c.Name)
	}
	for _, d := range r.stored.Destinations {
		names = append(names, d.Name)
	}
	return names
}

// rules returns the alert rules.
func (r roster) rules() []scanner.Rule {
	rules := Rules(r.cfg)
	for _, p := range r.stored.Policies {
		if p.Enabled {
			rules = append(rules, r.rule(p))
		}
	}
	return rules
}

// rule makes a policy a rule. What its filters leave out is the documented
// default.
func (r roster) rule(p alerting.Policy) scanner.Rule {
	rule := scanner.Rule{Name: p.Name, Kinds: p.Filters.Kinds, Before: p.Filters.Before, Match: p.Filters.Labels}
	if len(rule.Kinds) == 0 {
		rule.Kinds = []alert.Kind{alert.KindCA, alert.KindClient, alert.KindServer, alert.KindCRL}
	}
	if len(rule.Before) == 0 {
		rule.Before = []time.Duration{30 * alert.Day, 14 * alert.Day}
	}
	if len(p.Mechanisms.Email) > 0 {
		rule.Targets = append(rule.Targets, scanner.Target{Channel: r.transport(), Recipients: p.Mechanisms.Email})
	}
	for _, id := range slices.Concat(p.Mechanisms.Webhooks, p.Mechanisms.PagerDuty) {
		if t, ok := r.channelOf(id); ok {
			rule.Targets = append(rule.Targets, scanner.Target{Channel: t.name, Recipients: r.recipients(t.name), Single: t.single})
		}
	}
	return rule
}

func (r roster) recipients(channel string) []string {
	if c, ok := channelNamed(r.cfg, channel); ok {
		return recipients(c)
	}
	return []string{channel}
}

// setup returns the channels and routes. It opens no connection.
func (r roster) setup(now func() time.Time, threads slack.Threads) (notifier.Setup, error) {
	s, err := setup(r.cfg, now, threads)
	if err != nil {
		return s, err
	}
	for _, d := range r.stored.Destinations {
		channel, err := newDestination(r.cfg, d, now)
		if err != nil {
			return notifier.Setup{}, fmt.Errorf("destination %q: %w", d.Name, err)
		}
		s.Channels = append(s.Channels, notifier.Config{Name: d.Name, Channel: channel, Hash: destinationHash(r.cfg, d)})
	}
	for _, p := range r.stored.Policies {
		s.RuleIDs[p.Name] = p.ID
		if !p.Enabled {
			continue
		}
		for _, t := range r.rule(p).Targets {
			s.Routes[p.Name] = append(s.Routes[p.Name], notifier.Route{Channel: t.Channel, Recipients: t.Recipients})
		}
	}
	return s, nil
}

// newDestination returns the channel of a destination that the API made: what
// it dials is checked, since its URL is not the operator's word.
func newDestination(cfg *config.Config, d alerting.Destination, now func() time.Time) (notifier.Channel, error) {
	control := egress.Policy{AllowPrivate: cfg.Notifier.AllowPrivateTargets}.Control
	if d.Type == alerting.TypeSlack {
		return slack.New(slack.Options{WebhookURL: d.Address(), Now: now, Control: control})
	}
	return webhook.New(webhook.Options{
		URL: d.Address(), Format: webhook.FormatAccess, Secret: d.Endpoint.Secret, AccountID: cfg.Admin.AccountID, Now: now, Control: control,
	})
}

// destinationHash changes with everything that may mend a destination.
func destinationHash(cfg *config.Config, d alerting.Destination) string {
	h := sha256.New()
	for _, part := range []string{d.Type, d.Endpoint.URL, d.Endpoint.Secret, cfg.Admin.AccountID, fmt.Sprint(cfg.Notifier.AllowPrivateTargets)} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// declaredAlerting is what the API shows of what a configuration declares.
func declaredAlerting(cfg *config.Config) alerting.Declared {
	d := alerting.Declared{
		Channels: roster{cfg: cfg}.channels(), Transport: roster{cfg: cfg}.transport(),
		PublicURL: cfg.Admin.PublicURL, AllowPrivate: cfg.Notifier.AllowPrivateTargets,
	}
	for _, c := range cfg.Channels {
		switch {
		case c.Type == config.TypeEmail:
		case pages(c):
			d.PagerDuty = append(d.PagerDuty, declaredDestination(c, "pagerduty"))
		case c.Type == config.TypeSlack:
			d.Destinations = append(d.Destinations, declaredDestination(c, alerting.TypeSlack))
		default:
			d.Destinations = append(d.Destinations, declaredDestination(c, alerting.TypeGeneric))
		}
	}
	for _, a := range cfg.Alerts {
		d.Policies = append(d.Policies, declaredPolicy(cfg, a))
	}
	return d
}

// pages reports whether a channel's messages go to PagerDuty.
func pages(c config.Channel) bool { return c.Type == config.TypeWebhook && c.Format == "pagerduty" }

func declaredDestination(c config.Channel, kind string) alerting.Destination {
	return alerting.Destination{
		ID: channelID(c), Name: c.Name, Type: kind, Endpoint: alerting.Endpoint{URL: c.Origin()}, Declared: true,
	}
}

func channelID(c config.Channel) string { return objectID("channel", c.Name) }

func declaredPolicy(cfg *config.Config, a config.Alert) alerting.Policy {
	p := alerting.Policy{
		ID: objectID("alert", a.Name), Name: a.Name, Description: "declared in the configuration file", Enabled: true, Declared: true,
		Filters: alerting.Filters{Labels: maps.Clone(a.Match)},
	}
	for _, k := range a.Kinds {
		p.Filters.Kinds = append(p.Filters.Kinds, alert.Kind(k))
	}
	p.Filters.Before = a.Thresholds()
	for _, name := range a.ChannelNames() {
		switch c, ok := channelNamed(cfg, name); {
		case !ok:
		case c.Type == config.TypeEmail:
			p.Mechanisms.Email = append(p.Mechanisms.Email, c.To...)
		case pages(c):
			p.Mechanisms.PagerDuty = append(p.Mechanisms.PagerDuty, channelID(c))
		default:
			p.Mechanisms.Webhooks = append(p.Mechanisms.Webhooks, channelID(c))
		}
	}
	return p
}
