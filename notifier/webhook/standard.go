package webhook

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// What one item may take in data for programs. With these, a message about one
// item stays below the 20 kB that Standard Webhooks recommend, whatever its
// certificate holds.
const (
	maxText   = 600      // bytes of one value
	maxValues = 50       // of a list
	maxList   = 2000     // bytes of a list
	maxWords  = 4000     // bytes of the words about one thing
	maxTold   = 32 << 10 // bytes of all words
)

// A standardEnvelope is a Standard Webhooks payload with every entry of the
// message.
type standardEnvelope struct {
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
	More   int             `json:"more,omitempty"` // alerts that did not fit
}

type standardAlert struct {
	ID        string        `json:"id"`
	Key       string        `json:"key"` // ties the end of an alert to its beginning
	Event     alert.Event   `json:"event"`
	Severity  string        `json:"severity"`
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
	UsedBy      string            `json:"used_by,omitempty"`    // of a CA
	Dependents  []string          `json:"dependents,omitempty"` // those that were seen last
	Seen        []string          `json:"seen,omitempty"`       // of a client certificate
	RenewedBy   string            `json:"renewed_by,omitempty"` // it is in use all the same
	Successors  []string          `json:"successors,omitempty"` // which may have taken its place
	Omitted     map[string]int    `json:"omitted,omitempty"`    // how many values of which list did not fit
	RenewURL    string            `json:"renew_url,omitempty"`
}

func standardBody(m notifier.Message) ([]byte, error) {
	data, err := newStandardData(m)
	if err != nil {
		return nil, err
	}
	return templates.EncodeJSON(standardEnvelope{Type: typeOf(m), Timestamp: m.CreatedAt.UTC(), Data: data})
}

func newStandardData(m notifier.Message) (standardData, error) {
	words := m.Words()
	told, err := templates.RenderText(words)
	if err != nil {
		return standardData{}, err
	}
	told = templates.CutBytes(told, min(maxWords*max(len(m.Entries), 1), maxTold))
	d := standardData{Title: words.Headline(), Text: told, Rule: text(m.Rule), AsOf: m.Now.UTC(), Alerts: []standardAlert{}}
	if !m.Test {
		for _, e := range m.Entries {
			d.Alerts = append(d.Alerts, newStandardAlert(words, e))
		}
	}
	return d, nil
}

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
	switch a.Event {
	case alert.EventReport:
		return "certvigil.report"
	case alert.EventFailed:
	default:
		return "item." + string(a.Event)
	}
	subject, _, _ := strings.Cut(a.Subject, ":")
	return subject + ".failed"
}

func newStandardAlert(words templates.Message, e alert.Entry) standardAlert {
	f := words.Describe(e)
	a := standardAlert{
		ID: f.ID, Key: f.Key, Event: e.Alert.Event, Severity: f.Severity, Threshold: f.Threshold,
		Detail: templates.CutBytes(templates.CleanLines(e.Alert.Detail), maxWords),
	}
	if e.Item == nil {
		return a
	}
	i, omitted := *e.Item, map[string]int{}
	list := func(name string, values []string) []string {
		kept := few(values)
		if left := len(values) - len(kept); left > 0 {
			omitted[name] = left
		}
		return kept
	}
	a.Item = &standardItem{
		ID: i.ID, Kind: i.Kind, CommonName: text(i.CommonName), Subject: text(i.Subject), Issuer: text(i.Issuer),
		Serial: text(i.Serial), Fingerprint: i.Fingerprint, SANs: list("sans", i.SANs),
		NotBefore: f.NotBefore, NotAfter: f.NotAfter, TimeLeft: f.TimeLeft, Expired: i.NotAfter.Before(words.Now),
		Hostnames: list("hostnames", i.Hostnames), Bundles: list("bundles", i.Bundles),
		UsedBy: f.UsedBy, Dependents: list("dependents", f.Dependents), Seen: list("seen", f.Seen), RenewedBy: f.RenewedBy, Successors: list("successors", f.Successors),
		Omitted: omitted, RenewURL: f.RenewURL,
	}
	if a.Item.Labels = fewLabels(i.Labels); len(a.Item.Labels) < len(i.Labels) {
		omitted["labels"] = len(i.Labels) - len(a.Item.Labels)
	}
	return a
}

// fewLabels is few for labels.
func fewLabels(labels map[string]string) map[string]string {
	kept, room := map[string]string{}, maxList
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		name, value := text(key), text(labels[key])
		if room -= len(name) + len(value); room < 0 || len(kept) == maxValues {
			break
		}
		kept[name] = value
	}
	return kept
}

// text is one value for programs: one line, bounded.
func text(s string) string { return templates.CutBytes(templates.OneLine(s), maxText) }

// few returns the first values, as many as one list may have, and never nil.
func few(values []string) []string {
	kept, room := []string{}, maxList
	for _, v := range values {
		v = text(v)
		if room -= len(v); room < 0 || len(kept) == maxValues {
			break
		}
		kept = append(kept, v)
	}
	return kept
}
