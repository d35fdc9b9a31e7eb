package config_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/config"
)

// tomlBlock and htmlBlock match a fenced block of a document, indented or not.
var (
	tomlBlock = regexp.MustCompile("(?ms)^ *```toml\n(.*?)^ *```$")
	htmlBlock = regexp.MustCompile("(?ms)^ *```html\n(.*?)^ *```$")
)

// bodyTemplate matches a template of a webhook's body with the file that it is in.
var bodyTemplate = regexp.MustCompile("(?s)template_file = \"([a-z.-]+)\".*?```gotemplate\n(.*?)```")

// TestDocs_WebhooksLoad is [TestDocs_ConfigurationsLoad] for the channels of
// docs/webhooks.md with their templates.
func TestDocs_WebhooksLoad(t *testing.T) {
	t.Parallel()
	document, folder := read(t, "../../docs/webhooks.md"), t.TempDir()
	var text strings.Builder
	for _, block := range tomlBlock.FindAllStringSubmatch(document, -1) {
		text.WriteString(block[1])
	}
	for _, m := range bodyTemplate.FindAllStringSubmatch(document, -1) {
		write(t, filepath.Join(folder, m[1]), m[2], 0o600)
	}
	for _, m := range regexp.MustCompile(`(\w+)_file = "(secrets/[a-z-]+)"`).FindAllStringSubmatch(text.String(), -1) {
		write(t, filepath.Join(folder, m[2]), map[string]string{"url": "https://example.com/x", "secret": "x", "authorization": "Bearer x"}[m[1]], 0o600)
	}
	formats := map[string]bool{}
	for _, ch := range loadIn(t, folder, text.String()).Channels {
		formats[ch.Format] = true
	}
	for _, format := range []string{config.FormatPagerDuty, config.FormatAlertmanager, config.FormatTeams, config.FormatTemplate} {
		if !formats[format] {
			t.Errorf("docs/webhooks.md shows no channel of the format %s", format)
		}
	}
}

// TestDocs_ConfigurationsLoad holds that what the documents tell people to
// write is a configuration, all blocks of one document together.
func TestDocs_ConfigurationsLoad(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"README.md", "docs/config.md"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			for _, block := range tomlBlock.FindAllStringSubmatch(read(t, "../../"+path), -1) {
				text.WriteString(block[1])
			}
			if text.Len() == 0 {
				t.Fatal("there is no configuration in it")
			}
			folder := exampleFolder(t)
			write(t, filepath.Join(folder, "smtp-password"), "hunter2", 0o600)
			write(t, filepath.Join(folder, "origin-ca.pem"), read(t, filepath.Join(folder, "server.pem")), 0o600)
			write(t, filepath.Join(folder, "gateway.pem"), read(t, filepath.Join(folder, "server.pem")), 0o600)
			write(t, filepath.Join(folder, "gateway-key.pem"), read(t, filepath.Join(folder, "server-key.pem")), 0o600)
			write(t, filepath.Join(folder, "denied.html"), htmlBlock.FindStringSubmatch(read(t, "../../docs/config.md"))[1], 0o600)
			if cfg := loadIn(t, folder, text.String()); len(cfg.Applications) == 0 || len(cfg.Channels) == 0 {
				t.Errorf("applications = %d, channels = %d, want some of each", len(cfg.Applications), len(cfg.Channels))
			}
		})
	}
}
