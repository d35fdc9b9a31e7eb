package email_test

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

// TestFormats_WorstInput: whatever a certificate holds, a mail has the headers
// that it should have, one of each, in lines of at most 998 characters (RFC 5322
// §2.1.1), and no mark-up but its own.
func TestFormats_WorstInput(t *testing.T) {
	t.Parallel()
	for name, m := range notifiertest.WorstCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, b := serve(t, nil, false)
			if err := channel(t, email.Options{Server: addr, TLS: email.NoTLS}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			data := b.mails()[0].data
			parsed, err := mail.ReadMessage(strings.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			for key, values := range parsed.Header {
				if len(values) != 1 || strings.HasPrefix(key, "X-Evil") {
					t.Errorf("%s: %q", key, values)
				}
			}
			for line := range strings.SplitSeq(data, "\r\n") {
				if len(line) > 998 {
					t.Errorf("a line of %d characters: %.80q", len(line), line)
				}
				if strings.ContainsAny(line, "\r\n\x00") {
					t.Errorf("a bare line break or NUL: %.80q", line)
				}
			}
			whole := parts(t, data)
			if strings.Contains(whole, "\u202e") {
				t.Error("it turns the direction of writing")
			}
			_, html, ok := strings.Cut(whole, "\n--- text/html")
			html, _, _ = strings.Cut(html, "\n--- ")
			if found := regexp.MustCompile(`(?i)<script|<b onload`).FindString(html); found != "" || !ok {
				t.Errorf("%q in the HTML", found)
			}
		})
	}
}
