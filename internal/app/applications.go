package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

// Guarded returns all applications: those that a configuration declares, and
// those that a store holds.
func Guarded(ctx context.Context, declared []config.Application, s *store.Store) ([]inventory.Application, error) {
	all, err := s.Access(ctx)
	return slices.Concat(declaredApplications(declared), all.Applications), err
}

// declaredApplications tells of applications of the configuration what those
// of the API have too, and what the walks over both ask for.
func declaredApplications(apps []config.Application) []inventory.Application {
	out := make([]inventory.Application, 0, len(apps))
	for _, a := range apps {
		app := inventory.Application{
			ID: objectID("application", a.Name), Name: a.Name, Declared: true, Origin: a.Origin,
			Places:          []inventory.Place{{Hostname: a.Hostname, Path: a.Path}},
			SessionDuration: shortDuration(a.SessionDuration.Duration), DenyMessage: a.DenyMessage, DenyURL: a.DenyURL,
			OptionsPreflightBypass: a.OptionsPreflightBypass, ForwardingGiven: a.ForwardingGiven, Forwarding: a.Forwarding,
			Policies: []inventory.AttachedPolicy{},
		}
		for i, p := range a.Policies {
			app.Policies = append(app.Policies, inventory.AttachedPolicy{Precedence: i + 1, Policy: inventory.Policy{
				ID: objectID("policy", a.Name+"\x00"+p.Name), Name: p.Name, Action: p.Action, Declared: true,
				Include: declaredSelectors(p.Include), Require: declaredSelectors(p.Require), Exclude: declaredSelectors(p.Exclude),
			}})
		}
		out = append(out, app)
	}
	return out
}

func declaredSelectors(list []config.Selector) []inventory.Selector {
	out := make([]inventory.Selector, 0, len(list))
	for _, s := range list {
		key, values := s.Condition()
		out = append(out, inventory.Selector{Key: key, Values: values, CA: s.CA})
	}
	return out
}

// shortDuration writes a span without the units that are nought: 24h.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// storedApplications translates the applications of the API, each once for
// every place where it answers. It refuses those that have nowhere to send
// requests to.
func storedApplications(cfg *config.Config, stored []inventory.Application) ([]enforcer.Application, error) {
	if err := checkCollision(cfg, stored); err != nil {
		return nil, err
	}
	var out []enforcer.Application
	for _, a := range stored {
		common, err := storedApplication(a)
		if err != nil {
			return nil, fmt.Errorf("application %q of the API: %w", a.Name, err)
		}
		for _, p := range a.Places {
			app := common
			app.Hostname, app.Path = p.Hostname, p.Path
			if err := giveOrigin(&app, a, cfg, stored); err != nil {
				return nil, err
			}
			out = append(out, app)
		}
	}
	return out, nil
}

// checkCollision names an application of the configuration and one of the API
// that cannot be both.
func checkCollision(cfg *config.Config, stored []inventory.Application) error {
	c := inventory.Collide(slices.Concat(declaredApplications(cfg.Applications), stored))
	if c == nil {
		return nil
	}
	what := fmt.Sprintf("have one name, %q", c.First.Name)
	if c.Place != nil {
		what = fmt.Sprintf("(%q and %q) both answer to %s", c.First.Name, c.Second.Name, c.Place)
	}
	return fault.New(fault.Conflict, "collision", "the application %s of %s and the application %s that the API made %s", c.First.ID, cfg.File, c.Second.ID, what).
		WithField("application").WithHint("give the one in the file another name, host name or path, or delete the other by the API: DELETE …/access/apps/%s", c.Second.ID)
}

func storedApplication(a inventory.Application) (enforcer.Application, error) {
	session, err := time.ParseDuration(a.SessionDuration)
	if err != nil {
		return enforcer.Application{}, err
	}
	out := enforcer.Application{
		ID: a.ID, Name: a.Name, AUD: a.AUD, SessionDuration: session, Forwarding: enforcer.ForwardOff,
		OptionsPreflightBypass: a.OptionsPreflightBypass, Deny: enforcer.Denial{Message: a.DenyMessage},
		Cookie: enforcer.Cookie{Readable: a.Cookie.Readable, SameSite: sameSite[a.Cookie.SameSite], ScopePath: a.Cookie.ScopePath},
	}
	if a.DenyURL != "" {
		if out.Deny.URL, err = url.Parse(a.DenyURL); err != nil {
			return enforcer.Application{}, err
		}
	}
	for _, p := range a.Policies {
		policy := enforcer.Policy{
			Name: p.Name, Action: enforcer.Action(p.Action),
			Include: storedSelectors(p.Include), Require: storedSelectors(p.Require), Exclude: storedSelectors(p.Exclude),
		}
		if p.SessionDuration != "" {
			if policy.SessionDuration, err = time.ParseDuration(p.SessionDuration); err != nil {
				return enforcer.Application{}, err
			}
		}
		out.Policies = append(out.Policies, policy)
	}
	return out, nil
}

var sameSite = map[string]http.SameSite{"none": http.SameSiteNoneMode, "lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode}

func storedSelectors(list []inventory.Selector) []enforcer.Selector {
	out := make([]enforcer.Selector, 0, len(list))
	for _, s := range list {
		selector := enforcer.Selector{CA: s.CA, Certificate: s.Key == access.Certificate, Everyone: s.Key == access.Everyone}
		switch s.Key {
		case "common_name":
			selector.CommonName = s.Values
		case "ip":
			if prefixes := access.Prefixes(s.Values); len(prefixes) == len(s.Values) {
				selector.IP = prefixes // else none: an exclusion that lacks a network would admit it
			}
		case "san_dns":
			selector.SANDNS = s.Values
		case "san_uri":
			selector.SANURI = s.Values
		case "issuer":
			selector.Issuer = s.Values
		case "serial":
			selector.Serial = s.Values
		case "fingerprint":
			selector.Fingerprint = s.Values
		} // any other has no field set, which the enforcer refuses
		out = append(out, selector)
	}
	return out
}

// giveOrigin says where an application of the API sends its requests: to its
// own origin, guarded; else as the nearest application that encloses its place
// does; else to the configuration's default.
func giveOrigin(app *enforcer.Application, a inventory.Application, cfg *config.Config, stored []inventory.Application) (err error) {
	guard := &egress.Policy{AllowPrivate: cfg.Enforcer.AllowPrivateOrigins}
	if a.Origin != "" {
		app.Origin, err = url.Parse(a.Origin)
		app.OriginGuard = guard
		return err
	}
	length := -1
	for _, d := range cfg.Applications {
		if encloses(d.Hostname, d.Path, app) && len(d.Path) > length {
			from := application(d)
			app.Origin, app.OriginTLS, app.ConnectTimeout, app.OriginTimeout = from.Origin, from.OriginTLS, from.ConnectTimeout, from.OriginTimeout
			length = len(d.Path)
		}
	}
	for _, other := range stored {
		for _, p := range other.Places {
			if other.Origin != "" && encloses(p.Hostname, p.Path, app) && len(p.Path) > length {
				if app.Origin, err = url.Parse(other.Origin); err != nil {
					return err
				}
				app.OriginTLS, app.ConnectTimeout, app.OriginTimeout, app.OriginGuard = enforcer.OriginTLS{}, 0, 0, guard
				length = len(p.Path)
			}
		}
	}
	if app.Origin == nil && cfg.Enforcer.DefaultOrigin != "" {
		app.Origin, err = url.Parse(cfg.Enforcer.DefaultOrigin)
		return err
	}
	if app.Origin == nil {
		return noOrigin(app)
	}
	return nil
}

// encloses reports whether a place holds that of an application.
func encloses(hostname, path string, app *enforcer.Application) bool {
	return hostname == app.Hostname && below(app.Path, path)
}

// below reports whether one path prefix is within another.
func below(path, outer string) bool {
	return path != outer && (outer == "/" || strings.HasPrefix(path, outer+"/"))
}

func noOrigin(app *enforcer.Application) error {
	place := inventory.Place{Hostname: app.Hostname, Path: app.Path}
	return fault.New(fault.Invalid, "origin", "the application %q of the API has no origin: nothing says where requests for %s go", app.Name, place).
		WithField("origin").WithHint(`send "origin" with it, such as "https://orders.internal.example.com", or set default_origin in [enforcer] of the configuration`)
}
