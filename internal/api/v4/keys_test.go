package v4_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// ring is keys that were replaced ten days before the start.
type ring struct {
	every    time.Duration
	rotated  int
	declared bool
}

func (r *ring) KeyRotation(context.Context) (v4.KeyRotation, error) {
	return v4.KeyRotation{Every: r.every, Last: start.Add(-10 * day)}, nil
}

func (r *ring) SetKeyRotation(ctx context.Context, every time.Duration, _ inventory.Actor) (v4.KeyRotation, error) {
	if r.declared {
		return v4.KeyRotation{}, fault.New(fault.Conflict, "declared", "the file decides").WithHint("change it there")
	}
	r.every = every
	return r.KeyRotation(ctx)
}

func (r *ring) RotateKeys(context.Context, inventory.Actor) (v4.KeyRotation, error) {
	r.rotated++
	if r.declared {
		return v4.KeyRotation{}, errors.New("s3cret")
	}
	return v4.KeyRotation{Every: r.every}, nil
}

const keysPath = "/client/v4/accounts/0123456789abcdef/access/keys"

func TestKeys(t *testing.T) {
	t.Parallel()
	r := &ring{every: 42 * day}
	b := newBench(t, func(o *v4.Options) { o.Keys = r })
	is := func(got reply, want string) {
		t.Helper()
		if got.status != http.StatusOK || compact(got.result) != want {
			t.Errorf("%d %s, want %s", got.status, got.body, want)
		}
	}
	is(b.do(http.MethodGet, keysPath, ""), `{"days_until_next_rotation":32,"key_rotation_interval_days":42,"last_key_rotation_at":"2026-02-19T12:00:00Z"}`)
	b.now = start.Add(time.Second)
	is(b.do(http.MethodPut, keysPath, `{"key_rotation_interval_days":365}`), `{"days_until_next_rotation":355,"key_rotation_interval_days":365,"last_key_rotation_at":"2026-02-19T12:00:00Z"}`)
	is(b.do(http.MethodPut, keysPath, `{"key_rotation_interval_days":21}`), `{"days_until_next_rotation":11,"key_rotation_interval_days":21,"last_key_rotation_at":"2026-02-19T12:00:00Z"}`)
	b.now = start.Add(100 * day)
	is(b.do(http.MethodGet, keysPath, ""), `{"days_until_next_rotation":0,"key_rotation_interval_days":21,"last_key_rotation_at":"2026-02-19T12:00:00Z"}`)
	is(b.do(http.MethodPost, keysPath+"/rotate", "", "Content-Type:"), `{"days_until_next_rotation":0,"key_rotation_interval_days":21,"last_key_rotation_at":null}`)
	if r.rotated != 1 {
		t.Errorf("rotated %d times", r.rotated)
	}
}

func TestKeys_Refused(t *testing.T) {
	t.Parallel()
	r := &ring{every: 42 * day}
	b := newBench(t, func(o *v4.Options) { o.Keys = r })
	const at = "/key_rotation_interval_days"
	for body, message := range map[string]string{
		`{}`:                                     "missing",
		`{"key_rotation_interval_days":null}`:    "missing",
		`{"key_rotation_interval_days":"30"}`:    "not a whole number",
		`{"key_rotation_interval_days":30.5}`:    "not a whole number",
		`{"key_rotation_interval_days":1e999}`:   "not a whole number",
		`{"key_rotation_interval_days":1e300}`:   "not a whole number",
		`{"key_rotation_interval_days":[]}`:      "not a whole number",
		`{"key_rotation_interval_days":20}`:      "20 days are not from 21 to 365",
		`{"key_rotation_interval_days":366}`:     "366 days are not from 21 to 365",
		`{"key_rotation_interval_days":-30}`:     "-30 days are not from 21 to 365",
		`{"key_rotation_interval_days":0.0e400}`: "0 days are not from 21 to 365",
	} {
		b.do(http.MethodPut, keysPath, body).refused(t, http.StatusBadRequest, 12130, at, message)
	}
	read := "Authorization: Bearer " + b.token(inventory.ScopeRead)
	if got := b.do(http.MethodGet, keysPath, "", "Authorization:", read); got.status != http.StatusOK {
		t.Errorf("a read token is answered %d", got.status)
	}
	for method, path := range map[string]string{http.MethodPut: keysPath, http.MethodPost: keysPath + "/rotate"} {
		b.do(method, path, `{"key_rotation_interval_days":30}`, "Authorization:", read).refused(t, http.StatusForbidden, 9109, "-", "scope")
	}
	b.do(http.MethodGet, keysPath+"/rotate", "").refused(t, http.StatusMethodNotAllowed, 10405, "-", "use POST")
	b.do(http.MethodGet, "/client/v4/zones/x/access/keys", "").refused(t, http.StatusNotFound, 7003, "-", "Could not route")
	if r.every != 42*day || r.rotated != 0 {
		t.Errorf("what was refused left %+v", r)
	}
	r.declared = true
	b.do(http.MethodPut, keysPath, `{"key_rotation_interval_days":30}`).refused(t, http.StatusConflict, 12132, at, "the file decides")
	if got := b.do(http.MethodPost, keysPath+"/rotate", ""); got.status != http.StatusInternalServerError {
		t.Errorf("%d %s", got.status, got.body)
	}
}
