package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// accessType is the alert_type of every item, whatever its kind.
const accessType = "access_custom_certificate_expiration_type"

// maxHostnames is how many characters the host names of an item may have; the
// reference names no limit.
const maxHostnames = 20_000

// access is the JSON that the reference product sends when an mTLS certificate
// expires.
type access struct {
	accountID string
}

// accessBody bears the keys in the order of the reference. The reference
// leaves out account_id, policy_id and alert_type where they do not apply.
type accessBody struct {
	AccountID     string `json:"account_id,omitempty"`
	CorrelationID string `json:"alert_correlation_id"`
	AlertEvent    string `json:"alert_event"`
	AlertType     string `json:"alert_type,omitempty"`
	Data          any    `json:"data"`
	Name          string `json:"name"`
	PolicyID      string `json:"policy_id,omitempty"`
	PolicyName    string `json:"policy_name"`
	Text          string `json:"text"`
	TS            int64  `json:"ts"`
}

type accessData struct {
	AccountName   string `json:"account_name"`
	AccountTag    string `json:"account_tag"`
	CertificateID string `json:"certificate_id"`
	DaysLeft      int    `json:"days_til_expiration"`
	Hostnames     string `json:"hostnames"`
	ZoneName      string `json:"zone_name"`
	ZoneTag       string `json:"zone_tag"`
}

// textBody is a message that tells of nothing but that it arrived.
type textBody struct {
	Text string `json:"text"`
}

// body tells of the first entry; a summary of several counts the others in its
// text. A test message is text alone, as the reference sends it.
func (f access) body(m notifier.Message) ([]byte, error) {
	text, err := templates.RenderText(m.Words())
	if err != nil {
		return nil, err
	}
	if m.Test || len(m.Entries) == 0 {
		return templates.EncodeJSON(textBody{text})
	}
	e := m.Entries[0]
	b := accessBody{
		AccountID: f.accountID, CorrelationID: e.Alert.Key(), AlertEvent: "ALERT_STATE_EVENT_START",
		Data: struct{}{}, Name: templates.OneLine(m.Rule), PolicyID: policyID(m), PolicyName: templates.OneLine(m.Rule), Text: text, TS: m.Now.Unix(),
	}
	if e.Alert.Resolves() {
		b.AlertEvent = "ALERT_STATE_EVENT_END"
	}
	if e.Item != nil {
		b.AlertType = accessType
		b.Data = accessData{
			AccountTag: f.accountID, CertificateID: certificateID(*e.Item),
			DaysLeft: alert.DaysLeft(e.Item.NotAfter, m.Now), Hostnames: templates.Cut(templates.OneLine(strings.Join(e.Item.Hostnames, ",")), maxHostnames),
		}
	}
	return templates.EncodeJSON(b)
}

// certificateID is the id under which the API has what expires: a bundle's is
// what the reference calls a certificate. Of what is in none, there is the
// item's alone.
func certificateID(item alert.Item) string {
	if len(item.BundleIDs) > 0 {
		return item.BundleIDs[0]
	}
	return item.ID
}

// policyID is the id of the rule as the reference writes it: 32 hex digits. A
// rule that is gone has those of its name.
func policyID(m notifier.Message) string {
	switch {
	case m.RuleID != "":
		return strings.ReplaceAll(m.RuleID, "-", "")
	case m.Rule == "":
		return ""
	}
	sum := sha256.Sum256([]byte("policy:" + m.Rule))
	return hex.EncodeToString(sum[:16])
}
