package webhook

import (
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// An Alertmanager takes an alert for over when it was not sent again within its
// resolve_timeout, five minutes by default, unless the alert says itself when
// it ends. Certvigil says a thing once and says when it is over, so its alerts
// say so: they end long after the certificate does, in case the word that it was
// renewed or removed is never sent.
const (
	keepExpiring = 30 * alert.Day // after the certificate's end, or from now on once that is past
	keepFailure  = alert.Day
	keepTest     = 5 * time.Minute
)

// What the labels of an alert may be: alertnames, and the two severities that
// the inhibition of a stock configuration knows.
const (
	nameExpiring = "CertificateExpiring"
	nameFailure  = "CertvigilFailure"
	nameTest     = "CertvigilTest"
	amCritical   = "critical"
	amWarning    = "warning"
)

// An amAlert is an alert of Alertmanager's API v2. Its labels are its identity:
// none of them may change between the alert and its end. "instance" is what a
// stock configuration keeps apart by when it inhibits.
type amAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func alertmanager(m notifier.Message) ([]byte, error) {
	words := m.Words()
	alerts := []amAlert{}
	if m.Test || len(m.Entries) == 0 {
		alerts = append(alerts, amAlert{
			Labels:      map[string]string{"alertname": nameTest, "severity": "info", "instance": templates.OneLine(m.Channel)},
			Annotations: map[string]string{"summary": words.Headline()},
			StartsAt:    m.CreatedAt.UTC(), EndsAt: m.Now.Add(keepTest).UTC(), GeneratorURL: m.AdminURL,
		})
		return templates.EncodeJSON(alerts)
	}
	for _, e := range m.Entries {
		alerts = append(alerts, amAlerts(words, e)...)
	}
	return templates.EncodeJSON(alerts)
}

// amAlerts is one alert while an item is expiring. What grows urgent is an alert
// of its own beside the warning, which inhibition then mutes; renewal ends both,
// whichever was sent.
func amAlerts(words templates.Message, e alert.Entry) []amAlert {
	f := words.Describe(e)
	severities := []string{amSeverity(f.Severity)}
	if f.Resolved {
		severities = []string{amCritical, amWarning}
	}
	var out []amAlert
	for _, s := range severities {
		a := amAlert{Labels: amLabels(f, e), Annotations: amAnnotations(f, e), GeneratorURL: words.AdminURL}
		a.Labels["severity"] = s
		a.StartsAt, a.EndsAt = amSpan(words.Now, f, e)
		out = append(out, a)
	}
	return out
}

// amSpan is when an alert began and ends. One that is over began when its
// certificate was watched: Alertmanager keeps the earlier of two beginnings.
func amSpan(now time.Time, f templates.Entry, e alert.Entry) (starts, ends time.Time) {
	starts = e.Alert.CreatedAt
	switch {
	case f.Resolved:
		ends = now
	case e.Item == nil:
		ends = now.Add(keepFailure)
	default:
		ends = later(now, f.NotAfter).Add(keepExpiring)
	}
	if starts.After(ends) { // a clock was set back; it would be refused
		starts = ends
	}
	return starts.UTC(), ends.UTC()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// amSeverity maps four severities to two.
func amSeverity(s string) string {
	if s == templates.SeverityWarning || s == templates.SeverityInfo {
		return amWarning
	}
	return amCritical
}

func amLabels(f templates.Entry, e alert.Entry) map[string]string {
	if e.Item == nil {
		return map[string]string{"alertname": nameFailure, "instance": templates.Cut(templates.OneLine(e.Alert.Subject), 200)}
	}
	return map[string]string{"alertname": nameExpiring, "instance": f.ItemID, "kind": f.Kind, "name": f.Name}
}

// amAnnotations leaves out what is empty, as Alertmanager does.
func amAnnotations(f templates.Entry, e alert.Entry) map[string]string {
	a := map[string]string{
		"summary": f.Title, "description": f.Detail, "advice": f.Advice, "subject": f.Subject, "issuer": f.Issuer,
		"serial": f.Serial, "fingerprint": f.Fingerprint, "threshold": f.Threshold, "used_by": f.UsedBy, "renew_url": f.RenewURL,
		"hostnames": hostnames(e), "bundles": bundles(e),
	}
	if !f.NotAfter.IsZero() {
		a["not_after"] = f.NotAfter.Format(time.RFC3339)
	}
	for key, value := range a {
		if value == "" {
			delete(a, key)
		}
	}
	return a
}
