package app_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A dry run tells by the rules of the file as it is now, also when the store
// is still scheduled by those that were in force before.
func TestPreview_RulesNotYetInForce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	cfg := config.Default()
	cfg.Storage.DSN = filepath.Join(t.TempDir(), "certvigil.db")
	cfg.Channels = []config.Channel{{Name: "hook", Type: config.TypeWebhook, URL: "http://127.0.0.1:1/"}}
	cfg.Alerts = []config.Alert{{Name: "default", Kinds: []string{"client"}, Before: []config.Duration{{Duration: 14 * alert.Day}}, Channels: []string{"hook"}}}
	s, err := app.OpenStore(t.Context(), cfg.Storage, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	leaf := certtest.NewCA().Issue(certtest.CommonName("device"), certtest.Client(), certtest.Validity(now.Add(-alert.Day), now.Add(40*alert.Day)))
	if _, _, err := inventory.New(s, clock).AddCertificate(t.Context(), alert.KindClient, inventory.Upload{Data: leaf.PEM()}); err != nil {
		t.Fatal(err)
	}
	if done, err := app.Scan(t.Context(), &cfg, s, clock); err != nil || done.Alerts != 0 {
		t.Fatalf("Scan: %+v, %v; want no alert yet", done, err)
	}
	for _, row := range []struct {
		name string
		days time.Duration
		want int
	}{{"as scheduled", 14, 0}, {"a wider rule, not in force yet", 60, 1}} {
		cfg.Alerts[0].Before = []config.Duration{{Duration: row.days * alert.Day}}
		tellings, err := app.Preview(t.Context(), &cfg, s, now)
		if err != nil || len(tellings) != row.want {
			t.Errorf("%s: %d tellings, %v; want %d", row.name, len(tellings), err, row.want)
		}
	}
}
