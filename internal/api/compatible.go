package api

import (
	"net/http"
	"strings"

	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// openV4 opens the reference-compatible API. It shares with the rest of this
// package who is let in, and how often somebody may fail to be.
func (s *server) openV4(o v4.Options) (err error) {
	o.Logger = s.log
	o.RequestID = requestID
	o.Now = s.now
	o.Authorize = func(w http.ResponseWriter, r *http.Request, scope string) (inventory.Token, error) {
		secret, err := compatibleSecret(r)
		return s.admit(w, r, scope, secret, err)
	}
	s.v4, err = v4.New(o)
	return err
}

// front hands the compatible API its requests before ServeMux sees them, which
// answers some by itself. All others must not come from a foreign page.
func (s *server) front(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isV4(r) {
			s.v4.ServeHTTP(w, r)
			return
		}
		if err := s.sameOrigin(r); err != nil {
			s.fail(w, r, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *server) isV4(r *http.Request) bool {
	return s.v4 != nil && strings.HasPrefix(r.URL.Path, v4.Prefix)
}

// failure returns what answers a request with an error.
func (s *server) failure(r *http.Request) func(http.ResponseWriter, *http.Request, error) {
	if s.isV4(r) {
		return s.v4.Fail
	}
	return s.fail
}

// compatibleSecret returns the secret of the one credential that counts: the
// Authorization header, or else one of the older headers of the reference's
// clients. The address beside X-Auth-Key says nothing here.
func compatibleSecret(r *http.Request) (string, error) {
	if len(r.Header.Values("Authorization")) > 0 {
		return bearer(r)
	}
	for _, name := range []string{"X-Auth-Key", "X-Auth-User-Service-Key"} {
		switch values := r.Header.Values(name); {
		case len(values) == 0:
		case len(values) == 1 && values[0] != "" && len(values[0]) <= maxSecret:
			return values[0], nil
		default:
			return "", fault.New(fault.Unauthorized, "token", "the header %s holds no token", name).WithHint("send one, with a token's secret")
		}
	}
	return "", fault.New(fault.Unauthorized, "token", "the request bears no token").
		WithHint(`send "Authorization: Bearer TOKEN", or the token in X-Auth-Key; make one: certvigil token create --name NAME --scope write`)
}
