package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
)

// A Question is a request that nobody has sent yet.
type Question struct {
	Host, Path, Method string
	Certificates       []byte     // PEM, the client's own first; may be empty
	Addr               netip.Addr // of the client; the zero Addr is in no prefix
	At                 time.Time
}

// An Explanation is what the listener would do with a request, and why.
type Explanation = enforcer.Explanation

// Explain answers a question as a listener of this configuration and store
// would, by its own code.
func Explain(ctx context.Context, cfg *config.Config, s *store.Store, q Question) (Explanation, error) {
	asked := enforcer.Question{Host: q.Host, Path: q.Path, Method: q.Method, Addr: q.Addr.Unmap().WithZone(""), At: q.At}
	var err error
	if len(q.Certificates) > 0 {
		if asked.Chain, err = cert.ParsePEMCertificates(q.Certificates); err != nil {
			return Explanation{}, fmt.Errorf("reading the client's certificates: %w", err)
		}
	}
	e, err := enforcer.New(enforcer.Options{Now: func() time.Time { return q.At }, MaxChainBytes: cfg.Enforcer.Limits.ChainBytes})
	if err != nil {
		return Explanation{}, err
	}
	lists := &listCache{store: s, log: slog.New(slog.DiscardHandler)} // without a last good list, one that cannot be read is an error
	state, err := enforcerState(ctx, cfg, s, lists, q.At)
	if err != nil {
		return Explanation{}, err
	}
	if len(state.Applications) == 0 {
		return Explanation{}, fault.New(fault.Invalid, "application", "%s has no [[application]], and the API has made none: there is nothing to be admitted to", cfg.File).
			WithHint("see docs/config.md: guard an application")
	}
	if err := e.Apply(state); err != nil {
		return Explanation{}, err
	}
	return e.Explain(asked)
}
