package webhook

import (
	"net/http"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// standard is a Standard Webhooks payload with every entry of the message.
type standard struct{}

type standardBody struct {
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"` // when it was found, the same in every attempt
	Data      standardData `json:"data"`
}

type standardData struct {
	Title  string          `json:"title"`
	Text   string          `json:"text"`
	Rule   string          `json:"rule,omitempty"`
	AsOf   time.Time       `json:"as_of"` // what title, text and time_left are true for
	Alerts []standardAlert `json:"alerts"`
}

type standardAlert struct {
	ID        string        `json:"id"`
	Event     alert.Event   `json:"event"`
	Threshold string        `json:"threshold,omitempty"` // as configured, "14d"
	Detail    string        `json:"detail,omitempty"`
	Item      *standardItem `json:"item,omitempty"`
}

type standardItem struct {
	ID          string            `json:"id"`
	Kind        alert.Kind        `json:"kind"`
	CommonName  string            `json:"common_name"`
	Subject     string            `json:"subject"`
	Issuer      string            `json:"issuer"`
	Serial      string            `json:"serial"`
	Fingerprint string            `json:"fingerprint"`
	SANs        []string          `json:"sans"`
	NotBefore   time.Time         `json:"not_before"`
	NotAfter    time.Time         `json:"not_after"`
	TimeLeft    string            `json:"time_left"`
	Expired     bool              `json:"expired"`
	Hostnames   []string          `json:"hostnames"`
	Bundles     []string          `json:"bundles"`
	Labels      map[string]string `json:"labels,omitempty"`
	RenewURL    string            `json:"renew_url,omitempty"`
}

func (standard) body(m notifier.Message) ([]byte, error) {
	words := m.Words()
	text, err := templates.RenderText(words)
	if err != nil {
		return nil, err
	}
	b := standardBody{Type: typeOf(m), Timestamp: m.CreatedAt.UTC(), Data: standardData{
		Title: words.Headline(), Text: text, Rule: m.Rule, AsOf: m.Now.UTC(), Alerts: []standardAlert{},
	}}
	if !m.Test {
		for _, e := range m.Entries {
			b.Data.Alerts = append(b.Data.Alerts, newStandardAlert(words, e))
		}
	}
	return encode(b)
}

// authorize adds nothing: the signature shows the secret well enough.
func (standard) authorize(http.Header, string) {}

// typeOf names the event that all entries have in common, else the digest.
func typeOf(m notifier.Message) string {
	if m.Test || len(m.Entries) == 0 {
		return "certvigil.test"
	}
	first := typeOfAlert(m.Entries[0].Alert)
	for _, e := range m.Entries[1:] {
		if typeOfAlert(e.Alert) != first {
			return "item.digest"
		}
	}
	return first
}

func typeOfAlert(a alert.Alert) string {
	if a.Event != alert.EventFailed {
		return "item." + string(a.Event)
	}
	subject, _, _ := strings.Cut(a.Subject, ":")
	return subject + ".failed"
}

func newStandardAlert(words templates.Message, e alert.Entry) standardAlert {
	a := standardAlert{ID: e.Alert.ID, Event: e.Alert.Event, Detail: e.Alert.Detail}
	if e.Alert.Event == alert.EventExpiring {
		a.Threshold = alert.FormatThreshold(e.Alert.Threshold)
	}
	if i := e.Item; i != nil {
		a.Item = &standardItem{
			ID: i.ID, Kind: i.Kind, CommonName: i.CommonName, Subject: i.Subject, Issuer: i.Issuer,
			Serial: i.Serial, Fingerprint: i.Fingerprint, SANs: orEmpty(i.SANs),
			NotBefore: i.NotBefore.UTC(), NotAfter: i.NotAfter.UTC(),
			TimeLeft: alert.FormatLeft(i.NotAfter, words.Now), Expired: i.NotAfter.Before(words.Now),
			Hostnames: orEmpty(i.Hostnames), Bundles: orEmpty(i.Bundles), Labels: i.Labels,
		}
		if i.Kind == alert.KindCA || i.Kind == alert.KindClient {
			a.Item.RenewURL = words.RenewURL(*i)
		}
	}
	return a
}

// orEmpty makes a missing list an empty JSON array.
func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
