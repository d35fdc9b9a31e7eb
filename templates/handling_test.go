package templates_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/templates"
)

func TestRenderHandling_golden(t *testing.T) {
	t.Parallel()
	item := notifiertest.Item(alert.KindClient, "James Royal", 9*alert.Day)
	acknowledged, snoozed := item, item
	until := notifiertest.Now.Add(3 * alert.Day)
	acknowledged.Handling = &alert.Handling{By: "Ana <script>", At: notifiertest.Now}
	snoozed.Handling = &alert.Handling{By: "Ana", At: notifiertest.Now, Until: &until}
	for name, p := range map[string]templates.HandlingPage{
		"ask":          {Item: &item, Snoozes: []time.Duration{alert.Day, 7 * alert.Day}},
		"again":        {Item: &snoozed, Snoozes: []time.Duration{alert.Day}},
		"acknowledged": {Item: &acknowledged, Done: true},
		"snoozed":      {Item: &snoozed, Done: true, Next: &until},
		"over":         {Problem: "nothing is told of CN=x: the item is revoked", Hint: "there is nothing to acknowledge or to snooze"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.Now, p.RequestID = notifiertest.Now, "XYZ234"
			var b bytes.Buffer
			if err := templates.RenderHandling(&b, p); err != nil {
				t.Fatal(err)
			}
			notifiertest.Golden(t, "handling."+name+".html", b.Bytes())
			if strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "http:") {
				t.Error("the page has a script, or loads something from elsewhere")
			}
		})
	}
}

// The page's fields are laid out by the style sheet that it loads.
func TestHandling_style(t *testing.T) {
	t.Parallel()
	css, err := templates.Asset("renewal.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"input[type=text]", "select {", "select:focus-visible"} {
		if !strings.Contains(string(css), field) {
			t.Errorf("the style sheet says nothing of %q", field)
		}
	}
}
