package alert_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
)

const (
	item  = "6f1c2f0e-3f1b-4c1e-9d64-0f6b4f6d2a11"
	month = 30 * alert.Day
)

// The ids are stored and sent: another value would tell everybody everything
// once more.
func TestID_Golden(t *testing.T) {
	t.Parallel()
	if got, want := alert.ID(item, 1, "default", month, alert.EventExpiring), "c5a1f0a04dca4eca06b621daa1654793"; got != want {
		t.Errorf("ID = %s, want %s", got, want)
	}
	if got, want := alert.DeliveryID("ops", "oncall@example.com", []string{"a", "b"}), "01d5e697cb0b6309d664dacf8abcf48a"; got != want {
		t.Errorf("DeliveryID = %s, want %s", got, want)
	}
}

func TestID_EachPartCounts(t *testing.T) {
	t.Parallel()
	base := alert.ID(item, 1, "default", month, alert.EventExpiring)
	for name, other := range map[string]string{
		"subject":           alert.ID("another", 1, "default", month, alert.EventExpiring),
		"epoch":             alert.ID(item, 2, "default", month, alert.EventExpiring),
		"rule":              alert.ID(item, 1, "other", month, alert.EventExpiring),
		"threshold":         alert.ID(item, 1, "default", 14*alert.Day, alert.EventExpiring),
		"event":             alert.ID(item, 1, "default", month, alert.EventRenewed),
		"shifted boundary":  alert.ID(item+"1", 1, "default", month, alert.EventExpiring),
		"epoch, not suffix": alert.ID(item, 11, "default", month, alert.EventExpiring),
	} {
		if other == base {
			t.Errorf("%s: the same id", name)
		}
	}
}

func TestID_NoCollisionAcrossParts(t *testing.T) {
	t.Parallel()
	a := alert.DeliveryID("ab", "c", nil)
	b := alert.DeliveryID("a", "bc", nil)
	if a == b {
		t.Error("parts run into each other")
	}
}

func TestDeliveryID_OrderDoesNotCount(t *testing.T) {
	t.Parallel()
	ids := []string{"c", "a", "b"}
	before := slices.Clone(ids)
	if alert.DeliveryID("ops", "x", ids) != alert.DeliveryID("ops", "x", []string{"b", "c", "a"}) {
		t.Error("the order of the alerts counts")
	}
	if diff := cmp.Diff(before, ids); diff != "" {
		t.Errorf("the caller's slice was changed: %s", diff)
	}
	if alert.DeliveryID("ops", "x", ids) == alert.DeliveryID("ops", "x", ids[:2]) {
		t.Error("the set of alerts does not count")
	}
}

func TestNewDelivery(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ids := []string{"b", "a"}
	want := alert.Delivery{
		ID: alert.DeliveryID("ops", "x", ids), Channel: "ops", Recipient: "x", Rule: "default",
		AlertIDs: []string{"a", "b"}, State: alert.StatePending, NextAttemptAt: now, CreatedAt: now,
	}
	if diff := cmp.Diff(want, alert.NewDelivery("ops", "x", "default", ids, now)); diff != "" {
		t.Error(diff)
	}
	if ids[0] != "b" {
		t.Error("the caller's slice was sorted")
	}
}

func TestFormatThreshold(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0d", alert.Day: "1d", 14 * alert.Day: "14d", month: "30d", 36 * time.Hour: "36h0m0s",
		90 * time.Minute: "1h30m0s", month + time.Second: "720h0m1s",
	} {
		if got := alert.FormatThreshold(d); got != want {
			t.Errorf("FormatThreshold(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestFormatLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const h, m = time.Hour, time.Minute
	for _, tt := range []struct {
		left time.Duration
		want string
	}{
		{13*alert.Day + 4*h, "in 13 d 4 h"},
		{13*alert.Day + 4*h + 59*m + 59*time.Second, "in 13 d 4 h"},
		{14 * alert.Day, "in 14 d"},
		{14*alert.Day - time.Nanosecond, "in 13 d 23 h"},
		{alert.Day + 59*m, "in 1 d"},
		{alert.Day, "in 1 d"},
		{alert.Day - time.Second, "in 23 h 59 min"},
		{4*h + 10*m, "in 4 h 10 min"},
		{4 * h, "in 4 h"},
		{h - time.Second, "in 59 min"},
		{3 * m, "in 3 min"},
		{m, "in 1 min"},
		{m - time.Nanosecond, "in less than a minute"},
		{0, "in less than a minute"},
		{-time.Nanosecond, "expired less than a minute ago"},
		{-m, "expired 1 min ago"},
		{-3 * alert.Day, "expired 3 d ago"},
		{-3*alert.Day - 5*h, "expired 3 d 5 h ago"},
	} {
		if got := alert.FormatLeft(now.Add(tt.left), now); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.left, got, tt.want)
		}
	}
}

func TestFormatLeft_ZoneDoesNotCount(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	elsewhere := now.Add(month).In(time.FixedZone("X", 7*3600))
	if got := alert.FormatLeft(elsewhere, now); got != "in 30 d" {
		t.Errorf("FormatLeft = %q", got)
	}
}

func TestItem_OnlyObserved(t *testing.T) {
	t.Parallel()
	observed, upload := alert.Source{Kind: alert.SourceObserved}, alert.Source{Kind: alert.SourceUpload}
	for name, tt := range map[string]struct {
		sources []alert.Source
		want    bool
	}{
		"none":                  {nil, false},
		"observed":              {[]alert.Source{observed, observed}, true},
		"upload":                {[]alert.Source{upload}, false},
		"observed and uploaded": {[]alert.Source{observed, upload}, false},
	} {
		if got := (alert.Item{Sources: tt.sources}).OnlyObserved(); got != tt.want {
			t.Errorf("%s: OnlyObserved = %t", name, got)
		}
	}
}

func TestItem_Outlived(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	quarter := start.Add(60 * alert.Day) // of 80 days, the last quarter
	for name, tt := range map[string]struct {
		sources []alert.Source
		want    bool
	}{
		"no source":                        {nil, false},
		"a second before the last quarter": {[]alert.Source{{Kind: alert.SourceObserved, LastSeen: quarter.Add(-time.Second)}}, true},
		"at the beginning of it":           {[]alert.Source{{Kind: alert.SourceObserved, LastSeen: quarter}}, false},
		"elsewhere later":                  {[]alert.Source{{Kind: alert.SourceObserved, LastSeen: quarter}, {Kind: alert.SourceObserved, LastSeen: start}}, false},
		"uploaded too, whenever that was":  {[]alert.Source{{Kind: alert.SourceObserved, LastSeen: start}, {Kind: alert.SourceUpload, LastSeen: start}}, false},
		"never seen since it became known": {[]alert.Source{{Kind: alert.SourceObserved}}, true},
	} {
		it := alert.Item{NotBefore: start, NotAfter: start.Add(80 * alert.Day), Sources: tt.sources}
		if got := it.Outlived(); got != tt.want {
			t.Errorf("%s: Outlived = %t", name, got)
		}
	}
}

func TestItem_Lifetime(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 2, 28, 0, 0, 0, 0, time.UTC)
	if got := (alert.Item{NotBefore: start, NotAfter: start.AddDate(0, 0, 2)}).Lifetime(); got != 2*alert.Day {
		t.Errorf("Lifetime over a leap day = %v", got)
	}
}

// TestNewReport: one installation's report is its own.
func TestNewReport(t *testing.T) {
	t.Parallel()
	week := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	one := alert.NewReport("one", "mail", week, "words", week)
	for name, tt := range map[string]struct {
		other alert.Alert
		same  bool
	}{
		"again, with other words": {alert.NewReport("one", "mail", week, "other words", week.Add(time.Hour)), true},
		"another installation":    {alert.NewReport("two", "mail", week, "words", week), false},
		"another channel":         {alert.NewReport("one", "hook", week, "words", week), false},
		"another week":            {alert.NewReport("one", "mail", week.Add(7*alert.Day), "words", week), false},
	} {
		if same := one.ID == tt.other.ID; same != tt.same {
			t.Errorf("%s: the same id: %t", name, same)
		}
	}
}
