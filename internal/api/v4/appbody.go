package v4

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

const selfHosted = "self_hosted"

// inert are the fields that ask for nothing that could be missed: they are
// taken and shown again, since clients compare, and have no effect.
var inert = map[string]string{
	"app_launcher_visible": "there is no App Launcher", "logo_url": "there is no App Launcher", "tags": "nothing here goes by tags",
	"skip_interstitial": "there is no interstitial page",
}

var applicationFields = vocabulary{
	known: []string{
		"name", "type", "domain", "domain_type", "destinations", "self_hosted_domains", "origin", "session_duration",
		"custom_deny_message", "custom_non_identity_deny_url", "options_preflight_bypass", "http_only_cookie_attribute",
		"same_site_cookie_attribute", "path_cookie_attribute", "policies",
		"app_launcher_visible", "logo_url", "tags", "skip_interstitial",
		"id", "uid", "aud", "created_at", "updated_at", "warnings", "read_only",
	},
	foreign: map[string]string{
		"allowed_idps":                noIdentityProvider,
		"auto_redirect_to_identity":   noIdentityProvider,
		"custom_deny_url":             noIdentityProvider + "; custom_non_identity_deny_url is for those whom a certificate does not admit",
		"custom_pages":                "a page of one's own is declared in the configuration: custom_deny_page",
		"cors_headers":                "the origin sends them; options_preflight_bypass lets preflights pass",
		"enable_binding_cookie":       "the cookie is bound to the certificate as it is",
		"service_auth_401_redirect":   "denials are 403 here",
		"allow_authenticate_via_warp": "nothing here knows WARP",
		"allow_iframe":                "pages of the gateway are never shown in frames",
		"mfa_config":                  noIdentityProvider,
		"oauth_configuration":         noIdentityProvider,
		"scim_config":                 noIdentityProvider,
		"saas_app":                    "only self_hosted applications are guarded here",
		"target_criteria":             "only self_hosted applications are guarded here",
		"gateway_rules":               "there are no gateway rules",
		"private_address":             "only public host names are guarded here",

		"read_service_tokens_from_header":           noServiceTokens,
		"use_clientless_isolation_app_launcher_url": "there is no browser isolation",
	},
}

const (
	noIdentityProvider = "there is no identity provider"
	noServiceTokens    = "there are no service tokens, only certificates"
)

// An applicationBody is what a request says of an application.
type applicationBody struct {
	name     *string // nil = as it is
	origin   *string // nil = as it is
	places   []inventory.Place
	primary  int
	placedBy string // pointer to what says the places; "" = they are as they are
	policies *[]inventory.PolicyInput

	settings inventory.Application // the rest: what is left out has its default
}

// apply changes an application as the body says.
func (b applicationBody) apply(a *inventory.Application) {
	if b.name != nil {
		a.Name = *b.name
	}
	if b.origin != nil {
		a.Origin = *b.origin
	}
	if b.placedBy != "" {
		a.Places, a.Primary = b.places, b.primary
	}
	s := b.settings
	a.SessionDuration, a.DenyMessage, a.DenyURL = s.SessionDuration, s.DenyMessage, s.DenyURL
	a.OptionsPreflightBypass, a.Cookie, a.Inert = s.OptionsPreflightBypass, s.Cookie, s.Inert
}

// pointerOf says what of the body an error is about.
func (b applicationBody) pointerOf(err error) string {
	switch fault.Rule(err) {
	case "place":
		return b.placedBy
	case "deny_url":
		return "/custom_non_identity_deny_url"
	case "precedence":
		return "/policies"
	}
	return ""
}

func readApplication(w http.ResponseWriter, c call) (b applicationBody, err error) {
	o, err := readBody(w, c.Request)
	if err != nil {
		return b, err
	}
	if err := checkType(o); err != nil {
		return b, err
	}
	for _, read := range []func(object) error{b.readName, b.readPlaces, b.readDenial, b.readCookie, b.readRest, b.readInert, b.readPolicies, applicationFields.check} {
		if err := read(o); err != nil {
			return b, err
		}
	}
	return b, nil
}

func checkType(o object) error {
	kind, _, err := o.text("type")
	if err != nil {
		return err
	}
	if kind != "" && kind != selfHosted {
		return at("/type", fault.New(fault.Invalid, "application_type", "app type is missing or invalid: applications of type %.40q are not guarded here", kind).WithHint("send self_hosted"))
	}
	if kind, _, err = o.text("domain_type"); err == nil && kind != "" && kind != "public" {
		err = at("/domain_type", fault.New(fault.Invalid, "domain_type", "domains of type %.40q are not guarded here", kind).WithHint("send public"))
	}
	return err
}

func (b *applicationBody) readName(o object) error {
	name, given, err := o.text("name")
	if err != nil || !given {
		return err
	}
	b.name = &name
	return at("/name", inventory.CheckName(name))
}

// readPlaces takes destinations before self_hosted_domains, and both before
// domain, which then says which of them the application goes by.
func (b *applicationBody) readPlaces(o object) error {
	list, err := b.readDestinations(o)
	if err != nil {
		return err
	}
	domain, _, err := o.text("domain")
	if err != nil {
		return err
	}
	b.places = list
	if domain == "" {
		return nil
	}
	place, err := readPlace(domain, "/domain")
	if err != nil {
		return err
	}
	if b.placedBy == "" {
		b.places, b.placedBy = []inventory.Place{place}, "/domain"
		return nil
	}
	for i, p := range list {
		if p == place {
			b.primary = i
			return nil
		}
	}
	return at("/domain", fault.New(fault.Invalid, "domain", "the domain %s is not among %s", place, strings.TrimPrefix(b.placedBy, "/")).WithHint("name it there too, or leave it out"))
}

func (b *applicationBody) readDestinations(o object) (places []inventory.Place, err error) {
	for _, source := range []struct {
		name string
		read func(raw json.RawMessage, pointer string) (inventory.Place, error)
	}{{"destinations", readPublicPlace}, {"self_hosted_domains", readDomain}} {
		elements, err := o.list(source.name)
		if err != nil {
			return nil, err
		}
		if len(elements) == 0 || len(places) > 0 {
			continue
		}
		b.placedBy = "/" + source.name
		for i, raw := range elements {
			p, err := source.read(raw, b.placedBy+"/"+strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			places = append(places, p)
		}
	}
	return places, nil
}

func readPublicPlace(raw json.RawMessage, pointer string) (inventory.Place, error) {
	o, err := readObject(raw, pointer)
	if err != nil {
		return inventory.Place{}, err
	}
	kind, _, err := o.text("type")
	if err != nil {
		return inventory.Place{}, err
	}
	if kind != "" && kind != "public" {
		return inventory.Place{}, at(o.place("type"), fault.New(fault.Invalid, "destination_type", "destinations of type %.40q are not guarded here", kind).WithHint("send public"))
	}
	if err := (vocabulary{known: []string{"type", "uri"}}).check(o); err != nil {
		return inventory.Place{}, err
	}
	uri := o.given("uri")
	if uri == nil {
		return inventory.Place{}, missing(o.place("uri"))
	}
	return readDomain(uri, o.place("uri"))
}

func readDomain(raw json.RawMessage, pointer string) (inventory.Place, error) {
	text, err := readText(raw, pointer)
	if err != nil {
		return inventory.Place{}, err
	}
	return readPlace(text, pointer)
}

// readPlace reads a host name with an optional path.
func readPlace(text, pointer string) (inventory.Place, error) {
	host, path, _ := strings.Cut(text, "/")
	name, err := hostname.NormalizePattern(host)
	if err == nil {
		err = access.CheckPath("/" + path)
	}
	return inventory.Place{Hostname: name, Path: "/" + path}, at(pointer, err)
}

func (b *applicationBody) readDenial(o object) (err error) {
	if b.settings.DenyMessage, _, err = o.text("custom_deny_message"); err != nil {
		return err
	}
	if err := at("/custom_deny_message", access.CheckMessage(b.settings.DenyMessage)); err != nil {
		return err
	}
	if b.settings.DenyURL, _, err = o.text("custom_non_identity_deny_url"); err != nil || b.settings.DenyURL == "" {
		return err
	}
	return at("/custom_non_identity_deny_url", access.CheckDenyURL(b.settings.DenyURL))
}

func (b *applicationBody) readCookie(o object) (err error) {
	c := &b.settings.Cookie
	httpOnly, err := o.flagOr("http_only_cookie_attribute", true)
	if err != nil {
		return err
	}
	c.Readable = !httpOnly
	if c.ScopePath, err = o.flag("path_cookie_attribute"); err != nil {
		return err
	}
	if c.SameSite, _, err = o.text("same_site_cookie_attribute"); err != nil {
		return err
	}
	switch c.SameSite {
	case "", "none", "lax", "strict":
		return nil
	}
	return at("/same_site_cookie_attribute", fault.New(fault.Invalid, "same_site", "a cookie has no SameSite %.40q", c.SameSite).WithHint("send none, lax or strict"))
}

func (b *applicationBody) readRest(o object) (err error) {
	if b.settings.OptionsPreflightBypass, err = o.flag("options_preflight_bypass"); err != nil {
		return err
	}
	if b.settings.SessionDuration, err = readSession(o); err != nil {
		return err
	}
	if b.settings.SessionDuration == "" {
		b.settings.SessionDuration = "24h"
	}
	origin, given, err := o.text("origin")
	if err == nil && given {
		b.origin = &origin
	}
	return err
}

// readInert keeps what has no effect, as far as it is what it should be.
func (b *applicationBody) readInert(o object) error {
	b.settings.Inert = map[string]json.RawMessage{}
	for name := range inert {
		raw := o.given(name)
		if raw == nil {
			continue
		}
		var err error
		switch name {
		case "logo_url":
			_, _, err = o.text(name)
		case "tags":
			_, err = o.texts(name)
		default:
			_, err = o.flag(name)
		}
		if err != nil {
			return err
		}
		b.settings.Inert[name] = raw
	}
	return nil
}

func (b *applicationBody) readPolicies(o object) error {
	if o.given("policies") == nil {
		return nil
	}
	elements, err := o.list("policies")
	if err != nil {
		return err
	}
	list := make([]inventory.PolicyInput, len(elements))
	for i, raw := range elements {
		if list[i], err = readAttached(raw, "/policies/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	b.policies = &list
	return nil
}
