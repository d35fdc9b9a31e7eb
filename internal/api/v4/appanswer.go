package v4

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/certvigil/certvigil/internal/inventory"
)

// An application is what the reference product says of one. What it says of
// identity providers is the same for all of ours.
type application struct {
	ID                string        `json:"id"`
	UID               string        `json:"uid"`
	AUD               string        `json:"aud"`
	Name              string        `json:"name"`
	Type              string        `json:"type"`
	Domain            string        `json:"domain"`
	SelfHostedDomains []string      `json:"self_hosted_domains"`
	Destinations      []publicPlace `json:"destinations"`
	Origin            string        `json:"origin"` // not the reference's; "" = inherited
	SessionDuration   string        `json:"session_duration"`

	DenyMessage     string `json:"custom_deny_message"`
	DenyURL         string `json:"custom_non_identity_deny_url"`
	PreflightBypass bool   `json:"options_preflight_bypass"`
	HTTPOnly        bool   `json:"http_only_cookie_attribute"`
	SameSite        string `json:"same_site_cookie_attribute"`
	PathCookie      bool   `json:"path_cookie_attribute"`

	AllowedIDPs            []string `json:"allowed_idps"`
	AutoRedirect           bool     `json:"auto_redirect_to_identity"`
	BindingCookie          bool     `json:"enable_binding_cookie"`
	ServiceAuth401Redirect bool     `json:"service_auth_401_redirect"`

	AppLauncherVisible json.RawMessage `json:"app_launcher_visible,omitempty"`
	LogoURL            json.RawMessage `json:"logo_url,omitempty"`
	Tags               json.RawMessage `json:"tags,omitempty"`
	SkipInterstitial   json.RawMessage `json:"skip_interstitial,omitempty"`

	Policies  []policy   `json:"policies"`
	CreatedAt *time.Time `json:"created_at,omitempty"` // none of what is declared
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	ReadOnly  bool       `json:"read_only,omitempty"` // declared by the configuration
	Warnings  []string   `json:"warnings,omitempty"`
}

type publicPlace struct {
	Type string `json:"type"`
	URI  string `json:"uri"`
}

func applicationOf(a inventory.Application, warnings []string) application {
	out := application{
		ID: a.ID, UID: a.ID, AUD: a.AUD, Name: a.Name, Type: selfHosted, Domain: a.Places[a.Primary].String(),
		Origin: a.Origin, SessionDuration: a.SessionDuration, DenyMessage: a.DenyMessage, DenyURL: a.DenyURL,
		PreflightBypass: a.OptionsPreflightBypass, HTTPOnly: !a.Cookie.Readable, SameSite: a.Cookie.SameSite, PathCookie: a.Cookie.ScopePath,
		AllowedIDPs: []string{}, AppLauncherVisible: a.Inert["app_launcher_visible"], LogoURL: a.Inert["logo_url"],
		Tags: a.Inert["tags"], SkipInterstitial: a.Inert["skip_interstitial"],
		Policies: make([]policy, len(a.Policies)), ReadOnly: a.Declared, Warnings: warnings,
	}
	out.CreatedAt, out.UpdatedAt = given(a.CreatedAt), given(a.UpdatedAt)
	for _, p := range a.Places {
		out.SelfHostedDomains = append(out.SelfHostedDomains, p.String())
		out.Destinations = append(out.Destinations, publicPlace{"public", p.String()})
	}
	for i, p := range a.Policies {
		out.Policies[i] = policyOf(p)
	}
	return out
}

// inertRemarks tells what was taken and has no effect.
func inertRemarks(a inventory.Application) (remarks []string) {
	for _, name := range slices.Sorted(maps.Keys(a.Inert)) {
		if !isNeutral(a.Inert[name]) {
			remarks = append(remarks, name+" has no effect: "+inert[name])
		}
	}
	return remarks
}
