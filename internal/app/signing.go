package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

const (
	keyBits = 2048 // of the RSA keys that sign JWTs

	// signAfter is how long a new key is published before it signs: origins may
	// keep the key set for an hour.
	signAfter = time.Hour
	// minOverlap is how long a key stays published after it signed last.
	minOverlap = 7 * alert.Day

	rotateEvery = time.Hour // that keys are looked at though nothing was committed
)

// rotation is who replaces keys when it is time.
var rotation = inventory.Actor{Kind: inventory.ActorSystem, ID: "rotation"}

// A signingPlan says what the signing keys are for at one instant.
type signingPlan struct {
	published []store.SigningKey // the first one signs
	ended     []string           // kids of those that nobody needs any longer
	due       bool               // it is time for a new one
}

// planSigning derives all from when the keys were made, so that every replica
// and every start agree without a word. The newest key that has been published
// for an hour signs; one before it stays published until overlap after its
// successor began to sign. The first key has nobody before it and signs at
// once. A key from the future, by a clock that was set back, is published and
// no more.
func planSigning(keys []store.SigningKey, now time.Time, rotation, overlap time.Duration) signingPlan {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b store.SigningKey) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.KID, b.KID))
	})
	signer := slices.IndexFunc(keys, func(k store.SigningKey) bool { return !now.Before(k.CreatedAt.Add(signAfter)) })
	if signer < 0 {
		signer = len(keys) - 1 // the oldest
	}
	made := slices.IndexFunc(keys, func(k store.SigningKey) bool { return !k.CreatedAt.After(now) })
	plan := signingPlan{due: len(keys) == 0 || made >= 0 && !now.Before(keys[made].CreatedAt.Add(rotation))}
	for i, k := range keys {
		switch {
		case i == signer:
			plan.published = slices.Insert(plan.published, 0, k)
		case i > signer && !now.Before(keys[i-1].CreatedAt.Add(signAfter+overlap)):
			plan.ended = append(plan.ended, k.KID)
		default:
			plan.published = append(plan.published, k)
		}
	}
	return plan
}

// overlap is how long a key stays published after its last token: no token
// outlives it. Replicas look at the keys every hour, so one may sign that much
// longer.
func overlap(apps []enforcer.Application) time.Duration {
	longest := minOverlap
	for _, a := range apps {
		longest = max(longest, a.SessionDuration+rotateEvery)
		for _, p := range a.Policies {
			longest = max(longest, p.SessionDuration+rotateEvery)
		}
	}
	return longest
}

func signingPlanOf(ctx context.Context, cfg *config.Config, s *store.Store, overlap time.Duration, now time.Time) (signingPlan, error) {
	stored, err := s.SigningKeys(ctx)
	if err != nil {
		return signingPlan{}, err
	}
	every, err := rotationOf(ctx, cfg, s)
	return planSigning(stored, now, every, overlap), err
}

// rotationOf returns after how long a key is replaced: what the configuration
// file says, else what the API does, else the default.
func rotationOf(ctx context.Context, cfg *config.Config, s *store.Store) (time.Duration, error) {
	every := cfg.Enforcer.KeyRotation.Duration
	if cfg.Enforcer.KeyRotationGiven {
		return every, nil
	}
	stored, err := s.KeyRotation(ctx)
	return cmp.Or(stored, every), err
}

// signingKeys returns the keys of the JWTs, and makes the first one.
func signingKeys(ctx context.Context, cfg *config.Config, s *store.Store, overlap time.Duration, now time.Time) ([]enforcer.SigningKey, error) {
	plan, err := signingPlanOf(ctx, cfg, s, overlap, now)
	if err != nil {
		return nil, err
	}
	if len(plan.published) == 0 {
		if err := addSigningKey(ctx, s, rotation); err != nil {
			return nil, fmt.Errorf("making a signing key: %w", err)
		}
		if plan, err = signingPlanOf(ctx, cfg, s, overlap, now); err != nil {
			return nil, err
		}
	}
	keys := make([]enforcer.SigningKey, 0, len(plan.published))
	for _, k := range plan.published {
		parsed, err := x509.ParsePKCS8PrivateKey(k.DER)
		if err != nil {
			return nil, fmt.Errorf("reading the signing key %s: %w", k.KID, err)
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("the signing key %s is no RSA key", k.KID)
		}
		keys = append(keys, enforcer.SigningKey{KID: k.KID, Key: key})
	}
	return keys, nil
}

// kids names the keys in their order.
func kids(keys []enforcer.SigningKey) []string {
	out := make([]string, 0, len(keys))
	for _, k := range keys {
		out = append(out, k.KID)
	}
	return out
}

// rotateKeys makes a new key when it is time, removes those that nobody needs,
// and applies what changed, by whomever.
func (a *App) rotateKeys(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keepKeys(ctx)
}

// keepKeys is rotateKeys for who holds mu.
func (a *App) keepKeys(ctx context.Context) error {
	if !guards(a.cfg) {
		return nil
	}
	plan, err := signingPlanOf(ctx, a.cfg, a.store, a.overlap, a.o.Now())
	if err != nil {
		return err
	}
	if plan.due {
		if err := addSigningKey(ctx, a.store, rotation); err != nil {
			return fmt.Errorf("making a signing key: %w", err)
		}
		a.log.Info("made a new signing key: it signs in an hour")
	}
	for _, kid := range plan.ended {
		if err := a.store.RemoveSigningKey(ctx, kid, rotation); err != nil && !fault.Is(err, fault.NotFound) { // another replica was faster
			return err
		}
		a.log.Info("removed a signing key: the last token that it signed has ended", "kid", kid)
	}
	if plan.due || len(plan.ended) > 0 {
		if plan, err = signingPlanOf(ctx, a.cfg, a.store, a.overlap, a.o.Now()); err != nil {
			return err
		}
	}
	if !slices.EqualFunc(plan.published, a.signing, func(k store.SigningKey, kid string) bool { return k.KID == kid }) {
		return a.applyTrust(ctx, a.cfg)
	}
	return nil
}

// rotate looks at the signing keys from time to time. The watcher looks as
// well, whenever something was committed.
func (a *App) rotate(ctx context.Context) error {
	tick := time.NewTicker(rotateEvery)
	defer tick.Stop()
	for {
		if err := a.rotateKeys(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("rotating the signing keys; the present ones stay in use", "error", err, "hint", fault.Hint(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func addSigningKey(ctx context.Context, s *store.Store, actor inventory.Actor) error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	kid := sha256.Sum256(public)
	return s.AddSigningKey(ctx, hex.EncodeToString(kid[:]), der, actor)
}
