package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/config"
)

func TestLoadOutline(t *testing.T) {
	t.Parallel()
	load := func(text string) (config.Outline, error) {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.LoadOutline(path)
	}
	// The key of the listener cannot be read: that is no matter here.
	o, err := load(`
[enforcer]
crl_grace = "2d"
[[enforcer.certificate]]
cert = "no.pem"
key = "no-key.pem"
[[application]]
name = "shop"
hostname = "Shop.Example.com."
origin = "http://127.0.0.1:1"
[[application.policy]]
name = "staff"
action = "allow"
include = [{ common_name = "James Royal" }]
`)
	if err != nil || o.Grace != 48*time.Hour || len(o.Applications) != 1 || o.Applications[0].Hostname != "shop.example.com" {
		t.Fatalf("%+v, %v", o, err)
	}
	if got := o.Applications[0].Policies[0].Include[0].Name(); got != "common_name" {
		t.Errorf("the selector goes by %q", got)
	}
	if o, err := load(""); err != nil || o.Grace != 0 || len(o.Applications) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, text := range []string{"[enforcer]\ncrl_grace = 3", "[enforcer]\nno_such_key = 3", "[[application]]\nhostname = \"a b\"", "["} {
		if _, err := load(text); err == nil {
			t.Errorf("%q has an outline", text)
		}
	}
}
