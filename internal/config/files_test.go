package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
)

// load loads text from a file in a folder of its own.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	return loadIn(t, t.TempDir(), text)
}

func loadIn(t *testing.T, folder, text string) *config.Config {
	t.Helper()
	cfg, err := config.Load(write(t, filepath.Join(folder, "config.toml"), text, 0o600), environment)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return cfg
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write makes a file with exactly the given mode and returns its path.
func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

// writePair makes server.pem and server-key.pem.
func writePair(t *testing.T, folder, host string) {
	t.Helper()
	leaf := certtest.NewCA().Issue(certtest.Server(host))
	write(t, filepath.Join(folder, "server.pem"), string(leaf.PEM()), 0o644)
	write(t, filepath.Join(folder, "server-key.pem"), string(leaf.KeyPEM()), 0o600)
}
