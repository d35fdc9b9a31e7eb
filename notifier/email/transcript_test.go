package email_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

// Whoever tries a channel out sees both sides of the session, over TLS too, and
// neither the password nor the message.
func TestOverhear(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for name, tt := range map[string]struct {
		mode       email.TLSMode
		mechanisms []string
		want       string
	}{
		"starttls with PLAIN": {email.StartTLS, []string{"PLAIN"}, `* connecting to ADDR
< 220 mx.example.com ESMTP Service Ready
> EHLO here
< 250-Hello here
< 250 …
> STARTTLS
< 220 2.0.0 Ready to start TLS
* TLS 1.3 from here on
> EHLO here
< 250-Hello here
< 250 …
> AUTH PLAIN [redacted]
< 235 2.0.0 Authentication succeeded
` + transaction},
		"implicit TLS with LOGIN": {email.ImplicitTLS, []string{"LOGIN"}, `* connecting to ADDR
* TLS 1.3 from here on
< 220 mx.example.com ESMTP Service Ready
> EHLO here
< 250-Hello here
< 250 …
> AUTH LOGIN
< 334 VXNlcm5hbWU6
> [redacted]
< 334 UGFzc3dvcmQ6
> [redacted]
< 235 2.0.0 Authentication succeeded
` + transaction},
		"none": {email.NoTLS, nil, `* connecting to ADDR
< 220 mx.example.com ESMTP Service Ready
> EHLO here
< 250-Hello here
< 250 …
` + transaction},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := serve(t, server, tt.mode == email.ImplicitTLS, tt.mechanisms...)
			o := email.Options{Server: addr, TLS: tt.mode, TLSConfig: client, Hello: "here"}
			if tt.mechanisms != nil {
				o.Username, o.Password = username, password
			}
			got, err := overhear(t, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(got, addr, "ADDR")); diff != "" {
				t.Errorf("the conversation (-want +got):\n%s", diff)
			}
		})
	}
}

const transaction = `> MAIL FROM:<certvigil@example.com> …
< 250 2.0.0 Roger, accepting mail from <certvigil@example.com>
> RCPT TO:<oncall@example.com>
< 250 2.0.0 I'll make sure <oncall@example.com> gets this
> DATA
< 354 Go ahead. End your data with <CR><LF>.<CR><LF>
> (the message, N bytes)
> .
< 250 2.0.0 OK: queued
> QUIT
< 221 2.0.0 Bye
`

// What a server lists and takes is its own affair, and how long a message is.
var (
	extensions = regexp.MustCompile(`(?m)(^< 250[- ][A-Z0-9=]+( .*)?\n)+`)
	parameters = regexp.MustCompile(`(?m)^(> MAIL FROM:<[^>]*>).*$`)
	size       = regexp.MustCompile(`, \d+ bytes\)`)
)

// overhear sends a message and returns what a listener is told.
func overhear(t *testing.T, o email.Options) (string, error) {
	t.Helper()
	var told strings.Builder
	ctx := notifier.Overhear(t.Context(), func(by notifier.Speaker, line string) { told.WriteString(string(by) + " " + line + "\n") })
	err := channel(t, o).Send(ctx, notifiertest.One())
	got := extensions.ReplaceAllString(told.String(), "< 250 …\n")
	return size.ReplaceAllString(parameters.ReplaceAllString(got, "$1 …"), ", N bytes)"), err
}

// A server that refuses, and says the password back in every form that it knows.
func TestOverhear_Refused(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	whole := base64.StdEncoding.EncodeToString([]byte("\x00" + username + "\x00" + password))
	addr := script{}.with("EHLO", "250-mx\n250 AUTH PLAIN").with("AUTH", "535-not "+password+"\n535-nor "+encoded+"\n535 nor "+whole).start(t)
	got, err := overhear(t, email.Options{Server: addr, TLS: email.NoTLS, Username: username, Password: password})
	if !notifier.IsChannelFailing(err) || !strings.Contains(got, "\n> AUTH PLAIN [redacted]\n< 535-not [redacted]\n< 535-nor [redacted]\n< 535 nor [redacted]\n") {
		t.Errorf("%v, after:\n%s", err, got)
	}
	for _, secret := range []string{password, encoded, whole} {
		if strings.Contains(got+err.Error(), secret) {
			t.Errorf("it tells %s:\n%s", secret, got)
		}
	}
}
