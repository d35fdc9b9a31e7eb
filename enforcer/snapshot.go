package enforcer

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/enforcer/origin"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
)

// Bounds of what one snapshot remembers; beyond them it forgets arbitrary
// entries, which costs time and nothing else.
const (
	maxVerdicts = 16384
	maxTokens   = 16384
	maxConfigs  = 4096
)

// A snapshot is a validated State, compiled for the request path. It is
// read-only but for what it remembers.
type snapshot struct {
	seq        uint64 // orders the snapshots of one enforcer
	sites      names[*site]
	sets       names[*authorities]
	empty      *authorities // of names without any: denies
	revocation revocation
	limits     limits
	usage      x509.ExtKeyUsage // that clients need
	requireEKU bool
	trusted    []netip.Prefix
	fallback   string // the default host name

	certificates []tls.Certificate
	tickets      bool
	configs      *memo[configKey, *hostConfig]

	issuer string
	signer *signer
	jwks   []byte

	verdicts *memo[verdictKey, *verdict]
	tokens   *memo[tokenKey, *tokens]

	now      func() time.Time // measures verdicts
	verified func(took time.Duration, remembered bool)
}

// An application is compiled for the request path.
type application struct {
	name       string
	path       string
	origin     *origin.Target
	base       string // of the origin's paths, as it is spelled
	aud        string
	session    time.Duration
	reportOnly bool
	forwarding Forwarding
	policies   []policy // in the order of evaluation
	preflight  bool     // CORS preflights pass, anonymous

	deny   Denial
	cookie http.Cookie // that hands the session token to a client, without its value

	disclosure
}

// compile validates the state. It refuses the whole of it for one wrong part:
// half a policy would be another policy.
func (e *Enforcer) compile(state State) (*snapshot, error) {
	s := &snapshot{
		sites:      names[*site]{},
		empty:      newAuthorities(0),
		limits:     limits{certificates: maxChain, bytes: e.limits.MaxChainBytes},
		usage:      x509.ExtKeyUsageClientAuth,
		requireEKU: state.RequireEKU,
		trusted:    slices.Clone(state.TrustedProxies),
		tickets:    state.SessionTickets,
		issuer:     state.Issuer,
		verdicts:   newMemo[verdictKey, *verdict](maxVerdicts),
		tokens:     newMemo[tokenKey, *tokens](maxTokens),
		configs:    newMemo[configKey, *hostConfig](maxConfigs),
		now:        e.now,
		verified:   func(time.Duration, bool) {},
	}
	if e.metrics.Verified != nil {
		s.verified = e.metrics.Verified
	}
	for _, step := range []func(State) error{
		s.compileCertificates, s.compileSites, s.compileAuthorities,
		s.compileRevocation, s.compileKeys, s.compileDefault,
	} {
		if err := step(state); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func refuse(rule, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, rule, format, args...)
}

func (s *snapshot) compileCertificates(state State) error {
	if len(state.Certificates) == 0 {
		return refuse("server_certificate", "the listener has no server certificate").
			WithHint("name at least one in [[enforcer.certificate]]")
	}
	for i, c := range state.Certificates {
		if len(c.Certificate) == 0 || c.PrivateKey == nil || c.Leaf == nil {
			return refuse("server_certificate", "server certificate %d lacks its chain, its key or its parsed leaf", i+1)
		}
	}
	s.certificates = slices.Clone(state.Certificates)
	return nil
}

func (s *snapshot) compileSites(state State) error {
	for i := range state.Applications {
		app, err := compileApplication(&state.Applications[i])
		if err != nil {
			return err
		}
		name := state.Applications[i].Hostname
		at := s.sites[name]
		if at == nil {
			at = &site{hostname: name}
			s.sites[name] = at
		}
		for _, other := range at.apps {
			if other.path == app.path {
				return refuse("application", "applications %q and %q are both at %s%s", other.name, app.name, name, app.path).
					WithHint("give them different paths or remove one")
			}
		}
		at.apps = append(at.apps, app)
	}
	for _, at := range s.sites {
		slices.SortFunc(at.apps, func(a, b *application) int { return len(b.path) - len(a.path) })
		at.nested = len(at.apps) > 1 || at.apps[0].path != "/"
	}
	ownNames(s.sites)
	return checkCircles(s.sites)
}

func compileApplication(a *Application) (*application, error) {
	bad := func(format string, args ...any) error {
		e := refuse("application", format, args...)
		e.Text = "application " + quote(a.Name) + ": " + e.Text
		return e
	}
	if err := checkPattern(a.Hostname); err != nil {
		return nil, bad("%w", err)
	}
	path, ok := canonicalPath(&url.URL{Path: a.Path})
	if !ok || strings.ContainsAny(a.Path, ";%?#") {
		return nil, bad("path %q is not a plain path from the root", a.Path)
	}
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	switch {
	case a.Origin == nil || a.Origin.Host == "" || !slices.Contains([]string{origin.HTTP, origin.HTTPS, origin.H2C}, a.Origin.Scheme):
		return nil, bad("its origin is not an http, https or h2c URL")
	case a.Origin.RawQuery != "" || a.Origin.Fragment != "" || a.Origin.User != nil:
		return nil, bad("its origin has more than scheme, host and path")
	case !isHex(a.AUD):
		return nil, bad("its aud is not 64 lower-case hex digits")
	case a.SessionDuration < time.Second:
		return nil, bad("its session_duration is below a second")
	case a.Cookie.SameSite < 0 || a.Cookie.SameSite > http.SameSiteNoneMode:
		return nil, bad("its cookie has no SameSite %d", a.Cookie.SameSite)
	case !slices.Contains([]Forwarding{"", ForwardOff, ForwardEvery, ForwardFirst}, a.Forwarding):
		return nil, bad("client_certificate_forwarding %q is none of off, every, first", a.Forwarding)
	}
	policies, err := compilePolicies(a.Policies)
	if err != nil {
		return nil, bad("%w", err)
	}
	if err := checkDenial(&a.Deny); err != nil {
		return nil, bad("%w", err)
	}
	tell, err := compileDisclosure(a)
	if err != nil {
		return nil, bad("%w", err)
	}
	return &application{
		name: a.Name, path: path, origin: originOf(a), base: strings.TrimSuffix(a.Origin.EscapedPath(), "/"), aud: a.AUD, session: a.SessionDuration,
		reportOnly: a.ReportOnly, forwarding: a.Forwarding, policies: policies,
		preflight: a.OptionsPreflightBypass, deny: a.Deny, cookie: a.Cookie.at(path), disclosure: tell,
	}, nil
}

func (s *snapshot) compileAuthorities(state State) error {
	s.sets = names[*authorities]{}
	for i := range state.Bundles {
		b := &state.Bundles[i]
		for _, name := range b.Hostnames {
			if err := checkPattern(name); err != nil {
				return refuse("bundle", "bundle %q: %w", b.Name, err)
			}
			set := s.sets[name]
			if set == nil {
				set = newAuthorities(len(s.sets) + 1)
				s.sets[name] = set
			}
			if err := set.add(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *snapshot) compileKeys(state State) error {
	if state.Issuer == "" || strings.HasSuffix(state.Issuer, "/") {
		return refuse("issuer", "issuer %q is empty or ends in a slash", state.Issuer)
	}
	var err error
	if s.signer, err = newSigner(state.SigningKeys); err != nil {
		return err
	}
	s.jwks, err = publish(state.SigningKeys)
	return err
}

func (s *snapshot) compileDefault(state State) error {
	if state.DefaultHostname == "" {
		return nil
	}
	name, err := hostname.Normalize(state.DefaultHostname)
	if err != nil {
		return refuse("default_hostname", "default_hostname: %w", err)
	}
	if _, ok := s.sites.find(name); !ok {
		return refuse("default_hostname", "default_hostname %q has no application", name).
			WithHint("name the host of an application, or leave it empty to refuse clients without SNI")
	}
	s.fallback = name
	return nil
}

// checkPattern wants the one spelling that the resolver compares by.
func checkPattern(pattern string) error {
	name, err := hostname.NormalizePattern(pattern)
	if err != nil {
		return err
	}
	if name != pattern {
		return refuse("hostname", "host name %q is not normalised: %q", pattern, name)
	}
	return nil
}

func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func quote(s string) string { return `"` + s + `"` }

// newRequestID returns 128 random bits, which say nothing about anything.
func newRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}
