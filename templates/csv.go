package templates

import (
	"bytes"
	"encoding/csv"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// table returns every entry of a message as CSV with a header line.
func table(m Message) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"alert", "event", "item", "kind", "name", "not_after", "left", "subject", "issuer", "serial", "fingerprint", "hostnames", "bundles", "detail"}}
	for _, e := range m.Entries {
		i := alert.Item{}
		end, left := "", ""
		if e.Item != nil {
			i = *e.Item
			end, left = i.NotAfter.UTC().Format(time.RFC3339), alert.FormatLeft(i.NotAfter, m.Now)
		}
		rows = append(rows, []string{
			e.Alert.ID, string(e.Alert.Event), i.ID, string(i.Kind), i.CommonName, end, left, i.Subject, i.Issuer,
			i.Serial, i.Fingerprint, strings.Join(i.Hostnames, " "), strings.Join(i.Bundles, " "), e.Alert.Detail,
		})
	}
	for _, r := range rows {
		for n := range r {
			r[n] = cell(r[n])
		}
	}
	// A bytes.Buffer takes every write, so there is no error to hand on.
	_ = w.WriteAll(rows)
	return b.Bytes()
}

// maxCell is how long a cell may be, in characters: a table of thousands of rows
// stays one that can be sent.
const maxCell = 1000

// cell keeps spreadsheets from taking a certificate's name for a formula.
func cell(s string) string {
	if s = Cut(OneLine(s), maxCell); s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}
