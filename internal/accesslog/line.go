package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// A line is what is written of a request. What is empty is left out, but for
// what every line has.
type line struct {
	Time        string `json:"time"`
	RequestID   string `json:"request_id,omitempty"`
	Remote      string `json:"remote,omitempty"`
	Protocol    string `json:"protocol,omitempty"`
	TLS         string `json:"tls,omitempty"`
	Resumed     bool   `json:"resumed,omitempty"`
	Method      string `json:"method"`
	Host        string `json:"host,omitempty"`
	Path        string `json:"path"`
	Status      int    `json:"status"`
	Received    int64  `json:"received"`
	Sent        int64  `json:"sent"`
	Took        millis `json:"took_ms"`
	Origin      millis `json:"origin_ms,omitempty"`
	Application string `json:"application,omitempty"`
	Policy      string `json:"policy,omitempty"`
	Action      string `json:"action,omitempty"`
	Admitted    bool   `json:"admitted"`
	Reason      string `json:"reason,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	CommonName  string `json:"common_name,omitempty"`
	Serial      string `json:"serial,omitempty"`
}

// millis is a span in milliseconds, exact to the microsecond.
type millis float64

func millisOf(d time.Duration) millis { return millis(d.Microseconds()) / 1000 }

// timeLayout is RFC 3339 with milliseconds, always of the same width.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encode appends the line of a request, with its end.
func encode(buf *bytes.Buffer, a *enforcer.Access) {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	// A struct of strings, numbers and truth values always encodes.
	_ = enc.Encode(line{
		Time: a.Time.UTC().Format(timeLayout), RequestID: a.RequestID, Remote: a.Remote, Protocol: a.Protocol, TLS: a.TLS, Resumed: a.Resumed,
		Method: a.Method, Host: a.Host, Path: a.Path, Status: a.Status, Received: a.Received, Sent: a.Sent,
		Took: millisOf(a.Took), Origin: millisOf(a.Origin), Application: a.Application, Policy: a.Policy, Action: string(a.Action),
		Admitted: a.Admitted, Reason: string(a.Reason), Fingerprint: a.Fingerprint, CommonName: a.CommonName, Serial: a.Serial,
	})
	escapeControls(buf)
}

// escapeControls escapes the control characters that JSON lets stand, DEL and
// U+0080 to U+009F: some terminals obey the latter, and a client chooses them.
func escapeControls(buf *bytes.Buffer) {
	if !bytes.ContainsFunc(buf.Bytes(), isHighControl) {
		return
	}
	text := buf.String()
	buf.Reset()
	for _, r := range text {
		if isHighControl(r) {
			_, _ = fmt.Fprintf(buf, `\u%04x`, r)
			continue
		}
		buf.WriteRune(r)
	}
}

func isHighControl(r rune) bool { return r >= 0x7f && r <= 0x9f }
