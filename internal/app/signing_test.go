package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/store"
)

const (
	sixWeeks = 42 * alert.Day
	week     = 7 * alert.Day
)

var dayZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func keyOf(kid string, after time.Duration) store.SigningKey {
	return store.SigningKey{KID: kid, CreatedAt: dayZero.Add(after)}
}

// Boundaries are exact: what one replica publishes, another one signs with.
func TestPlanSigning(t *testing.T) {
	t.Parallel()
	a, b, c := keyOf("a", 0), keyOf("b", sixWeeks), keyOf("c", 2*sixWeeks)
	signs := sixWeeks + time.Hour // b begins to
	for _, tc := range []struct {
		name      string
		keys      []store.SigningKey
		now       time.Duration
		published string // the first one signs
		ended     string
		due       bool
	}{
		{"none", nil, 0, "", "", true},
		{"the first signs at once", []store.SigningKey{a}, 0, "a", "", false},
		{"a moment before the rotation", []store.SigningKey{a}, sixWeeks - 1, "a", "", false},
		{"at the rotation", []store.SigningKey{a}, sixWeeks, "a", "", true},
		{"long after it", []store.SigningKey{a}, 10 * sixWeeks, "a", "", true},
		{"the new one is published and does not sign", []store.SigningKey{b, a}, sixWeeks, "a b", "", false},
		{"a moment before it signs", []store.SigningKey{a, b}, signs - 1, "a b", "", false},
		{"it signs", []store.SigningKey{a, b}, signs, "b a", "", false},
		{"the old one at the end of the overlap", []store.SigningKey{a, b}, signs + week - 1, "b a", "", false},
		{"the old one after it", []store.SigningKey{a, b}, signs + week, "b", "a", false},
		{"nobody looked for long", []store.SigningKey{a, b, c}, 3*sixWeeks - 1, "c", "a b", false},
		{"two that were made at once", []store.SigningKey{keyOf("x", 0), keyOf("y", 0)}, 0, "y x", "", false},
		{"and an hour later", []store.SigningKey{keyOf("x", 0), keyOf("y", 0)}, time.Hour, "x y", "", false},
		{"two replicas rotated at once", []store.SigningKey{a, b, keyOf("b2", sixWeeks+time.Second)}, signs + time.Second, "b2 b a", "", false},
		{"a key of a clock that ran ahead", []store.SigningKey{a, keyOf("z", 1000*alert.Day)}, week, "a z", "", false},
		{"the rotation goes on without it", []store.SigningKey{a, keyOf("z", 1000*alert.Day)}, sixWeeks, "a z", "", true},
		{"all of a clock that ran ahead", []store.SigningKey{a, b}, -alert.Day, "a b", "", false},
	} {
		plan := planSigning(tc.keys, dayZero.Add(tc.now), sixWeeks, week)
		var published []string
		for _, k := range plan.published {
			published = append(published, k.KID)
		}
		slices.Sort(plan.ended)
		if got := strings.Join(published, " "); got != tc.published || strings.Join(plan.ended, " ") != tc.ended || plan.due != tc.due {
			t.Errorf("%s: published %q, ended %q, due %v; want %q, %q, %v", tc.name, got, plan.ended, plan.due, tc.published, tc.ended, tc.due)
		}
	}
}

// An origin that fetches the key set once an hour, at its own times, can verify
// every token for as long as that lasts, however often keys change.
func TestPlanSigning_TokensVerifyUntilTheyEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ rotation, session time.Duration }{
		"by default":          {sixWeeks, alert.Day},
		"as often as allowed": {alert.Day, alert.Day},
		"with long sessions":  {alert.Day, 30 * alert.Day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			span := overlap([]enforcer.Application{{SessionDuration: time.Hour, Policies: []enforcer.Policy{{SessionDuration: tt.session}, {}}}})
			const step = 20 * time.Minute
			var keys []store.SigningKey
			var sets []map[string]bool     // what was published at each step
			lastSigned := map[string]int{} // the step of a key's last token
			for i := range int((3*tt.rotation + 60*alert.Day) / step) {
				now := dayZero.Add(time.Duration(i) * step)
				plan := planSigning(keys, now, tt.rotation, span)
				if plan.due {
					keys = append(keys, store.SigningKey{KID: now.String(), CreatedAt: now})
				}
				keys = slices.DeleteFunc(keys, func(k store.SigningKey) bool { return slices.Contains(plan.ended, k.KID) })
				plan = planSigning(keys, now, tt.rotation, span)
				set := map[string]bool{}
				for _, k := range plan.published {
					set[k.KID] = true
				}
				sets = append(sets, set)
				signer := plan.published[0].KID
				lastSigned[signer] = i
				hour := int(time.Hour / step)
				if i >= hour && !sets[i-hour][signer] {
					t.Fatalf("at %s a key signs that a set of an hour ago lacks", now)
				}
				for kid, last := range lastSigned {
					if age := time.Duration(i-last) * step; age <= tt.session && !set[kid] {
						t.Fatalf("at %s a token of %s ago cannot be verified", now, age)
					}
				}
				if most := int(span/tt.rotation) + 3; len(set) > most {
					t.Fatalf("at %s %d keys are published", now, len(set))
				}
			}
		})
	}
}

func TestPlanSigning_OrderOfKeysDoesNotCount(t *testing.T) {
	t.Parallel()
	keys := []store.SigningKey{keyOf("a", 0), keyOf("b", sixWeeks), keyOf("c", 2*sixWeeks)}
	want := planSigning(keys, dayZero.Add(2*sixWeeks+time.Hour), sixWeeks, week)
	slices.Reverse(keys)
	got := planSigning(keys, dayZero.Add(2*sixWeeks+time.Hour), sixWeeks, week)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(signingPlan{})); diff != "" {
		t.Error(diff)
	}
}
