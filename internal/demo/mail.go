package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// readableMail returns the headers a reader shows and the plain text of a mail
// as it was received.
func readableMail(raw []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", fmt.Errorf("reading the mail: %w", err)
	}
	var b strings.Builder
	for _, name := range []string{"From", "To", "Subject", "Message-Id"} {
		value, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			return "", fmt.Errorf("reading the mail's %s: %w", name, err)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	text, err := plainText(m)
	if err != nil {
		return "", err
	}
	return b.String() + "\n" + text, nil
}

func plainText(m *mail.Message) (string, error) {
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", fmt.Errorf("reading the mail's content type: %w", err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return decode(m.Header.Get("Content-Transfer-Encoding"), m.Body)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return "", fmt.Errorf("reading the mail: no plain text in it: %w", err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			return decode(part.Header.Get("Content-Transfer-Encoding"), part)
		}
	}
}

func decode(encoding string, r io.Reader) (string, error) {
	if strings.EqualFold(encoding, "quoted-printable") {
		r = quotedprintable.NewReader(r)
	}
	text, err := io.ReadAll(r)
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}

// readableSlack returns what Slack shows of a message (Block Kit).
func readableSlack(raw []byte) (string, error) {
	type text struct{ Text string }
	var m struct {
		Blocks []struct {
			Text     text
			Elements []text
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("reading the Slack message: %w", err)
	}
	var shown []string
	for _, b := range m.Blocks {
		for _, t := range append([]text{b.Text}, b.Elements...) {
			if t.Text != "" {
				shown = append(shown, t.Text)
			}
		}
	}
	return strings.Join(shown, "\n\n"), nil
}

// indented returns JSON as it was received, with line breaks.
func indented(raw []byte) (string, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return "", fmt.Errorf("reading the JSON: %w", err)
	}
	return b.String(), nil
}
