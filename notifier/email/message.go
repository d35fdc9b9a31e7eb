package email

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"strings"

	"gopkg.in/gomail.v2"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// build returns the MIME message, text before HTML, with CRLF line ends.
func build(m notifier.Message, from, to *mail.Address) ([]byte, error) {
	content, err := templates.RenderMail(m.Words())
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMessage()
	msg.SetAddressHeader("From", from.Address, from.Name)
	msg.SetAddressHeader("To", to.Address, to.Name)
	msg.SetHeader("Subject", content.Subject)
	msg.SetDateHeader("Date", m.Now)
	msg.SetHeader("Message-ID", messageID(m.ID, from.Address))
	msg.SetHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5
	msg.SetHeader("X-Certvigil-Delivery", m.ID)
	msg.SetBody("text/plain", content.Text)
	msg.AddAlternative("text/html", content.HTML)
	if content.CSV != nil {
		msg.Attach("certvigil-alerts.csv", gomail.SetCopyFunc(func(w io.Writer) error {
			_, err := w.Write(content.CSV)
			return err
		}))
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("writing MIME: %w", err)
	}
	return raw.Bytes(), nil
}

// messageID is the same in every attempt, so that a mail that arrives twice is
// known for one.
func messageID(id, from string) string {
	return "<" + id + "@" + from[strings.LastIndexByte(from, '@')+1:] + ">"
}
