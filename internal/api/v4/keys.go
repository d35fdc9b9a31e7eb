package v4

import (
	"context"
	"net/http"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Keys looks after the keys that sign tokens for origins. It may be called
// concurrently. Its errors are faults; any other error is internal.
type Keys interface {
	KeyRotation(ctx context.Context) (KeyRotation, error)
	// SetKeyRotation has keys replaced after a span, from now on. It returns
	// fault.Conflict where the configuration file decides.
	SetKeyRotation(ctx context.Context, every time.Duration, actor inventory.Actor) (KeyRotation, error)
	// RotateKeys makes a new key now. It returns fault.Conflict while the last
	// one does not sign yet.
	RotateKeys(ctx context.Context, actor inventory.Actor) (KeyRotation, error)
}

// A KeyRotation tells how often the keys are replaced.
type KeyRotation struct {
	Every time.Duration
	Last  time.Time // when the newest key was made; zero = there is none yet
}

const (
	oneDay          = 24 * time.Hour
	minRotationDays = 21
	maxRotationDays = 365
)

// A keys object is what the reference product says of them: whole days, since
// the older client reads nothing else.
type keys struct {
	DaysUntilNext int        `json:"days_until_next_rotation"`
	IntervalDays  int        `json:"key_rotation_interval_days"`
	LastRotation  *time.Time `json:"last_key_rotation_at"`
}

func (h *Handler) routeKeys() {
	const path = "accounts/{scope}/access/keys"
	h.route(path, operation{http.MethodGet, inventory.ScopeRead, h.getKeys}, operation{http.MethodPut, inventory.ScopeWrite, h.putKeys})
	h.route(path+"/rotate", operation{http.MethodPost, inventory.ScopeWrite, h.rotateKeys})
}

func (h *Handler) getKeys(w http.ResponseWriter, c call) error {
	k, err := h.o.Keys.KeyRotation(c.Context())
	return h.answerKeys(w, k, err)
}

func (h *Handler) putKeys(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	const name = "key_rotation_interval_days"
	days, given, err := body.whole(name)
	switch {
	case err != nil:
		return err
	case !given:
		return missing(body.place(name))
	case days < minRotationDays || days > maxRotationDays:
		return at(body.place(name), fault.New(fault.Invalid, "range", "%d days are not from %d to %d", days, minRotationDays, maxRotationDays).
			WithHint("send a whole number of days in that range"))
	}
	k, err := h.o.Keys.SetKeyRotation(c.Context(), time.Duration(days)*oneDay, c.actor)
	if err != nil {
		return at(body.place(name), err)
	}
	h.o.Logger.Info("key rotation changed by the API", "days", days, "token", c.token.ID, "request_id", c.actor.RequestID)
	return h.answerKeys(w, k, nil)
}

func (h *Handler) rotateKeys(w http.ResponseWriter, c call) error {
	k, err := h.o.Keys.RotateKeys(c.Context(), c.actor)
	if err == nil {
		h.o.Logger.Info("keys rotated by the API", "token", c.token.ID, "request_id", c.actor.RequestID)
	}
	return h.answerKeys(w, k, err)
}

func (h *Handler) answerKeys(w http.ResponseWriter, k KeyRotation, err error) error {
	if err != nil {
		return err
	}
	out := keys{IntervalDays: int(k.Every / oneDay)}
	if !k.Last.IsZero() {
		last := k.Last.UTC()
		left := last.Add(k.Every).Sub(h.o.Now())
		out.LastRotation, out.DaysUntilNext = &last, int(max(0, left+oneDay-1)/oneDay)
	}
	succeed(w, http.StatusOK, out, nil, nil)
	return nil
}
