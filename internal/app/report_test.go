package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

func TestWeekOf(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ at, want time.Time }{
		"at its beginning":    {monday, monday},
		"a moment before":     {monday.Add(-1), monday.Add(-7 * alert.Day)},
		"in its midst":        {monday.Add(3*alert.Day + time.Hour), monday},
		"in another zone":     {monday.In(time.FixedZone("", 7*3600)), monday},
		"before weeks begin":  {reportsFrom.Add(-time.Hour), reportsFrom.Add(-7 * alert.Day)},
		"where clocks change": {time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 3, 23, 8, 0, 0, 0, time.UTC)},
	} {
		if got := weekOf(tt.at); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// The daemon sends the report by itself, also when there is nothing to say,
// and once a week.
func TestReport_Daemon(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string {
		return strings.Replace(h.guarding(closed, "30d"), "[[channel]]\n", "[[channel]]\nreport = \"weekly\"\n", 1)
	})
	reports := func() []alert.Alert {
		all, err := h.store.Alerts(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(a alert.Alert) bool { return a.Event != alert.EventReport })
	}
	eventually(t, "a report", func() bool { return len(reports()) > 0 })
	words := reports()[0].Detail
	for _, want := range []string{"Weekly report: ", "of 1 watched items", "Channels that fail: ", "ever seen: " + orders, "owner\"): 1"} {
		if !strings.Contains(words, want) {
			t.Errorf("it lacks %q:\n%s", want, words)
		}
	}
	if err := h.reportDue(t.Context(), h.o.Now()); err != nil {
		t.Fatal(err)
	}
	if again := reports(); len(again) != 1 {
		t.Errorf("%d reports in one week", len(again))
	}
	if err := h.reportDue(t.Context(), h.o.Now().Add(7*alert.Day)); err != nil {
		t.Fatal(err)
	}
	if next := reports(); len(next) != 2 {
		t.Errorf("%d reports in two weeks", len(next))
	}
}
