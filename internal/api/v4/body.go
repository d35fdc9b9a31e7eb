package v4

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
)

// maxBody is the size of the largest body.
const maxBody = 1 << 20

// An object is a JSON object of a request, with the pointer to it. A field
// that is null is not given.
type object struct {
	fields  map[string]json.RawMessage
	pointer string
}

// readBody reads the object that a request's body is. Only JSON is taken, by
// its content type: what a page of another site can send without asking first
// is something else.
func readBody(w http.ResponseWriter, r *http.Request) (object, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return object{}, fault.New(fault.Invalid, ruleContentType, "the body is not declared to be JSON").WithHint(`send the header "Content-Type: application/json"`)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return object{}, fault.New(fault.TooLarge, "body_size", "the body is larger than %d bytes", maxBody).WithHint("send one object: a CA with its chain, an application or a policy")
	case err != nil:
		return object{}, fault.New(fault.Invalid, "body", "the body ends before its time").WithHint("send it again")
	case len(data) == 0:
		return object{}, missing("")
	}
	return readObject(data, "")
}

func readObject(data []byte, pointer string) (object, error) {
	o := object{pointer: pointer}
	err := json.Unmarshal(data, &o.fields)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return o, at(pointer, fault.New(fault.Invalid, "json", "the body is not JSON: it is damaged at byte %d", syntax.Offset).WithHint("send one JSON object"))
	}
	if err != nil || o.fields == nil {
		return o, wrongType(pointer, "an object")
	}
	return o, o.refusePrivateKeys()
}

// refusePrivateKeys calls a private key by its name wherever it was put, also
// in a field that is ignored: whoever sent it has to know.
func (o object) refusePrivateKeys() error {
	for name, raw := range o.fields {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			continue
		}
		if err := refusePrivateKey(text); err != nil {
			return at(o.place(name), err)
		}
	}
	return nil
}

func refusePrivateKey(text string) error {
	if !strings.Contains(text, "PRIVATE KEY") {
		return nil
	}
	if _, err := cert.ParsePEMCertificates([]byte(text)); fault.Rule(err) == "private_key" {
		return err
	}
	return nil
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (o object) place(name string) string { return o.pointer + "/" + pointerEscaper.Replace(name) }

// given returns the text of a field, nil if it is not given.
func (o object) given(name string) json.RawMessage {
	if raw := o.fields[name]; string(raw) != "null" {
		return raw
	}
	return nil
}

// text returns a string, and whether it is given.
func (o object) text(name string) (value string, given bool, err error) {
	raw := o.given(name)
	if raw == nil {
		return "", false, nil
	}
	value, err = readText(raw, o.place(name))
	return value, true, err
}

func readText(raw json.RawMessage, pointer string) (value string, err error) {
	if json.Unmarshal(raw, &value) != nil || string(raw) == "null" {
		return "", wrongType(pointer, "a string")
	}
	return value, at(pointer, refusePrivateKey(value))
}

// flag returns a boolean; what is not given is false.
func (o object) flag(name string) (bool, error) { return o.flagOr(name, false) }

// flagOr returns a boolean, or what counts if it is not given.
func (o object) flagOr(name string, otherwise bool) (bool, error) {
	raw := o.given(name)
	if raw == nil {
		return otherwise, nil
	}
	var value bool
	if json.Unmarshal(raw, &value) != nil {
		return false, wrongType(o.place(name), "true or false")
	}
	return value, nil
}

// count returns a whole number that is not negative; what is not given is 0.
func (o object) count(name string) (int, error) {
	raw := o.given(name)
	if raw == nil {
		return 0, nil
	}
	var value int
	if json.Unmarshal(raw, &value) != nil || value < 0 {
		return 0, wrongType(o.place(name), "a whole number from 0 on")
	}
	return value, nil
}

// whole returns a whole number, and whether it is given.
func (o object) whole(name string) (value int, given bool, err error) {
	raw := o.given(name)
	if raw == nil {
		return 0, false, nil
	}
	var number float64 // as the newer client writes it
	if json.Unmarshal(raw, &number) != nil || number != math.Trunc(number) || math.Abs(number) > math.MaxInt32 {
		return 0, false, wrongType(o.place(name), "a whole number")
	}
	return int(number), true, nil
}

// list returns the elements of an array; what is not given has none.
func (o object) list(name string) (elements []json.RawMessage, err error) {
	raw := o.given(name)
	if raw != nil && json.Unmarshal(raw, &elements) != nil {
		return nil, wrongType(o.place(name), "an array")
	}
	return elements, nil
}

// hostnames returns an array of host names in their one spelling.
func (o object) hostnames(name string) ([]string, error) {
	elements, err := o.list(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(elements))
	for i, raw := range elements {
		if names[i], err = readHostname(raw, o.place(name)+"/"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func readHostname(raw json.RawMessage, pointer string) (string, error) {
	text, err := readText(raw, pointer)
	if err != nil {
		return "", err
	}
	name, err := hostname.NormalizePattern(text)
	return name, at(pointer, err)
}

func wrongType(pointer, wanted string) error {
	return at(pointer, fault.New(fault.Invalid, "type", "%s is not %s", orBody(pointer), wanted).WithHint("send %s", wanted))
}

func missing(pointer string) error {
	return at(pointer, fault.New(fault.Invalid, "missing", "%s is missing", orBody(pointer)).WithHint("it is required"))
}

// orBody names a place as people do: "name" rather than "/name".
func orBody(pointer string) string {
	if pointer == "" {
		return "the body"
	}
	return strconv.Quote(strings.TrimPrefix(pointer, "/"))
}
