package webhook_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
)

// limits hold each format to what its receiver documents.
var limits = map[string]func(t *testing.T, name string, body []byte){
	webhook.FormatAccess: func(t *testing.T, _ string, body []byte) { atMost(t, "body", len(body), 256<<10) },
	webhook.FormatStandard: func(t *testing.T, name string, body []byte) {
		if name == "one" || name == "plain" || name == "failure" || name == "renewed" || name == "test" {
			atMost(t, "body about one thing", len(body), 20_000)
		}
	},
	webhook.FormatCloudEvents: func(t *testing.T, _ string, body []byte) { atMost(t, "event", len(body), 64<<10) },
	webhook.FormatPagerDuty:   pagerDutyLimits,
	webhook.FormatAlertmanager: func(t *testing.T, _ string, body []byte) {
		for _, a := range decode[[]map[string]map[string]string](t, regexp.MustCompile(`,"(startsAt|endsAt|generatorURL)":"[^"]*"`).ReplaceAll(body, nil)) {
			for key, value := range a["labels"] {
				if value == "" || !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(key) {
					t.Errorf("label %q = %q", key, value)
				}
				atMost(t, "label "+key, len(value), 1000)
			}
		}
	},
	webhook.FormatTeams: func(t *testing.T, _ string, body []byte) {
		atMost(t, "message", len(body), 28_000)
		for _, element := range regexp.MustCompile(`"type":"([A-Za-z.]+)"`).FindAllStringSubmatch(string(body), -1) {
			if slices.Contains([]string{"TextBlock", "FactSet"}, element[1]) {
				t.Errorf("a %s is read as Markdown", element[1])
			}
		}
	},
	webhook.FormatTemplate: func(t *testing.T, _ string, body []byte) { atMost(t, "body", len(body), 1<<20) },
}

func pagerDutyLimits(t *testing.T, _ string, body []byte) {
	e := decode[struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Payload    *struct{ Summary, Source, Severity string }
	}](t, body)
	atMost(t, "event", len(body), 512<<10)
	atMost(t, "dedup_key", len(e.DedupKey), 255)
	if e.RoutingKey == "" || e.DedupKey == "" {
		t.Errorf("routing_key %q, dedup_key %q", e.RoutingKey, e.DedupKey)
	}
	switch {
	case e.Action == "resolve" && e.Payload == nil:
	case e.Action != "trigger" || e.Payload == nil:
		t.Errorf("action %q with payload %v", e.Action, e.Payload)
	default:
		atMost(t, "summary", units(e.Payload.Summary), 1024)
		atMost(t, "source", units(e.Payload.Source), 255)
		if e.Payload.Summary == "" || e.Payload.Source == "" || !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity) {
			t.Errorf("payload %+v", *e.Payload)
		}
	}
}

// TestFormats_WorstInput: whatever a certificate holds, every format keeps its
// receiver's limits, is valid UTF-8 and JSON, and lets nobody smuggle in a
// header, a line or a direction of writing.
func TestFormats_WorstInput(t *testing.T) {
	t.Parallel()
	for _, format := range webhook.Formats() {
		for name, m := range notifiertest.WorstCases() {
			t.Run(format+"/"+name, func(t *testing.T) {
				t.Parallel()
				server, got := receive(t, nil)
				o := options(t, format, server.URL)
				c := channel(t, o)
				for range 2 {
					if err := c.Send(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
				close(got)
				var bodies []string
				for r := range got {
					if r.header.Get("X-Evil") != "" {
						t.Error("a header was smuggled in")
					}
					bodies = append(bodies, string(r.body))
				}
				if half := len(bodies) / 2; half == 0 || !slices.Equal(bodies[:half], bodies[half:]) {
					t.Errorf("the same message gave other bodies: %d of them", len(bodies))
				}
				for _, body := range bodies {
					limits[format](t, name, []byte(body))
					wantHarmless(t, body)
				}
				// What is left out is counted.
				if left := regexp.MustCompile(`\d+ more|"omitted":\{|"more":[1-9]`); (name == "one" || name == "digest") && !left.MatchString(strings.Join(bodies, "")) {
					t.Error("nothing says that something was left out")
				}
			})
		}
	}
}

// wantHarmless looks at every text of a body.
func wantHarmless(t *testing.T, body string) {
	t.Helper()
	if !utf8.ValidString(body) {
		t.Error("it is not valid UTF-8")
	}
	walk(decode[any](t, []byte(body)), func(s string) {
		for line := range strings.SplitSeq(s, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), notifiertest.Injected) {
				t.Errorf("a line was smuggled in: %.80q", line)
			}
			for _, r := range line {
				if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
					t.Errorf("%q in %.80q", r, line)
				}
			}
		}
	})
}

func walk(v any, each func(string)) {
	switch v := v.(type) {
	case string:
		each(v)
	case []any:
		for _, e := range v {
			walk(e, each)
		}
	case map[string]any:
		for key, e := range v {
			each(key)
			walk(e, each)
		}
	}
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return v
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

func atMost(t *testing.T, what string, got, most int) {
	t.Helper()
	if got > most {
		t.Errorf("%s: %d, at most %d allowed", what, got, most)
	}
}

// A digest of very many is one request, and leaves nothing out uncounted.
func TestFormats_ManyItems(t *testing.T) {
	t.Parallel()
	m := notifiertest.Digest(10_000)
	for format, want := range map[string]int{webhook.FormatStandard: 10_000, webhook.FormatCloudEvents: 0} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, nil)
			if err := channel(t, options(t, format, server.URL)).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			e := decode[struct {
				Data struct {
					Alerts []json.RawMessage
					More   int
				}
			}](t, (<-got).body)
			if total := len(e.Data.Alerts) + e.Data.More; total != 10_000 || len(e.Data.Alerts) < max(want, 20) {
				t.Errorf("%d alerts and %d more", len(e.Data.Alerts), e.Data.More)
			}
		})
	}
}

// Where a format posts to.
func TestFormats_Target(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ format, path, want string }{
		{webhook.FormatAlertmanager, "", "/api/v2/alerts"},
		{webhook.FormatAlertmanager, "/", "/api/v2/alerts"},
		{webhook.FormatAlertmanager, "/am", "/am/api/v2/alerts"},
		{webhook.FormatAlertmanager, "/am/api/v2/alerts?x=1", "/am/api/v2/alerts?x=1"},
		{webhook.FormatStandard, "/hook?x=1", "/hook?x=1"},
	} {
		t.Run(tt.format+tt.path, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, nil)
			if err := channel(t, options(t, tt.format, server.URL+tt.path)).Send(t.Context(), notifiertest.One()); err != nil {
				t.Fatal(err)
			}
			if r := <-got; r.target != tt.want {
				t.Errorf("posted to %s, want %s", r.target, tt.want)
			}
		})
	}
}
