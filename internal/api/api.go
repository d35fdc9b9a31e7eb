// Package api serves the admin listener: renewals, revocation lists, health and
// metrics. It decodes, authorises, calls and encodes; the rules of what may be done are in
// internal/inventory.
//
// Every error is application/problem+json (RFC 9457) with a request id. What
// went wrong inside is logged under that id and shown as "internal error".
// Neither secrets nor what was uploaded are logged.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/api/openapi"
	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/ratelimit"
)

// A Renewer carries out renewals. It may be called concurrently. Its errors
// are faults; any other error is internal.
type Renewer interface {
	Renew(ctx context.Context, r inventory.RenewRequest) (inventory.Renewal, error)
}

// A Revoker takes revocation lists in. It may be called concurrently. Its
// errors are faults; any other error is internal.
type Revoker interface {
	AddCRL(ctx context.Context, u inventory.CRLUpload) (inventory.CRLReport, error)
}

// Tokens holds the credentials. All methods may be called concurrently.
type Tokens interface {
	// TokenByHash returns the token whose secret has this SHA-256, expired or
	// not, or fault.NotFound.
	TokenByHash(ctx context.Context, hash []byte) (inventory.Token, error)
	// TouchToken records that a token was used.
	TouchToken(ctx context.Context, id string, at time.Time) error
}

// Options are what the handler needs. Renewer and Tokens are required.
type Options struct {
	Renewer Renewer
	Tokens  Tokens
	Revoker Revoker                     // nil = no POST /crls
	V4      v4.Options                  // its Authorize, RequestID, Now and Logger are set here; without a Reader there is no such API
	Links   Links                       // of messages; nil = there are none
	Linked  LinkRenewer                 // carries out what they are for; required with Links
	Decider Decider                     // nil = no /proposals
	Handler Handler                     // nil = nothing is acknowledged here
	Ready   func(context.Context) error // nil = always ready
	Metrics http.Handler                // of GET /metrics; nil = none
	Version string                      // of the product, for /openapi.json
	Public  func() string               // the address by which browsers reach the listener; nil = by the one they ask for
	Now     func() time.Time
	Logger  *slog.Logger
}

// A server holds what the handlers share.
type server struct {
	renewer Renewer
	revoker Revoker
	tokens  Tokens
	v4      *v4.Handler // nil = none
	ready   func(context.Context) error
	now     func() time.Time
	log     *slog.Logger
	public  func() string
	refusal *ratelimit.Limiter // of failed authentication

	links       Links
	linkRenewer LinkRenewer
	decider     Decider
	handler     Handler // nil = none

	routes   []openapi.Route
	document []byte // of GET /openapi.json
}

// A Surface is all that the admin listener answers. It may be used
// concurrently.
type Surface struct {
	http.Handler

	routes []openapi.Route
}

// Routes returns what is answered, HEAD aside.
func (h *Surface) Routes() []openapi.Route { return slices.Clone(h.routes) }

// New returns what the admin listener answers.
func New(o Options) (*Surface, error) {
	if o.Renewer == nil || o.Tokens == nil {
		return nil, errors.New("api: a renewer and tokens are required")
	}
	if o.Links != nil && o.Linked == nil {
		return nil, errors.New("api: links need somebody who carries out what they are for")
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	if o.Public == nil {
		o.Public = func() string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{renewer: o.Renewer, revoker: o.Revoker, tokens: o.Tokens, ready: o.Ready, now: o.Now, log: o.Logger, public: o.Public, refusal: newLimiter(o.Now), links: o.Links, linkRenewer: o.Linked, decider: o.Decider, handler: o.Handler}
	mux := http.NewServeMux()
	s.route(mux, "/renewals", s.guarded(http.MethodPost, inventory.ScopeRenew, s.renew))
	if o.Revoker != nil {
		s.route(mux, "/crls", s.guarded(http.MethodPost, inventory.ScopeWrite, s.addCRL))
	}
	s.route(mux, "/healthz", open(http.MethodGet, http.HandlerFunc(s.alive)))
	s.route(mux, "/readyz", open(http.MethodGet, s.handle(s.isReady)))
	s.route(mux, "/openapi.json", open(http.MethodGet, http.HandlerFunc(s.describe)))
	if o.Links != nil {
		s.routeLinks(mux)
	}
	if o.Decider != nil {
		s.routeProposals(mux)
	}
	if o.Links != nil || o.Decider != nil {
		s.route(mux, "/assets/{name}", open(http.MethodGet, s.handle(asset)))
	}
	if o.Handler != nil {
		s.routeHandling(mux)
	}
	if o.Metrics != nil {
		s.route(mux, "/metrics", open(http.MethodGet, o.Metrics))
	}
	mux.Handle("/", s.handle(notFound))
	if o.V4.Reader != nil {
		if err := s.openV4(o.V4); err != nil {
			return nil, err
		}
		s.routes = append(s.routes, s.v4.Routes()...)
	}
	document, err := openapi.Document(s.routes, o.Version)
	if err != nil {
		return nil, err
	}
	s.document = document
	return &Surface{Handler: s.wrap(s.front(mux)), routes: s.routes}, nil
}

// A method is what serves one HTTP method of a path.
type method struct {
	name    string
	scope   string // of the token that it takes; "" = it takes none
	handler http.Handler
}

// open is a method that takes no token.
func open(name string, handler http.Handler) method { return method{name: name, handler: handler} }

// guarded is a method that takes a token of a scope.
func (s *server) guarded(name, scope string, serve func(http.ResponseWriter, *http.Request, inventory.Token) error) method {
	return method{name, scope, s.handle(func(w http.ResponseWriter, r *http.Request) error {
		token, err := s.authorize(w, r, scope)
		if err != nil {
			return err
		}
		return serve(w, r, token)
	})}
}

// route registers the methods of a path, and the answer to all others.
func (s *server) route(mux *http.ServeMux, path string, methods ...method) {
	var allow []string
	for _, m := range methods {
		mux.Handle(m.name+" "+path, m.handler)
		s.routes = append(s.routes, openapi.Route{Method: m.name, Path: path, Scope: m.scope})
		allow = append(allow, m.name)
		if m.name == http.MethodGet {
			allow = append(allow, http.MethodHead) // ServeMux answers it by GET
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	mux.Handle(path, s.handle(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return &statusError{status: http.StatusMethodNotAllowed, title: "method not allowed", fault: fault.New(fault.Invalid, "method",
			"%s takes no %.20q", path, r.Method).WithHint("use %s", allowed)}
	}))
}

// handle makes a handler of a function whose error is shown as a problem.
func (s *server) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// describe answers GET /openapi.json with what is described of the routes.
func (s *server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.document) // the client may be gone
}

func notFound(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.NotFound, "route", "there is nothing at this address").
		WithHint("POST /renewals takes renewed certificates; /healthz, /readyz and /metrics tell how the daemon fares; /openapi.json tells what else there is")
}
