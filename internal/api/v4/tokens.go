package v4

import (
	"net/http"
	"time"
)

// verifyToken tells the bearer of a token that it is good. The request has
// come this far, so it is.
func verifyToken(w http.ResponseWriter, c call) error {
	succeed(w, http.StatusOK, struct {
		ID        string     `json:"id"`
		Status    string     `json:"status"`
		ExpiresOn *time.Time `json:"expires_on,omitempty"`
	}{c.token.ID, "active", c.token.ExpiresAt}, nil, nil)
	return nil
}
