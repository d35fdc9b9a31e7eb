package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// requestID returns the id that an answer shares with the log.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// wrap gives every request an id of our own making, every answer its security
// headers, and makes a panic an internal error.
func (s *server) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, begun := rand.Text(), s.now()
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		secure(w.Header())
		w.Header().Set(requestIDHeader, id)
		out := &answer{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(out, r, p)
			}
			s.log.Debug("request served", "request_id", id, "method", r.Method, "route", r.Pattern, "status", out.status, "took", s.now().Sub(begun))
		}()
		next.ServeHTTP(out, r)
	})
}

func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

func (s *server) panicked(w *answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // asked for: the server cuts the connection and logs nothing
	}
	s.log.Error("request panicked", "request_id", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
	if w.status == 0 {
		s.failure(r)(w, r, fmt.Errorf("handler panicked: %v", p))
	}
}

// An answer remembers the status that was sent; 0 = none yet.
type answer struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is underneath.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
