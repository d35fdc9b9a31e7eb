package v4

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// ruleFields are those of a policy that say whom it is about.
var ruleFields = []string{"name", "decision", "include", "require", "exclude", "session_duration"}

var policyFields = vocabulary{
	known: append([]string{"precedence", "id", "uid", "reusable", "app_count", "created_at", "updated_at", "read_only"}, ruleFields...),
	foreign: map[string]string{
		"approval_required":              noIdentityProvider,
		"approval_groups":                noIdentityProvider,
		"isolation_required":             "there is no browser isolation",
		"purpose_justification_required": "there is no login page",
		"purpose_justification_prompt":   "there is no login page",
		"connection_rules":               "only self_hosted applications are guarded here",
		"mfa_config":                     noIdentityProvider,
	},
}

// actions are ours for the reference's decisions.
var actions = map[string]string{"allow": "allow", "deny": "block", "bypass": "bypass", "non_identity": "service_auth"}

// policyPointer says what of a policy's body an error is about.
func policyPointer(err error) string {
	if fault.Rule(err) == "precedence" {
		return "/precedence"
	}
	return ""
}

// readAttached reads an element of an application's policies: an id, an object
// with an id and a precedence, or a policy itself.
func readAttached(raw json.RawMessage, pointer string) (in inventory.PolicyInput, err error) {
	if len(raw) > 0 && raw[0] == '"' {
		in.ID, err = readText(raw, pointer)
		if err == nil && in.ID == "" {
			err = missing(pointer)
		}
		return in, err
	}
	o, err := readObject(raw, pointer)
	if err != nil {
		return in, err
	}
	id, _, err := o.text("id")
	if err != nil {
		return in, err
	}
	in, err = readPolicy(o, id != "")
	in.ID = id
	return in, err
}

// readPolicy reads a policy. Where it may, one without a rule leaves the rules
// as they stand.
func readPolicy(o object, bare bool) (in inventory.PolicyInput, err error) {
	if err := policyFields.check(o); err != nil {
		return in, err
	}
	if in.Precedence, err = o.count("precedence"); err != nil {
		return in, err
	}
	says := func(name string) bool { _, there := o.fields[name]; return there }
	if bare && !slices.ContainsFunc(ruleFields, says) {
		return in, nil
	}
	in.Rules = &inventory.Policy{}
	return in, readRules(o, in.Rules)
}

func readRules(o object, p *inventory.Policy) (err error) {
	if p.Name, _, err = o.text("name"); err != nil {
		return err
	}
	if err := inventory.CheckName(p.Name); err != nil {
		return &located{o.place("name"), err}
	}
	decision, given, err := o.text("decision")
	if err != nil {
		return err
	}
	if !given {
		return missing(o.place("decision"))
	}
	if p.Action = actions[decision]; p.Action == "" {
		return at(o.place("decision"), fault.New(fault.Invalid, "decision", "there is no decision %.40q", decision).WithHint("send allow, deny, non_identity or bypass"))
	}
	if p.SessionDuration, err = readSession(o); err != nil {
		return err
	}
	if p.Include, err = readSelectors(o, "include"); err != nil {
		return err
	}
	if p.Require, err = readSelectors(o, "require"); err != nil {
		return err
	}
	if p.Exclude, err = readSelectors(o, "exclude"); err != nil {
		return err
	}
	if len(p.Include) == 0 {
		return missing(o.place("include"))
	}
	return nil
}

// readSession reads how long sessions are, "" if it is not given.
func readSession(o object) (string, error) {
	text, _, err := o.text("session_duration")
	if err != nil || text == "" {
		return "", err
	}
	return text, at(o.place("session_duration"), inventory.CheckSession(text))
}

func readSelectors(o object, name string) ([]inventory.Selector, error) {
	elements, err := o.list(name)
	if err != nil {
		return nil, err
	}
	list := make([]inventory.Selector, len(elements))
	for i, raw := range elements {
		if list[i], err = readSelector(raw, o.place(name)+"/"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readSelector reads {"ip": {"ip": "10.0.0.0/8"}}. One that cannot work here is
// refused by its name: left out of an exclusion or a requirement it would admit.
func readSelector(raw json.RawMessage, pointer string) (s inventory.Selector, err error) {
	o, err := readObject(raw, pointer)
	if err != nil {
		return s, err
	}
	keys := slices.Sorted(maps.Keys(o.fields))
	if len(keys) != 1 {
		return s, at(pointer, fault.New(fault.Invalid, "selector", "a selector has one key, and this one has %d", len(keys)).WithHint(`write one such as {"certificate": {}}`))
	}
	key, place := keys[0], o.place(keys[0])
	if _, ok := access.KeyNamed(key); !ok && key != access.Certificate && key != access.Everyone {
		_, err := inventory.NewSelector(key, nil, "")
		return s, at(place, err)
	}
	inner, err := readObject(o.fields[key], place)
	if err != nil {
		return s, err
	}
	if err := (vocabulary{known: []string{key, "ca"}}).check(inner); err != nil {
		return s, err
	}
	return readCondition(inner, key)
}

func readCondition(inner object, key string) (s inventory.Selector, err error) {
	ca, _, err := inner.text("ca")
	if err != nil {
		return s, err
	}
	var values []string
	if raw := inner.given(key); raw != nil && raw[0] == '[' {
		values, err = inner.texts(key)
	} else if raw != nil {
		values = make([]string, 1)
		values[0], err = readText(raw, inner.place(key))
	}
	if err != nil {
		return s, err
	}
	s, err = inventory.NewSelector(key, values, ca)
	return s, at(inner.place(key), err)
}
