package slack_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/slack"
)

// TestFormats_WorstInput: whatever a certificate holds, Block Kit's limits are
// kept, and nobody is mentioned, linked or deceived by it.
func TestFormats_WorstInput(t *testing.T) {
	t.Parallel()
	for name, m := range notifiertest.WorstCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, nil)
			if err := channel(t, slack.Options{WebhookURL: server.URL + path}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			var message struct {
				Text   string
				Blocks []struct {
					Type     string
					Text     struct{ Text string }
					Elements []struct{ Text string }
				}
			}
			body := <-got
			if err := json.Unmarshal(body, &message); err != nil || !utf8.Valid(body) {
				t.Fatalf("%v in %.300s", err, body)
			}
			texts := []string{message.Text}
			for _, b := range message.Blocks {
				most := map[string]int{"header": 150, "section": 3000}[b.Type]
				if units := len(utf16.Encode([]rune(b.Text.Text))); units > most {
					t.Errorf("a %s of %d characters", b.Type, units)
				}
				if b.Type != "header" { // plain text, in which nothing is mark-up
					texts = append(texts, b.Text.Text)
				}
				for _, e := range b.Elements {
					texts = append(texts, e.Text)
				}
			}
			if len(message.Blocks) > 50 {
				t.Errorf("%d blocks", len(message.Blocks))
			}
			for _, text := range texts {
				wantHarmless(t, text)
			}
		})
	}
}

func wantHarmless(t *testing.T, text string) {
	t.Helper()
	for _, never := range []string{"<!channel>", "<https://evil", "\n" + notifiertest.Injected} {
		if strings.Contains(text, never) {
			t.Errorf("%q in %.300q", never, text)
		}
	}
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == utf8.RuneError) {
			t.Errorf("%q in %.300q", r, text)
		}
	}
}
