package v4

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/certvigil/certvigil/internal/fault"
)

// A vocabulary says what becomes of the fields of an object.
type vocabulary struct {
	known   []string          // read, or ignored because only answers have it
	foreign map[string]string // why a field of the reference's cannot work here
}

// check refuses every field that would have no effect here, unless it asks for
// nothing: whoever sends it means it, and most of them restrict.
func (v vocabulary) check(o object) error {
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if slices.Contains(v.known, name) || isNeutral(o.fields[name]) {
			continue
		}
		why, listed := v.foreign[name]
		if !listed {
			why = "it is not known"
		}
		return at(o.place(name), fault.New(fault.Invalid, "foreign", "%q cannot be set here: %s", shortName(name), why).WithHint("leave it out"))
	}
	return nil
}

// shortName keeps an answer from being as long as what was sent.
func shortName(name string) string {
	const most = 64
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

// isNeutral reports whether a value asks for nothing, as clients send it for
// what nobody set: null, false, 0, "", [] or an object of such values.
func isNeutral(raw json.RawMessage) bool {
	var value any
	if json.Unmarshal(raw, &value) != nil { // a number beyond all bounds
		return false
	}
	return asksNothing(value)
}

func asksNothing(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			if !asksNothing(member) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return value == nil || value == false || value == "" || value == 0.0
}
