package app

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// transport is everyChannel with a server for addresses, and a few things that
// the API made.
func madeRoster() roster {
	cfg := everyChannel()
	cfg.Channels[0].DefaultTransport = true
	cfg.Notifier.AllowPrivateTargets = true
	hook := channelID(cfg.Channels[2])
	return roster{cfg, alerting.Stored{
		Destinations: []alerting.Destination{
			{ID: "g", Name: "made", Type: alerting.TypeGeneric, Endpoint: alerting.Endpoint{URL: "https://hooks.example.com/m", Secret: "s"}},
			{ID: "s", Name: "chat", Type: alerting.TypeSlack, Endpoint: alerting.Endpoint{URL: "https://hooks.slack.com/services/T/B/x"}},
		},
		Policies: []alerting.Policy{
			{ID: "11111111-1111-4111-8111-111111111111", Name: "all", Enabled: true, Mechanisms: alerting.Mechanisms{Email: []string{"a@example.com"}, Webhooks: []string{"g", "s", hook}}},
			{ID: "2", Name: "some", Enabled: true, Mechanisms: alerting.Mechanisms{Webhooks: []string{"s"}}, Filters: alerting.Filters{Kinds: []alert.Kind{alert.KindCRL}, Before: []time.Duration{alert.Day}, Labels: map[string]string{"team": "x"}}},
			{ID: "3", Name: "at rest", Mechanisms: alerting.Mechanisms{Webhooks: []string{"g", "gone"}}},
		},
	}}
}

func TestRoster_JoinsWhatIsDeclaredAndMade(t *testing.T) {
	t.Parallel()
	r := madeRoster()
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	targets := []scanner.Target{
		{Channel: "mail", Recipients: []string{"a@example.com"}},
		{Channel: "made", Recipients: []string{"made"}, Single: true},
		{Channel: "chat", Recipients: []string{"chat"}},
		{Channel: "hook", Recipients: []string{"hook"}, Single: true},
	}
	want := append(Rules(r.cfg),
		scanner.Rule{Name: "all", Kinds: []alert.Kind{"ca", "client", "server", "crl"}, Before: []time.Duration{30 * alert.Day, 14 * alert.Day}, Targets: targets},
		scanner.Rule{Name: "some", Kinds: []alert.Kind{"crl"}, Before: []time.Duration{alert.Day}, Match: map[string]string{"team": "x"}, Targets: targets[2:3]})
	if diff := cmp.Diff(want, r.rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	s, err := r.setup(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Channels) != 6 || s.Channels[4].Name != "made" || s.Channels[5].Name != "chat" {
		t.Errorf("channels %+v", s.Channels)
	}
	if diff := cmp.Diff([]notifier.Route{{Channel: "chat", Recipients: []string{"chat"}}}, s.Routes["some"]); diff != "" || len(s.Routes["all"]) != 4 || s.Routes["at rest"] != nil {
		t.Errorf("routes %+v", s.Routes)
	}
	if s.RuleIDs["all"] != r.stored.Policies[0].ID || s.RuleIDs["default"] != objectID("alert", "default") {
		t.Errorf("ids %v", s.RuleIDs)
	}
	d := r.stored.Destinations[0]
	hash := destinationHash(r.cfg, d)
	d.Endpoint.Secret = "other"
	if destinationHash(r.cfg, d) == hash || strings.Contains(hash, "hooks") {
		t.Error("the hash does not tell of another secret")
	}
}

func TestDeclaredAlerting(t *testing.T) {
	t.Parallel()
	cfg := madeRoster().cfg
	cfg.Channels = append(cfg.Channels, config.Channel{Name: "pager", Type: config.TypeWebhook, URL: "https://events.pagerduty.com/v2/enqueue", Format: "pagerduty"},
		config.Channel{Name: "bot", Type: config.TypeSlack, Token: "xoxb-secret", Channel: "#ops"})
	cfg.Alerts[0].Channels = append(cfg.Alerts[0].Channels, "slack", "pager")
	d := declaredAlerting(cfg)
	shown := map[string]string{}
	for _, o := range append(d.Destinations, d.PagerDuty...) {
		shown[o.Name] = o.Type + " " + o.ShownURL()
		if !o.Declared || o.ID != objectID("channel", o.Name) || o.Endpoint.Secret != "" {
			t.Errorf("%+v", o)
		}
	}
	want := map[string]string{
		"slack": "slack https://hooks.example.com", "hook": "generic https://hooks.example.com", "plain": "generic https://hooks.example.com",
		"pager": "pagerduty https://events.pagerduty.com", "bot": "slack https://slack.com",
	}
	if diff := cmp.Diff(want, shown); diff != "" || d.Transport != "mail" || len(d.Channels) != 6 || !d.AllowPrivate {
		t.Errorf("%+v (-want +got):\n%s", d, diff)
	}
	p := d.Policies[0]
	if p.Name != "default" || !p.Declared || !p.Enabled || p.ID != objectID("alert", "default") || len(p.Mechanisms.Email) != 2 || len(p.Mechanisms.Webhooks) != 3 ||
		len(p.Mechanisms.PagerDuty) != 1 || len(p.Filters.Before) != 2 || p.Filters.Labels["team"] != "payments" {
		t.Errorf("%+v", p)
	}
}

// TestTryDestination holds what the API's word can have dialled: nothing of this
// machine, unless that is allowed, and no proxy.
func TestTryDestination(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	t.Cleanup(server.Close)
	h := &house{t: t, dir: t.TempDir(), log: &record{}}
	h.write("config.toml", "[admin]\nlisten = \"127.0.0.1:0\"\n[enforcer]\nlisten = \"\"\n")
	a, err := New(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop() })
	d := alerting.Destination{Type: alerting.TypeGeneric, Endpoint: alerting.Endpoint{URL: server.URL + "/certs"}}
	if err := a.tryDestination(t.Context(), d, "hello"); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("it dialled this machine: %v", err)
	}
	a.cfg.Notifier.AllowPrivateTargets = true
	if err := a.tryDestination(t.Context(), d, "hello"); err != nil {
		t.Fatal(err)
	}
	if path := <-got; path != "/certs" {
		t.Errorf("sent to %q", path)
	}
	d.Endpoint.Secret = "whsec_no base64"
	if err := a.tryDestination(t.Context(), d, "hello"); fault.Field(err) != "secret" {
		t.Errorf("a secret that is none: %v", err)
	}
}

// TestNewDestination_Guarded holds each kind of destination to the address that
// its name has when it is dialled.
func TestNewDestination_Guarded(t *testing.T) {
	t.Parallel()
	var dialled atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialled.Add(1) }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{alerting.TypeGeneric, alerting.TypeSlack} {
		d := alerting.Destination{Name: "made", Type: kind, Endpoint: alerting.Endpoint{URL: "http://localhost:" + port + "/services/T/B/x"}}
		for allowed, want := range map[bool]int32{false: 0, true: 1} {
			cfg := &config.Config{Notifier: config.Notifier{AllowPrivateTargets: allowed}}
			c, err := newDestination(cfg, d, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Send(t.Context(), notifier.Message{ID: "0123456789abcdef0123456789abcdef", Channel: "made", Now: time.Now(), Test: true})
			if _, refused := egress.Refused(err); refused == allowed || notifier.IsChannelFailing(err) == allowed {
				t.Errorf("%s, private targets allowed %t: %v", kind, allowed, err)
			}
			if got := dialled.Swap(0); got != want {
				t.Errorf("%s, private targets allowed %t: %d requests", kind, allowed, got)
			}
		}
	}
}

// TestWatchAlerting_KeepsWhatIsInForce holds that what cannot be joined changes
// nothing, is told once, and is taken in as soon as it can be.
func TestWatchAlerting_KeepsWhatIsInForce(t *testing.T) {
	t.Parallel()
	const text = "[admin]\nlisten = \"127.0.0.1:0\"\n[enforcer]\nlisten = \"\"\n[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n"
	h := newHouse(t, func(*house) string { return text })
	put := func(id, name string) {
		t.Helper()
		_, err := h.store.PutDestination(t.Context(), func(alerting.Stored) (alerting.Destination, error) {
			return alerting.Destination{ID: id, Name: name, Type: alerting.TypeGeneric, CreatedAt: h.o.Now(), UpdatedAt: h.o.Now(), Endpoint: alerting.Endpoint{URL: "https://hooks.example.com/"}}, nil
		}, inventory.Actor{Kind: inventory.ActorLocal})
		if err != nil {
			t.Fatal(err)
		}
	}
	inForce := func() int { return len(h.roster().stored.Destinations) }
	put("1", "made")
	eventually(t, "the destination is in force", func() bool { return inForce() == 1 })
	put("2", "hook") // as no API would: the file has a channel of that name
	eventually(t, "the collision is told", func() bool { return strings.Contains(h.log.String(), "taking in a change of alerting policies") })
	put("3", "third")
	if n := inForce(); n != 1 {
		t.Errorf("%d destinations are in force", n)
	}
	h.do(`UPDATE webhook_destinations SET name = 'second' WHERE id = '2'`)
	eventually(t, "what was mended is in force", func() bool { return inForce() == 3 })
	if n := strings.Count(h.log.String(), "taking in a change of alerting policies"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	h.do(`UPDATE channel_states SET failing = 1, reason = 'x', since = 1, retry_at = 9000000000000 WHERE channel = 'made'`)
	h.metrics.ChannelFailing("made", true)
	if _, err := h.store.DeleteDestination(t.Context(), "1", func(alerting.Destination) error { return nil }, inventory.Actor{Kind: inventory.ActorLocal}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a channel that is gone fails no longer", func() bool { return !strings.Contains(h.metric(), `channel_failing{channel="made"}`) })
}
