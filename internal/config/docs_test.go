package config_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tomlBlock and htmlBlock match a fenced block of a document, indented or not.
var (
	tomlBlock = regexp.MustCompile("(?ms)^ *```toml\n(.*?)^ *```$")
	htmlBlock = regexp.MustCompile("(?ms)^ *```html\n(.*?)^ *```$")
)

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
