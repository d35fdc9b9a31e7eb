package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/internal/config"
)

// An adminServer serves the admin listener.
type adminServer struct {
	server *http.Server
	tls    atomic.Pointer[tls.Config] // of new connections; nil = plain HTTP
}

func newAdminServer(handler http.Handler, c config.Admin, log *slog.Logger) *adminServer {
	s := &adminServer{server: &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	s.reconfigure(c)
	if c.TLS != nil {
		s.server.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil },
			GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.tls.Load().Certificates[0], nil },
		}
	}
	return s
}

// reconfigure has new connections use what the configuration says.
func (s *adminServer) reconfigure(c config.Admin) { s.tls.Store(adminTLS(c)) }

// adminTLS returns nil for plain HTTP. With CAs, no request is read of who has
// no certificate of theirs. Sessions are not resumed then: each connection is
// judged by the CAs that count when it begins.
func adminTLS(c config.Admin) *tls.Config {
	if c.TLS == nil {
		return nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{*c.TLS}}
	if c.ClientCAs != nil {
		out.ClientAuth, out.ClientCAs, out.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, c.ClientCAs, true
	}
	return out
}

// serve serves until shutdown. It closes the listener.
func (s *adminServer) serve(l net.Listener) error {
	var err error
	if s.server.TLSConfig != nil {
		err = s.server.ServeTLS(l, "", "")
	} else {
		err = s.server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *adminServer) shutdown(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(err, s.server.Close())
	}
	return nil
}
