package metrics_test

import (
	"context"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func counts(context.Context) (metrics.Counts, error) {
	return metrics.Counts{
		Deliveries: map[alert.DeliveryState]int{alert.StateSent: 3, alert.StateDead: 1},
		Items:      map[alert.Kind]map[alert.Watch]int{alert.KindCA: {alert.Active: 2}},
		Left:       map[alert.Kind][]int{alert.KindCA: {1, 0, 0, 0, 0, 0, 2, 3}},
		Channels: []metrics.Channel{
			{Name: "mail", Waiting: 2, Oldest: 90 * time.Second, LastSent: time.Unix(1767225600, 0)},
			{Name: "never"},
		},
		CRLs: []metrics.CRL{
			{Issuer: "CN=Root", Key: "0123456789abcdef", ThisUpdate: time.Unix(1767225600, 0), NextUpdate: time.Unix(1767830400, 0), Entries: 3, Failing: true},
			{Issuer: "CN=Root", Key: "123456789abcdef0"}, // a CA of the same name must not spoil the scrape
		},
	}, nil
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// Dashboards and alert rules of other people depend on these lines.
func TestNames(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{Version: "v1", Collect: counts})
	m.Scan(time.Unix(1767225600, 500_000_000), 20*time.Millisecond)
	m.ScanFailed(false)
	m.ScanFailed(true)
	m.Attempt("mail", alert.StateSent, time.Second)
	m.Sent("mail", 2*time.Second)
	m.ChannelFailing("mail", true)
	m.Request("orders", false, "no_certificate")
	m.Request("orders", true, "policy")
	m.Handshake(true, "")
	m.Handshake(false, "timeout")
	m.CutOff("orders", "revoked")
	m.TrustGeneration(7)
	m.TrustApplied(true)
	m.Verified(0, true)
	m.Verified(time.Millisecond, false)
	m.Origin("orders", 20*time.Millisecond)
	m.Connections(2)
	m.Connections(-1)
	m.AccessLogDropped(4)
	m.AccessLogFailing(true)
	m.CRLRefreshFailed("CN=Root", "0123456789abcdef")
	m.Reloaded(false)
	m.FilesReloaded(false)
	goVersion := regexp.MustCompile(`go="[^"]*"`)
	var lines []string
	for line := range strings.Lines(scrape(t, m)) {
		if strings.Contains(line, "certvigil_") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, goVersion.ReplaceAllString(line, `go="…"`))
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "")
	const golden = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("metrics (-want +got; go test -update rewrites):\n%s", diff)
	}
}

func TestStoreDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{Collect: func(context.Context) (metrics.Counts, error) { return metrics.Counts{}, errors.New("locked") }})
	if got := scrape(t, m); !strings.Contains(got, "certvigil_config_reload_success 1") {
		t.Errorf("the other metrics are missing from the scrape:\n%s", got)
	}
}
