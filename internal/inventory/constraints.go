package inventory

import (
	"encoding/json"
	"errors"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/san"
)

// Empty reports whether the constraints limit nothing.
func (c Constraints) Empty() bool {
	return len(c.PermitSAN) == 0 && len(c.PermitCN) == 0 && c.MaxLeafLifetime == 0
}

// MarshalJSON writes the lifetime as people do, "90d", and "" for none.
func (c Constraints) MarshalJSON() ([]byte, error) {
	lifetime := ""
	if c.MaxLeafLifetime != 0 {
		lifetime = alert.FormatThreshold(c.MaxLeafLifetime)
	}
	return json.Marshal(struct {
		PermitSAN       []string `json:"permit_san"`
		PermitCN        []string `json:"permit_cn"`
		MaxLeafLifetime string   `json:"max_leaf_lifetime"`
	}{append([]string{}, c.PermitSAN...), append([]string{}, c.PermitCN...), lifetime})
}

// normalizeConstraints checks what somebody asks for and spells it in one way:
// every name with its kind. What it lets pass, the enforcer understands; one
// pattern that it did not would keep every change of trust from taking effect.
func normalizeConstraints(c *Constraints) (*Constraints, []string, error) {
	if c == nil {
		return nil, nil, nil
	}
	out := &Constraints{PermitSAN: []string{}, PermitCN: []string{}, MaxLeafLifetime: c.MaxLeafLifetime}
	if c.MaxLeafLifetime < 0 {
		return nil, nil, fault.New(fault.Invalid, "constraint", "the longest lifetime of a leaf is negative").
			WithField("max_leaf_lifetime").WithHint("give a span such as 90d")
	}
	for _, text := range c.PermitSAN {
		name, err := san.Parse(text)
		if err != nil {
			return nil, nil, atField("permit_san", err)
		}
		out.PermitSAN = append(out.PermitSAN, name.String())
	}
	for _, text := range c.PermitCN {
		if _, err := san.ParseCN(text); err != nil {
			return nil, nil, atField("permit_cn", err)
		}
		out.PermitCN = append(out.PermitCN, text)
	}
	var warnings []string
	if len(out.PermitSAN) > 0 && len(out.PermitCN) == 0 {
		warnings = []string{"the common name stays unconstrained: policies by common_name admit any name that this CA writes; limit it by --permit-cn"}
	}
	return out, warnings, nil
}

// atField names the input that a refusal concerns.
func atField(field string, err error) error {
	if refused, ok := errors.AsType[*fault.Error](err); ok {
		return refused.WithField(field)
	}
	return err
}
