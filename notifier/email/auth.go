package email

import (
	"errors"
	"fmt"
	"net/smtp"
	"slices"
	"strings"
)

// chooseAuth returns PLAIN if the server offers it, else LOGIN, else nil.
func chooseAuth(mechanisms, username, password, host string) smtp.Auth {
	offered := strings.Fields(strings.ToUpper(mechanisms))
	switch {
	case slices.Contains(offered, "PLAIN"):
		return smtp.PlainAuth("", username, password, host)
	case slices.Contains(offered, "LOGIN"):
		return &loginAuth{username: username, password: password, host: host}
	}
	return nil
}

// loginAuth is AUTH LOGIN, which net/smtp lacks and some servers have alone
// (draft-murchison-sasl-login). Like [smtp.PlainAuth] it gives the password to
// no other host than that, and in clear text to none but a local one.
type loginAuth struct {
	username, password, host string
	asked                    int
}

// Start implements [smtp.Auth].
func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if server.Name != a.host {
		return "", nil, errors.New("wrong host name")
	}
	if !server.TLS && !isLoopback(server.Name) {
		return "", nil, errors.New("unencrypted connection")
	}
	return "LOGIN", nil, nil
}

// Next implements [smtp.Auth]. The server's words for its two questions vary;
// their order does not.
func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.asked++
	switch a.asked {
	case 1:
		return []byte(a.username), nil
	case 2:
		return []byte(a.password), nil
	}
	return nil, fmt.Errorf("the server asked %d questions", a.asked)
}
