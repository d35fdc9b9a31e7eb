package config

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/templates"
)

const (
	maxDenyMessage = 1000 // characters
	maxDenyPage    = 256 << 10
)

// DenyTarget returns where people are redirected to, nil without DenyURL.
func (a Application) DenyTarget() *url.URL {
	u, err := url.Parse(a.DenyURL)
	if a.DenyURL == "" || err != nil {
		return nil
	}
	return u
}

// validateDenial checks what an application answers to whom it denies.
func (c *checker) validateDenial(at string, a *Application) {
	c.validateDenyMessage(at+".custom_deny_message", a.DenyMessage)
	if a.DenyURL != "" {
		c.validateDenyURL(at+".custom_non_identity_deny_url", a.DenyURL)
	}
	if a.DenyPage == "" {
		return
	}
	key := at + ".custom_deny_page"
	if a.DenyURL != "" {
		c.fail(key, "keep one of the two", "custom_non_identity_deny_url is set as well: nobody would see the page")
		return
	}
	a.DenyPage = c.abs(a.DenyPage)
	a.DenyTemplate = c.denyTemplate(key, a)
}

func (c *checker) validateDenyURL(key, raw string) {
	if u, err := url.Parse(raw); err == nil && u.User != nil {
		c.fail(key, "remove it", "everybody would see the user or the password in it")
		return
	}
	c.validateURL(key, raw, "https", "http")
}

func (c *checker) validateDenyMessage(key, message string) {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' }
	switch {
	case utf8.RuneCountInString(message) > maxDenyMessage:
		c.fail(key, "write up to 1000 characters, or use custom_deny_page", "it has %d characters", utf8.RuneCountInString(message))
	case !utf8.ValidString(message) || strings.ContainsFunc(message, control):
		c.fail(key, "write plain text", "it holds control characters")
	}
}

// denyTemplate reads a page and executes it once: a page that fails is found
// here, not when the first client is denied.
func (c *checker) denyTemplate(key string, a *Application) *template.Template {
	text, _, err := readFile(a.DenyPage, maxDenyPage)
	if err != nil {
		c.fail(key, "see that the file is there, that this user may read it and that it is at most 256 KiB", "%s", err)
		return nil
	}
	var body bytes.Buffer
	page, err := template.New(filepath.Base(a.DenyPage)).Parse(string(text))
	if err == nil {
		err = page.Execute(&body, templates.WebError{Status: http.StatusForbidden, RequestID: "0123456789abcdef", Message: a.DenyMessage})
	}
	if err == nil && len(bytes.TrimSpace(body.Bytes())) == 0 {
		err = fmt.Errorf("%s is an empty page", a.DenyPage)
	}
	if err != nil {
		c.fail(key, "write an html/template of an HTML page: docs/config.md lists its fields", "%s", strings.TrimPrefix(err.Error(), "html/"))
		return nil
	}
	return page
}
