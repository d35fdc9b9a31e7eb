// Package v4 speaks the reference product's API for the certificates and the
// hostname settings of mutual TLS, for the alerts of their expiry, and for
// applications and policies, so that its official clients and Terraform work
// unchanged by their base URL. It decodes, authorises, calls and encodes; the
// rules of what may be done are in internal/inventory and internal/alerting.
//
// Every answer is the reference's envelope. What went wrong inside is logged
// under the request's id and shown as an internal error. Neither secrets nor
// what was uploaded are logged.
package v4

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/api/openapi"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Prefix is the path below which everything is this API's.
const Prefix = "/client/v4/"

// A Reader looks at what is stored. It may be called concurrently.
type Reader interface {
	// BundleByID takes whole ids alone; fault.NotFound if there is none.
	BundleByID(ctx context.Context, id string) (inventory.Bundle, error)
	Bundles(ctx context.Context) ([]inventory.Bundle, error)
}

// An Editor changes CAs, each time whole or not at all. It may be called
// concurrently. Its errors are faults; any other error is internal.
type Editor interface {
	AddCA(ctx context.Context, u inventory.Upload) (b inventory.Bundle, created bool, warnings []string, err error)
	UpdateCA(ctx context.Context, u inventory.CAUpdate) (b inventory.Bundle, warnings []string, err error)
	RemoveUnused(ctx context.Context, id string, force bool, check inventory.Check, actor inventory.Actor) error
}

// Settings holds the settings of hostnames. It may be called concurrently.
type Settings interface {
	HostnameSettings(ctx context.Context) ([]inventory.HostnameSetting, error)
	SetHostnameSettings(ctx context.Context, list []inventory.HostnameSetting, check inventory.SettingsCheck, actor inventory.Actor) ([]inventory.HostnameSetting, error)
}

// Options are what the handler needs. All but Keys, AccountID, the remarks,
// Now and Logger are required.
type Options struct {
	Reader       Reader
	Editor       Editor
	Settings     Settings
	Alerting     Alerting
	Applications Applications
	Keys         Keys   // nil = no such routes
	AccountID    string // the one id that is answered, as an account and as a zone; "" = any

	// Authorize returns the token that a request bears if it has the scope, ""
	// meaning any. Its errors are faults; it sets headers that go with them.
	Authorize func(w http.ResponseWriter, r *http.Request, scope string) (inventory.Token, error)
	RequestID func(context.Context) string
	// Remarks tells which settings do not do what they say; nil = none.
	Remarks func(context.Context, []inventory.HostnameSetting) []string
	// ApplicationRemarks tells what of an application is allowed and probably
	// not meant; nil = nothing.
	ApplicationRemarks func(context.Context, inventory.Application) []string
	Now                func() time.Time // nil = time.Now
	Logger             *slog.Logger
}

// A Handler answers what is below [Prefix]. It may be used concurrently.
type Handler struct {
	o      Options
	mux    *http.ServeMux
	routes []openapi.Route
}

// Routes returns what the handler answers, HEAD aside.
func (h *Handler) Routes() []openapi.Route { return slices.Clone(h.routes) }

// New returns the handler.
func New(o Options) (*Handler, error) {
	if o.Reader == nil || o.Editor == nil || o.Settings == nil || o.Alerting == nil || o.Applications == nil || o.Authorize == nil || o.RequestID == nil {
		return nil, errors.New("v4: a reader, an editor, settings, alerting, applications, authorization and request ids are required")
	}
	if o.Remarks == nil {
		o.Remarks = func(context.Context, []inventory.HostnameSetting) []string { return nil }
	}
	if o.ApplicationRemarks == nil {
		o.ApplicationRemarks = func(context.Context, inventory.Application) []string { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{o: o, mux: http.NewServeMux()}
	for _, base := range []string{"accounts/{scope}/", "zones/{scope}/"} { // both address the one store
		h.route(base+"access/certificates",
			operation{http.MethodGet, inventory.ScopeRead, h.listCertificates}, operation{http.MethodPost, inventory.ScopeWrite, h.createCertificate})
		h.route(base+"access/certificates/settings",
			operation{http.MethodGet, inventory.ScopeRead, h.getSettings}, operation{http.MethodPut, inventory.ScopeWrite, h.putSettings})
		h.route(base+"access/certificates/{certificate}",
			operation{http.MethodGet, inventory.ScopeRead, h.getCertificate}, operation{http.MethodPut, inventory.ScopeWrite, h.updateCertificate},
			operation{http.MethodDelete, inventory.ScopeWrite, h.deleteCertificate})
		h.routeApplications(base)
	}
	for _, base := range []string{"user/", "accounts/{scope}/"} {
		h.route(base+"tokens/verify", operation{http.MethodGet, "", verifyToken})
	}
	h.routeAlerting()
	if o.Keys != nil {
		h.routeKeys()
	}
	h.mux.HandleFunc("/", h.noRoute)
	return h, nil
}

// A call is an authorised request.
type call struct {
	*http.Request

	token inventory.Token
	actor inventory.Actor
}

// An operation serves one HTTP method of a path.
type operation struct {
	method, scope string
	serve         func(w http.ResponseWriter, c call) error
}

// route registers the operations of a path, and the answer to other methods.
// It goes by the method itself: to ServeMux, /settings for all methods and
// /{certificate} for one would be at odds.
func (h *Handler) route(path string, operations ...operation) {
	var allow []string
	for _, op := range operations {
		h.routes = append(h.routes, openapi.Route{Method: op.method, Path: Prefix + path, Scope: cmp.Or(op.scope, openapi.AnyScope)})
		if allow = append(allow, op.method); op.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	h.mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		for _, op := range operations {
			if r.Method == op.method || r.Method == http.MethodHead && op.method == http.MethodGet {
				if err := h.serve(w, r, op); err != nil {
					h.Fail(w, r, err)
				}
				return
			}
		}
		w.Header().Set("Allow", allowed)
		h.Fail(w, r, fault.New(fault.Invalid, ruleMethod, "%.20q is not allowed here", r.Method).WithHint("use %s", allowed))
	})
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, op operation) error {
	token, err := h.o.Authorize(w, r, op.scope)
	if err != nil {
		return err
	}
	if id := r.PathValue("scope"); id != "" && h.o.AccountID != "" && id != h.o.AccountID {
		return fault.New(fault.NotFound, ruleAccount, "there is no account or zone %.64q here", id).WithHint("use the account_id that the configuration has")
	}
	actor := inventory.Actor{Kind: inventory.ActorToken, ID: token.ID, RequestID: h.o.RequestID(r.Context())}
	return op.serve(w, call{r, token, actor})
}

// ServeHTTP implements http.Handler. A path that is not clean has no route:
// ServeMux would answer it with a redirect instead of an envelope.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cf-Ray", h.o.RequestID(r.Context()))
	if path.Clean(r.URL.Path) != r.URL.Path {
		h.noRoute(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) noRoute(w http.ResponseWriter, r *http.Request) {
	h.Fail(w, r, fault.New(fault.NotFound, ruleRoute, "could not route to that address").
		WithHint("certificates are at %[1]saccounts/ACCOUNT/access/certificates, applications at %[1]saccounts/ACCOUNT/access/apps", Prefix))
}
