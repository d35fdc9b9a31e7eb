package webhook

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/notifier"
)

// The names of the formats.
const (
	FormatAccess       = "access"
	FormatStandard     = "standard"
	FormatCloudEvents  = "cloudevents"
	FormatPagerDuty    = "pagerduty"
	FormatAlertmanager = "alertmanager"
	FormatTeams        = "teams"
	FormatTemplate     = "template"
)

// A definition is what is known of a format by its name.
type definition struct {
	single      bool   // it carries one item a message
	url         string // where it posts to when nothing else is configured
	path        string // what the path of its URL ends in
	contentType string // default application/json
	ownKey      bool   // the secret is the receiver's own key and travels in the body; it is required
	plainHeader string // shows the secret as it is, beside the signature
	encoder     func(Options) encoder
}

// An encoder returns what is posted for a message, a body for each request, in
// order. The same message gives the same bodies.
type encoder func(m notifier.Message) ([][]byte, error)

// definitions is the one list of formats.
var definitions = map[string]definition{
	FormatAccess:       {single: true, plainHeader: "cf-webhook-auth", encoder: func(o Options) encoder { return one(access{o.AccountID}.body) }},
	FormatStandard:     {encoder: func(Options) encoder { return one(standardBody) }},
	FormatCloudEvents:  {contentType: "application/cloudevents+json", encoder: func(Options) encoder { return one(cloudEvent) }},
	FormatPagerDuty:    {single: true, ownKey: true, url: "https://events.pagerduty.com/v2/enqueue", encoder: func(o Options) encoder { return pagerDuty{o.Secret}.bodies }},
	FormatAlertmanager: {path: "/api/v2/alerts", encoder: func(Options) encoder { return one(alertmanager) }},
	FormatTeams:        {encoder: func(Options) encoder { return one(teams) }},
	FormatTemplate: {encoder: func(o Options) encoder {
		return one(func(m notifier.Message) ([]byte, error) { return o.Template.Render(m.Words()) })
	}},
}

// one is the encoder of a format that posts once a message.
func one(body func(notifier.Message) ([]byte, error)) encoder {
	return func(m notifier.Message) ([][]byte, error) {
		b, err := body(m)
		return [][]byte{b}, err
	}
}

// Formats returns the names of the known formats, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(definitions)) }

// Single reports whether a format carries one item a message.
func Single(format string) bool { return definitions[orAccess(format)].single }

// orAccess is the format that a name means.
func orAccess(format string) string {
	if format == "" {
		return FormatAccess
	}
	return format
}

// target returns where a format posts to: its own address without a URL, and
// its own path below that of the URL.
func (d definition) target(u *url.URL) string {
	if d.path == "" || strings.HasSuffix(u.Path, d.path) {
		return u.String()
	}
	return u.JoinPath(d.path).String()
}
