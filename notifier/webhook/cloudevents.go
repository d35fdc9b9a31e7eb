package webhook

import (
	"strings"
	"time"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// maxCloudEvent is the size up to which every intermediary must forward an
// event (CloudEvents 1.0, Size Limits).
const maxCloudEvent = 64 << 10

// cloudEventPrefix tells whose types they are.
const cloudEventPrefix = "com.github.certvigil."

// A cloudEventEnvelope is a CloudEvents 1.0 event in structured JSON. Its data
// is that of the format standard.
type cloudEventEnvelope struct {
	SpecVersion string       `json:"specversion"`
	ID          string       `json:"id"`
	Source      string       `json:"source"`
	Type        string       `json:"type"`
	Subject     string       `json:"subject,omitempty"` // the item's id, when it is about one
	Time        time.Time    `json:"time"`
	ContentType string       `json:"datacontenttype"`
	Data        standardData `json:"data"`
}

func cloudEvent(m notifier.Message) ([]byte, error) {
	data, err := newStandardData(m)
	if err != nil {
		return nil, err
	}
	e := cloudEventEnvelope{
		SpecVersion: "1.0", ID: m.ID, Source: m.AdminURL, Type: cloudEventPrefix + strings.TrimPrefix(typeOf(m), "certvigil."),
		Time: m.CreatedAt.UTC(), ContentType: "application/json", Data: data,
	}
	if !m.Test && len(m.Entries) == 1 {
		e.Subject = m.Entries[0].Alert.ItemID
	}
	return e.fit()
}

// fit leaves out the least urgent alerts until the event is small enough, and
// counts them.
func (e cloudEventEnvelope) fit() ([]byte, error) {
	for {
		body, err := templates.EncodeJSON(e)
		kept := len(e.Data.Alerts)
		if err != nil || len(body) <= maxCloudEvent || kept == 0 {
			return body, err
		}
		next := min(kept-1, kept*maxCloudEvent/len(body))
		e.Data.Alerts, e.Data.More = e.Data.Alerts[:next], e.Data.More+kept-next
	}
}
