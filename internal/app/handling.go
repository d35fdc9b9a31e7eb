package app

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/scanner"
)

// A Handler acknowledges and snoozes items by alert rules. Its methods may be
// called concurrently.
type Handler struct {
	store *store.Store
	rules func() []scanner.Rule
	now   func() time.Time
}

// NewHandler returns a handler that goes by the rules of a configuration and of
// the store, for a command.
func NewHandler(ctx context.Context, cfg *config.Config, s *store.Store, now func() time.Time) (Handler, error) {
	r, err := rosterOf(ctx, cfg, s)
	return Handler{store: s, rules: r.rules, now: now}, err
}

func (a *App) handler() Handler {
	return Handler{store: a.store, now: a.o.Now, rules: func() []scanner.Rule { return a.roster().rules() }}
}

// Watched returns an item of which something is told. Others can neither be
// acknowledged nor snoozed.
func (h Handler) Watched(ctx context.Context, ref string) (alert.Item, error) {
	item, err := h.store.Item(ctx, ref)
	if err != nil {
		return alert.Item{}, err
	}
	if why := scanner.Unwatched(item); why != "" {
		return alert.Item{}, fault.New(fault.Conflict, "not_watched", "nothing is told of %s: %s", item.Subject, why).
			WithHint("there is nothing to acknowledge or to snooze")
	}
	return item, nil
}

// Acknowledge records that somebody takes care of an item. by is the name to
// show, "" for the actor's own.
func (h Handler) Acknowledge(ctx context.Context, ref, by string, actor inventory.Actor) (inventory.Handled, error) {
	return h.handle(ctx, ref, actor, func(alert.Candidate) (*alert.Handling, error) {
		return &alert.Handling{By: person(by, actor), At: h.at()}, nil
	})
}

// Snooze has an item wait for so long, or for less: see [scanner.SnoozeEnd].
func (h Handler) Snooze(ctx context.Context, ref, by string, span time.Duration, actor inventory.Actor) (inventory.Handled, error) {
	return h.handle(ctx, ref, actor, func(c alert.Candidate) (*alert.Handling, error) {
		if span < time.Minute {
			return nil, fault.New(fault.Invalid, "snooze", "a snooze of %s is none", span).WithField("for").WithHint("write a span of at least a minute, such as 24h")
		}
		at := h.at()
		until := scanner.SnoozeEnd(h.rules(), c, at, at.Add(span))
		return &alert.Handling{By: person(by, actor), At: at, Until: &until}, nil
	})
}

// Resume takes back what was said about an item.
func (h Handler) Resume(ctx context.Context, ref string, actor inventory.Actor) (inventory.Handled, error) {
	return h.handle(ctx, ref, actor, func(alert.Candidate) (*alert.Handling, error) { return nil, nil })
}

// at is now as the store keeps it.
func (h Handler) at() time.Time { return h.now().UTC().Truncate(time.Millisecond) }

func (h Handler) handle(ctx context.Context, ref string, actor inventory.Actor, say func(alert.Candidate) (*alert.Handling, error)) (inventory.Handled, error) {
	item, err := h.store.Item(ctx, ref)
	if err != nil {
		return inventory.Handled{}, err
	}
	c, err := h.store.Candidate(ctx, item.ID)
	if err != nil {
		return inventory.Handled{}, err
	}
	handling, err := say(c)
	if err != nil {
		return inventory.Handled{}, err
	}
	if err := h.store.Handle(ctx, item.ID, handling, actor); err != nil {
		return inventory.Handled{}, err
	}
	c.Item.Handling = handling
	done := inventory.Handled{Item: c.Item}
	if next := scanner.Decide(h.rules(), c, h.now()).Next; !next.IsZero() {
		done.Next = &next
	}
	return done, nil
}

// person is the name by which others know who acted: what was given, on one
// line and not too long, or the actor.
func person(by string, actor inventory.Actor) string {
	const most = 80
	name := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, by)))
	if len(name) > most {
		name = name[:most]
	}
	own := actor.ID
	if actor.Kind == inventory.ActorLink {
		own = "whoever has the link"
	}
	return cmp.Or(string(name), own, actor.Kind)
}

// An Explained is what would be told of an item, to whom and when.
type Explained struct {
	Item      alert.Item            `json:"item"`
	Unwatched string                `json:"unwatched,omitempty"` // why nothing is told whatever the rules say
	Rules     []scanner.Explanation `json:"rules"`
	Failing   map[string]string     `json:"failing_channels,omitempty"` // by name, with what they say
}

// ExplainAlerts says what each rule does about an item, and why not.
func ExplainAlerts(ctx context.Context, cfg *config.Config, s *store.Store, ref string, now time.Time) (Explained, error) {
	item, err := s.Item(ctx, ref)
	if err != nil {
		return Explained{}, err
	}
	c, err := s.Candidate(ctx, item.ID)
	if err != nil {
		return Explained{}, err
	}
	r, err := rosterOf(ctx, cfg, s)
	if err != nil {
		return Explained{}, err
	}
	out := Explained{Item: item, Unwatched: scanner.Unwatched(item), Rules: scanner.Explain(r.rules(), c, now), Failing: map[string]string{}}
	for _, channel := range r.channels() {
		status, err := s.Channel(ctx, channel)
		if err != nil {
			return Explained{}, err
		}
		if status.Failing {
			out.Failing[channel] = status.Reason
		}
	}
	return out, nil
}
