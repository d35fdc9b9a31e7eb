package email_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	username = "certvigil"
	password = "p4ssw0rd-of-smtp"
)

// A mail is what a server accepted.
type received struct {
	from, to, auth string
	tls, utf8      bool
	data           string
}

// backend is a go-smtp backend that keeps what it accepts.
type backend struct {
	mechanisms []string
	mu         sync.Mutex
	got        []received
}

func (b *backend) mails() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]received(nil), b.got...)
}

// NewSession implements smtp.Backend.
func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{b: b, c: c}, nil
}

type session struct {
	b    *backend
	c    *smtp.Conn
	mail received
}

func (s *session) AuthMechanisms() []string { return s.b.mechanisms }

func (s *session) Auth(mech string) (sasl.Server, error) {
	check := func(user, pass string) error {
		if user != username || pass != password {
			return smtp.ErrAuthFailed
		}
		s.mail.auth = mech
		return nil
	}
	if mech == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, pass string) error { return check(user, pass) }), nil
}

// loginServer is the server's side of AUTH LOGIN, which go-sasl left out.
type loginServer struct {
	check func(user, pass string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	case 3:
		return nil, true, l.check(l.user, string(response))
	}
	return nil, false, errors.New("too many steps")
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.mail.utf8 = o.UTF8
	if len(s.b.mechanisms) > 0 && s.mail.auth == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, s.mail.tls = s.c.TLSConnectionState()
	s.mail.data = string(data)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.got = append(s.b.got, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// certificate returns a certificate for 127.0.0.1 and the roots to trust it by.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots}
}

// serve starts a real SMTP server; with implicit, TLS begins at once.
func serve(t *testing.T, config *tls.Config, implicit bool, mechanisms ...string) (addr string, b *backend) {
	t.Helper()
	b = &backend{mechanisms: mechanisms}
	return b.serve(t, config, implicit, func(*smtp.Server) {}), b
}

// serve starts a server of the backend, set up as given.
func (b *backend) serve(t *testing.T, config *tls.Config, implicit bool, setUp func(*smtp.Server)) (addr string) {
	t.Helper()
	s := smtp.NewServer(b)
	s.Domain = "mx.example.com"
	s.AllowInsecureAuth = true
	s.ErrorLog = quiet{}
	setUp(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if implicit {
		l = tls.NewListener(l, config)
	} else {
		s.TLSConfig = config
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close() // Serve may not have begun
		<-done
	})
	return l.Addr().String()
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
