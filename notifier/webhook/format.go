package webhook

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/certvigil/certvigil/notifier"
)

// The names of the formats.
const (
	FormatAccess   = "access"
	FormatStandard = "standard"
)

// A format encodes messages.
type format interface {
	// body returns the JSON of a message; the same message gives the same body.
	body(m notifier.Message) ([]byte, error)
	// authorize adds headers of the format's own that show the secret.
	authorize(h http.Header, secret string)
}

// formats is the one list of formats.
var formats = map[string]func(Options) format{
	FormatAccess:   func(o Options) format { return access{accountID: o.AccountID} },
	FormatStandard: func(Options) format { return standard{} },
}

// Formats returns the names of the known formats, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Single reports whether a format carries one item a message.
func Single(format string) bool { return format == FormatAccess || format == "" }

// encode is json.Marshal without HTML escaping, which receivers that show the
// text would have to undo.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
