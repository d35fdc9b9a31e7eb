package enforcer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// handshake fails closed: a connection reaches the server only when its
// handshake is complete, within the time limit. The limit hangs up instead of
// cancelling a context, which would cost a goroutine for each connection.
func (e *Enforcer) handshake(conn net.Conn) {
	c := newClient(e, conn)
	if !e.clients.Add(c) { // shut down meanwhile
		_ = conn.Close()
		return
	}
	limit := time.AfterFunc(e.limits.HandshakeTimeout, func() { _ = c.Close() })
	secure := tls.Server(c, e.outer)
	err := secure.Handshake()
	limit.Stop()
	if c.release != nil {
		c.release()
		c.release = nil
	}
	cs := secure.ConnectionState()
	if err == nil {
		c.identify(&cs)
		if !c.opened() {
			err = net.ErrClosed
		}
	}
	if err != nil {
		e.handshakeFailed(c, c.failure(err))
		_ = c.Close()
		return
	}
	if e.metrics.Handshake != nil {
		e.metrics.Handshake(cs.DidResume, nil)
	}
	if e.everyday != nil && cs.NegotiatedProtocol != "h2" {
		go e.everyday.Serve(withClient(context.Background(), secure), secure) // on a stack that has not grown
		return
	}
	e.ready.pass(secure)
}

func (e *Enforcer) handshakeFailed(c *client, err *HandshakeError) {
	if e.metrics.Handshake != nil {
		e.metrics.Handshake(false, err)
	}
	level := slog.LevelDebug
	suppressed := 0
	if err.misconfigured() {
		var now bool
		if now, suppressed = e.throttle.allow(err.Class, e.now()); now {
			level = slog.LevelInfo
		}
	}
	e.logClient(c, level, "handshake failed", suppressed, "class", err.Class, "error", err.Err)
}

// logClient writes a line about a connection.
func (e *Enforcer) logClient(c *client, level slog.Level, message string, suppressed int, attrs ...any) {
	if !e.log.Enabled(e.life, level) {
		return
	}
	attrs = append([]any{"connection", c.id, "remote", c.RemoteAddr().String()}, attrs...)
	if suppressed > 0 {
		attrs = append(attrs, "suppressed", suppressed)
	}
	e.log.Log(e.life, level, message, attrs...) //nolint:sloglint // the message is a constant of the caller's
}

// A HandshakeError is why a handshake failed, as [Metrics] gets it.
type HandshakeError struct {
	Class string // one of a fixed few, fit for a metric's label
	Err   error
}

// Error implements error.
func (h *HandshakeError) Error() string { return h.Class + ": " + h.Err.Error() }

// Unwrap returns what crypto/tls said.
func (h *HandshakeError) Unwrap() error { return h.Err }

// HandshakeClass returns the class of a handshake's error, or "" for none.
func HandshakeClass(err error) string {
	failed, ok := errors.AsType[*HandshakeError](err)
	switch {
	case err == nil:
		return ""
	case !ok:
		return classProtocol
	}
	return failed.Class
}

// The classes of handshake errors.
const (
	classTimeout  = "timeout"              // the client took too long
	classBusy     = "busy"                 // no slot became free in time
	classShutdown = "shutdown"             // the listener stops
	className     = "unrecognized_name"    // no application has the SNI's name
	classNotTLS   = "not_tls"              // something else speaks there
	classLeft     = "client_left"          // the client hung up
	classRejected = "certificate_rejected" // the client does not trust our certificate
	classAlert    = "client_alert"         // the client gave up otherwise
	classProtocol = "protocol"             // no common ground, or a message that breaks the rules
)

// misconfigured reports whether somebody should look at a configuration, here
// or at the client's. All else is the noise of an open port.
func (h *HandshakeError) misconfigured() bool {
	return h.Class == classRejected || h.Class == className
}

func (c *client) failure(err error) *HandshakeError {
	class := c.classify(err)
	if class == className {
		err = c.refused
	}
	return &HandshakeError{Class: class, Err: err}
}

// classify names what ended a handshake.
func (c *client) classify(err error) string {
	var header tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case c.enforcer.life.Err() != nil:
		return classShutdown
	case errors.Is(err, errBusy):
		return classBusy
	case c.phase.Load() == hungUp:
		return classTimeout
	case c.refused != nil:
		return className
	case errors.As(err, &header):
		return classNotTLS
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return classLeft
	case errors.As(err, &remote) && remote.Op == "remote error":
		return classOfAlert(remote.Err)
	}
	return classProtocol
}

// classOfAlert tells an alert about our certificate from the others. The type
// of crypto/tls is its own, its text is that of the exported AlertError.
func classOfAlert(alert error) string {
	for _, about := range []tls.AlertError{42, 43, 44, 45, 46, 48} { // bad_certificate … certificate_unknown, unknown_ca
		if alert.Error() == about.Error() {
			return classRejected
		}
	}
	return classAlert
}

var errBusy = errors.New("no handshake slot became free in time")
