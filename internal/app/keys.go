package app

import (
	"context"
	"time"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// keyRotation is the App as the API sees its signing keys. It implements
// v4.Keys.
type keyRotation struct{ app *App }

// KeyRotation implements v4.Keys.
func (k keyRotation) KeyRotation(ctx context.Context) (v4.KeyRotation, error) {
	k.app.mu.Lock()
	defer k.app.mu.Unlock()
	return k.app.keyRotation(ctx)
}

// SetKeyRotation implements v4.Keys. It counts at once: a key that is older
// than the new span is replaced now.
func (k keyRotation) SetKeyRotation(ctx context.Context, every time.Duration, actor inventory.Actor) (v4.KeyRotation, error) {
	a := k.app
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Enforcer.KeyRotationGiven {
		return v4.KeyRotation{}, fault.New(fault.Conflict, "declared", "the configuration file says enforcer.key_rotation = %q, and decides", a.cfg.Enforcer.KeyRotation).
			WithField("key_rotation_interval_days").WithHint("change it there, or remove that line to let the API decide")
	}
	if err := a.store.SetKeyRotation(ctx, every, actor); err != nil {
		return v4.KeyRotation{}, err
	}
	if err := a.keepKeys(ctx); err != nil {
		a.log.Error("rotating the signing keys; the present ones stay in use", "error", err) // the watcher tries again
	}
	return a.keyRotation(ctx)
}

// RotateKeys implements v4.Keys. The new key is published now and signs in an
// hour, when every origin has it; the old one stays published for as long as
// anything that it signed is good. Until the new one signs, another would only
// be one more to publish.
func (k keyRotation) RotateKeys(ctx context.Context, actor inventory.Actor) (v4.KeyRotation, error) {
	a := k.app
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	keys, err := a.store.SigningKeys(ctx)
	if err != nil {
		return v4.KeyRotation{}, err
	}
	if made := lastMade(keys, now); !made.IsZero() && len(keys) > 1 && now.Before(made.Add(signAfter)) {
		return v4.KeyRotation{}, fault.New(fault.Conflict, "rotating", "the key that was made at %s does not sign yet", made.UTC().Format(time.RFC3339)).
			WithHint("it signs from %s on; rotate again after that", made.Add(signAfter).UTC().Format(time.RFC3339))
	}
	if err := addSigningKey(ctx, a.store, actor); err != nil {
		return v4.KeyRotation{}, err
	}
	if err := a.keepKeys(ctx); err != nil {
		return v4.KeyRotation{}, err
	}
	return a.keyRotation(ctx)
}

// keyRotation tells how the signing keys stand. Whoever calls it holds mu.
func (a *App) keyRotation(ctx context.Context) (v4.KeyRotation, error) {
	every, err := rotationOf(ctx, a.cfg, a.store)
	if err != nil {
		return v4.KeyRotation{}, err
	}
	keys, err := a.store.SigningKeys(ctx)
	return v4.KeyRotation{Every: every, Last: lastMade(keys, a.o.Now())}, err
}

// lastMade returns when the newest key was made, by no clock that ran ahead;
// zero if there is none.
func lastMade(keys []store.SigningKey, now time.Time) (last time.Time) {
	for _, k := range keys {
		if k.CreatedAt.After(last) && !k.CreatedAt.After(now) {
			last = k.CreatedAt
		}
	}
	return last
}
