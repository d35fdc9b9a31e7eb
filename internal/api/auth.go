package api

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// realm is what WWW-Authenticate asks for, RFC 6750 §3.
const realm = `Bearer realm="certvigil"`

// maxSecret is far above the length of a token's secret.
const maxSecret = 512

// authorize returns the token of a request if it bears the scope. It sets the
// header that says what is missing. Whether a token is unknown or has expired
// is told alike. A known token is never refused because others fail from the
// same address.
func (s *server) authorize(w http.ResponseWriter, r *http.Request, scope string) (inventory.Token, error) {
	secret, err := bearer(r)
	return s.admit(w, r, scope, secret, err)
}

// admit is authorize for a secret from wherever the request bears it, or for
// the error of its finding. The scope "" is any.
func (s *server) admit(w http.ResponseWriter, r *http.Request, scope, secret string, err error) (inventory.Token, error) {
	if err != nil {
		return inventory.Token{}, s.unauthorized(w, r, realm, err)
	}
	hash := inventory.HashToken(secret)
	token, err := s.tokens.TokenByHash(r.Context(), hash)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return inventory.Token{}, err
	}
	now := s.now()
	if err != nil || subtle.ConstantTimeCompare(token.Hash, hash) != 1 || token.Expired(now) {
		return inventory.Token{}, s.unauthorized(w, r, realm+`, error="invalid_token"`,
			fault.New(fault.Unauthorized, "token", "the token is unknown or has expired").WithHint("make one: certvigil token create --name NAME --scope %s", scope))
	}
	if scope != "" && !token.Allows(scope) {
		w.Header().Set("WWW-Authenticate", realm+`, error="insufficient_scope", scope="`+scope+`"`)
		return inventory.Token{}, fault.New(fault.Forbidden, "scope", "the token has no scope %q", scope).
			WithHint("make one that has: certvigil token create --name NAME --scope %s", scope)
	}
	if err := s.tokens.TouchToken(r.Context(), token.ID, now); err != nil {
		s.log.Warn("recording a token's use", "request_id", requestID(r.Context()), "token", token.ID, "error", err)
	}
	return token, nil
}

// bearer returns the secret of the one Authorization header, RFC 6750 §2.1.
func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	hint := `send one header "Authorization: Bearer TOKEN"`
	switch len(headers) {
	case 0:
		return "", fault.New(fault.Unauthorized, "token", "the request bears no token").WithHint("%s", hint)
	case 1:
	default:
		return "", fault.New(fault.Unauthorized, "token", "the request has %d Authorization headers, not one", len(headers)).WithHint("%s", hint)
	}
	scheme, secret, _ := strings.Cut(headers[0], " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxSecret {
		return "", fault.New(fault.Unauthorized, "token", "the Authorization header holds no bearer token").WithHint("%s", hint)
	}
	return secret, nil
}

// unauthorized counts a failure against the client's address and returns err,
// or that there were too many. The log hears only of those below the limit.
func (s *server) unauthorized(w http.ResponseWriter, r *http.Request, challenge string, err error) error {
	w.Header().Set("WWW-Authenticate", challenge)
	if limited := s.tooMany(w, r); limited != nil {
		return limited
	}
	s.log.Warn("request without a valid token", "request_id", requestID(r.Context()), "client", clientOf(r), "reason", err)
	return err
}

// tooMany counts a failure against the client's address, and returns the
// refusal of one that has failed too often.
func (s *server) tooMany(w http.ResponseWriter, r *http.Request) error {
	wait := s.refusal.Take(clientOf(r))
	if wait == 0 {
		return nil
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return &statusError{status: http.StatusTooManyRequests, title: "too many requests", fault: fault.New(fault.Unauthorized, "rate",
		"too many requests from this address without a valid token").WithHint("wait %d s, and use a valid token", seconds)}
}
