package fault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/certvigil/certvigil/internal/fault"
)

// mapping is what the documentation promises: the HTTP status, the exit code
// and the title of each kind.
var mapping = []struct {
	kind   fault.Kind
	status int
	exit   int
	title  string
}{
	{fault.Internal, http.StatusInternalServerError, 1, "internal error"},
	{fault.Invalid, http.StatusBadRequest, 1, "invalid request"},
	{fault.Usage, http.StatusBadRequest, 2, "wrong use"},
	{fault.Unauthorized, http.StatusUnauthorized, 1, "unauthorized"},
	{fault.Forbidden, http.StatusForbidden, 1, "forbidden"},
	{fault.NotFound, http.StatusNotFound, 1, "not found"},
	{fault.Conflict, http.StatusConflict, 1, "conflict"},
	{fault.TooLarge, http.StatusRequestEntityTooLarge, 1, "too large"},
	{fault.Unprocessable, http.StatusUnprocessableEntity, 1, "unprocessable"},
	{fault.Expiring, http.StatusOK, 3, "expiring"},
	{fault.Denied, http.StatusOK, 1, "denied"},
	{fault.Unavailable, http.StatusServiceUnavailable, 1, "unavailable"},
}

func TestMapping(t *testing.T) {
	t.Parallel()
	for _, tt := range mapping {
		t.Run(tt.title, func(t *testing.T) {
			err := fmt.Errorf("adding a bundle: %w", fault.New(tt.kind, "rule", "text"))
			if got := fault.Status(err); got != tt.status {
				t.Errorf("Status = %d, want %d", got, tt.status)
			}
			if got := fault.ExitCode(err); got != tt.exit {
				t.Errorf("ExitCode = %d, want %d", got, tt.exit)
			}
			if got := tt.kind.Title(); got != tt.title {
				t.Errorf("Title = %q, want %q", got, tt.title)
			}
			if got := fault.KindOf(err); got != tt.kind {
				t.Errorf("KindOf = %v, want %v", got, tt.kind)
			}
		})
	}
	t.Run("complete", func(t *testing.T) {
		if next := fault.Kind(len(mapping)); next.Title() != "" {
			t.Errorf("the kind %q has no row in this test", next.Title())
		}
	})
}

func TestUnclassifiedIsInternal(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain": errors.New("disk on fire"), "context": context.Canceled, "zero fault": &fault.Error{Text: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if fault.KindOf(err) != fault.Internal || !fault.Is(&fault.Error{}, fault.Internal) {
				t.Errorf("KindOf = %v, want Internal", fault.KindOf(err))
			}
			if fault.Status(err) != http.StatusInternalServerError || fault.ExitCode(err) != 1 {
				t.Errorf("status %d, exit code %d", fault.Status(err), fault.ExitCode(err))
			}
		})
	}
	if fault.Is(errors.New("plain"), fault.Internal) {
		t.Error("Is holds for an error that is no fault")
	}
}

func TestExitCode_Nil(t *testing.T) {
	t.Parallel()
	if got := fault.ExitCode(nil); got != 0 {
		t.Errorf("ExitCode(nil) = %d", got)
	}
}

func TestError_Parts(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such row")
	base := fault.New(fault.NotFound, "unknown_item", "looking up %q: %w", "ab12", cause).
		WithField("item").WithHint("certvigil cert list shows %d items", 3)
	for name, err := range map[string]error{
		"bare": base, "wrapped": fmt.Errorf("renewing: %w", base), "joined": errors.Join(errors.New("other"), base),
	} {
		t.Run(name, func(t *testing.T) {
			if fault.Rule(err) != "unknown_item" || fault.Field(err) != "item" || fault.Hint(err) != "certvigil cert list shows 3 items" {
				t.Errorf("rule %q, field %q, hint %q", fault.Rule(err), fault.Field(err), fault.Hint(err))
			}
			if !errors.Is(err, cause) || !fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
				t.Error("the cause or the kind is lost")
			}
		})
	}
	if got, want := base.Error(), `looking up "ab12": no such row`; got != want {
		t.Errorf("Error = %q, want %q: the text without the hint", got, want)
	}
}

func TestParts_OfOtherErrors(t *testing.T) {
	t.Parallel()
	err := errors.New("plain")
	if fault.Rule(err) != "" || fault.Field(err) != "" || fault.Hint(err) != "" {
		t.Error("an error that is no fault has a rule, a field or a hint")
	}
}

func TestOutermostFaultWins(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.NotFound, "inner", "no such token")
	outer := fault.New(fault.Unauthorized, "outer", "checking the token: %w", inner)
	if fault.KindOf(outer) != fault.Unauthorized || fault.Rule(outer) != "outer" {
		t.Errorf("kind %v, rule %q", fault.KindOf(outer), fault.Rule(outer))
	}
}
