package api

import (
	"context"
	"net/http"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// readyTimeout keeps a probe from waiting for a store that hangs.
const readyTimeout = 2 * time.Second

// alive answers GET /healthz: the process serves. It asks nobody.
func (s *server) alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// isReady answers GET /readyz: the parts that requests need answer. Why not is
// in the log only.
func (s *server) isReady(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		refused := fault.New(fault.Unavailable, "not_ready", "the daemon is not ready").WithHint("see its log for the request id")
		refused.Err = err
		return refused
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	return nil
}
