package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"gopkg.in/gomail.v2"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/templates"
)

// build returns the MIME message, text before HTML, with CRLF line ends, all
// parts as quoted-printable or base64: it goes through servers without 8BITMIME
// and holds no line of more than 998 octets.
func build(m notifier.Message, from, to address, attach bool) ([]byte, error) {
	words := m.Words()
	words.FileTooLarge = !attach
	content, err := templates.RenderMail(words)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMessage()
	msg.SetAddressHeader("From", from.envelope, from.name)
	msg.SetAddressHeader("To", to.envelope, to.name)
	msg.SetHeader("Subject", content.Subject)
	msg.SetDateHeader("Date", m.Now)
	msg.SetHeader("Message-ID", messageID(m.ID, from))
	if root := threadID(m, from, to); root != "" {
		msg.SetHeader("In-Reply-To", root)
		msg.SetHeader("References", root)
	}
	if m.Channel != "" {
		msg.SetHeader("List-Id", listID(m.Channel, from))
	}
	msg.SetHeader("Auto-Submitted", "auto-generated")           // RFC 3834 §5
	msg.SetHeader("X-Auto-Response-Suppress", "OOF, AutoReply") // the same for Exchange
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
func messageID(id string, from address) string { return "<" + id + "@" + from.domain + ">" }

// threadID is what all mails to one recipient about one item refer to, "" for a
// mail about more or none. No mail bears it: readers put together what refers
// to the same mail, also when they have never seen that, and so no state is
// needed and it does not matter which mail comes first.
func threadID(m notifier.Message, from, to address) string {
	item := m.AboutItem()
	if item == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("thread\x00" + item + "\x00" + strings.ToLower(to.envelope)))
	return messageID("item."+hex.EncodeToString(sum[:16]), from)
}

// listID names the channel as the list that its mails belong to (RFC 2919), for
// filters.
func listID(channel string, from address) string {
	label := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, channel), "-")
	if label == "" {
		label = "channel"
	}
	return "Certvigil <" + label + ".certvigil." + from.domain + ">"
}
