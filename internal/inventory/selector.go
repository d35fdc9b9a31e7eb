package inventory

import (
	"slices"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/fault"
)

// A Selector is one condition of a policy. CA narrows it to clients of the
// bundle of that name.
type Selector struct {
	Key    string   `json:"key"`              // access.Certificate, access.Everyone or one of access.Keys
	Values []string `json:"values,omitempty"` // alternatives, in the form that the enforcer compares
	CA     string   `json:"ca,omitempty"`
}

// NewSelector checks a selector and brings its values into their one form. An
// error of rule "selector" is about the key, any other about a value.
func NewSelector(key string, values []string, ca string) (Selector, error) {
	s := Selector{Key: key, CA: ca}
	if key == access.Certificate || key == access.Everyone {
		return s, nil
	}
	k, ok := access.KeyNamed(key)
	if !ok {
		return Selector{}, fault.New(fault.Invalid, "selector", "there is no selector %.64q here: %s", key, foreign(key)).
			WithHint("use certificate, everyone, common_name, ip, san_dns, san_uri, issuer, serial or fingerprint")
	}
	if len(values) == 0 {
		return Selector{}, fault.New(fault.Invalid, "selector_value", "the selector %s has no value, so it matches nobody", key).WithHint("%s", k.Hint)
	}
	for _, v := range values {
		form, err := k.Form(v)
		if err != nil {
			return Selector{}, fault.New(fault.Invalid, "selector_value", "the selector %s: %w", key, err).WithHint("%s", k.Hint)
		}
		if !slices.Contains(s.Values, form) {
			s.Values = append(s.Values, form)
		}
	}
	return s, nil
}

// Name returns the key if it goes by what any CA of the host name may write
// into a certificate, else "".
func (s Selector) Name() string {
	if k, ok := access.KeyNamed(s.Key); ok && k.Given {
		return k.Name
	}
	return ""
}

// foreign says why a selector of the reference product cannot work here.
func foreign(key string) string {
	switch key {
	case "email", "email_list", "email_domain", "login_method", "gsuite", "github-organization", "azureAD", "okta", "saml", "oidc", "auth_method", "auth_context", "user_risk_score":
		return "there is no identity provider"
	case "service_token", "any_valid_service_token", "linked_app_token":
		return "there are no service tokens, only certificates"
	case "group", "ip_list":
		return "there are no groups and lists; name their members one by one"
	case "geo", "device_posture", "external_evaluation":
		return "nothing here knows it of a client"
	}
	return "it is not known"
}
