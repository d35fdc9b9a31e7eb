package config

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/templates"
)

const maxDenyPage = 256 << 10

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
	c.check(at+".custom_deny_message", access.CheckMessage(a.DenyMessage))
	if a.DenyURL != "" {
		c.check(at+".custom_non_identity_deny_url", access.CheckDenyURL(a.DenyURL))
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
