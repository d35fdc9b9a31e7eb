package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/templates"
)

// tryTimeout is how long a new destination may take for its test message: the
// client of the API waits.
const tryTimeout = 5 * time.Second

// roster returns who is told of what at present.
func (a *App) roster() roster {
	a.mu.Lock()
	defer a.mu.Unlock()
	return roster{a.cfg, a.stored}
}

// watchAlerting takes in what any process commits of policies and destinations.
// It is apart from watch: to schedule a large store by other rules takes its
// time, and trust must not wait for it.
func (a *App) watchAlerting(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var (
		seen   int64
		warned bool
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		version, err := a.store.DataVersion(ctx)
		if err == nil && version == seen {
			continue
		}
		if err == nil {
			err = a.takeInAlerting(ctx)
		}
		switch {
		case err == nil:
			seen, warned = version, false
		case ctx.Err() == nil && !warned:
			warned = true
			a.log.Error("taking in a change of alerting policies or destinations; trying again", "error", err, "hint", fault.Hint(err))
		}
	}
}

// takeInAlerting puts what is stored of alerting in force, if that has changed.
// What cannot be joined with the configuration changes nothing.
func (a *App) takeInAlerting(ctx context.Context) error {
	generation, err := a.store.AlertingGeneration(ctx)
	if err != nil || generation == a.roster().stored.Generation {
		return err
	}
	a.reloading.Lock()
	defer a.reloading.Unlock()
	next, err := openRosterOf(ctx, a.cfg, a.store)
	if err != nil {
		return err
	}
	s, err := next.setup(a.o.Now, a.store)
	if err != nil {
		return err
	}
	if err := a.notifier.Reconfigure(s); err != nil {
		return err
	}
	if err := a.scanner.Reconfigure(ctx, next.rules(), a.cfg.Scanner.Schedule, a.cfg.Scanner.Location()); err != nil {
		return err
	}
	before := a.roster()
	a.mu.Lock()
	a.stored = next.stored
	a.mu.Unlock()
	a.changeChannels(ctx, before, next)
	a.log.Info("applied alerting policies and destinations", "generation", next.stored.Generation, "policies", len(next.stored.Policies), "destinations", len(next.stored.Destinations))
	return nil
}

// alertingService carries out what the API asks for.
func (a *App) alertingService() *alerting.Service {
	return alerting.New(alerting.Options{
		Store: a.store, Now: a.o.Now, Try: a.tryDestination, Body: a.sentBody,
		Declared: func() alerting.Declared { return declaredAlerting(a.roster().cfg) },
	})
}

// tryDestination sends a text to a destination that is not stored yet.
func (a *App) tryDestination(ctx context.Context, d alerting.Destination, text string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	o := webhook.Options{URL: d.Address(), Now: a.o.Now, Control: egress.Policy{AllowPrivate: a.roster().cfg.Notifier.AllowPrivateTargets}.Control}
	if d.Type != alerting.TypeSlack { // Slack's secret is in its URL
		o.Secret = d.Endpoint.Secret
	}
	c, err := webhook.New(o)
	if err != nil {
		return err
	}
	return c.SendText(ctx, uuid.NewString(), text)
}

// sentBody renders a message again, as it was true when it was sent.
func (a *App) sentBody(m alerting.Sent) string {
	d := m.Delivery
	words := templates.Message{ID: d.ID, Channel: d.Channel, Rule: d.Rule, Entries: m.Entries, Now: d.CreatedAt, AdminURL: a.roster().cfg.Admin.PublicURL}
	if d.SettledAt != nil {
		words.Now = *d.SettledAt
	}
	text, err := templates.RenderText(words)
	if err != nil {
		a.log.Error("rendering what was sent", "delivery", d.ID, "error", err)
		return words.Headline()
	}
	if more := m.Total - len(m.Entries); more > 0 {
		text += fmt.Sprintf("\n… and %d more", more)
	}
	return text
}
