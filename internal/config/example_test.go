package config_test

import (
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/certvigil/certvigil/internal/config"
)

const example = "../../config.example.toml"

// commented matches a line of an example: "#" and no space.
var commented = regexp.MustCompile(`(?m)^#([^ #\n])`)

func TestExample_ScalarsEqualTheDefaults(t *testing.T) {
	t.Parallel()
	empty := load(t, "")
	documented := load(t, read(t, example))
	if diff := cmp.Diff(empty, documented, durations, baseNames, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(config.Config{}, "File", "Document"), cmpopts.IgnoreFields(config.Enforcer{}, "KeyRotationGiven")); diff != "" {
		t.Errorf("config.example.toml differs from the defaults (-defaults +example):\n%s", diff)
	}
}

func TestExample_DocumentsEveryKey(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	collectKeys(reflect.TypeFor[config.Config](), keys)
	text := read(t, example)
	for key := range keys {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
			t.Errorf("config.example.toml does not name the key %s", key)
		}
	}
}

func TestExample_TablesLoad(t *testing.T) {
	t.Parallel()
	cfg := loadIn(t, exampleFolder(t), uncommented(t))
	if got := len(cfg.Applications[0].Policies); got != 3 {
		t.Errorf("policies = %d, want 3", got)
	}
	if got := cfg.Channels[0].Password.Reveal(); got != "hunter2" {
		t.Errorf("password = %q, want what the file holds without its line break", got)
	}
	if got := len(cfg.Channels); got != 5 {
		t.Errorf("channels = %d, want 5", got)
	}
	want := []string{
		`admin.public_url "http://127.0.0.1:8080" is loopback: links in messages will not work elsewhere`,
	}
	if diff := cmp.Diff(want, cfg.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestExample_TablesShowTheDefaults holds that a key of a table that may be
// left out is shown with what leaving it out means.
func TestExample_TablesShowTheDefaults(t *testing.T) {
	t.Parallel()
	folder, text := exampleFolder(t), uncommented(t)
	optional := regexp.MustCompile(`(?m)^format = "access"\n|^(path|session_duration|mode|client_certificate_forwarding|rfc9440|tls_client_auth_headers|request_headers|options_preflight_bypass|origin_ca|origin_cert|origin_key|origin_server_name|connect_timeout|origin_timeout|custom_deny_message|custom_deny_page|custom_non_identity_deny_url|exclude|tls|default_transport|content_type|kinds|before|match|hostnames|cas|scale_short_lived|digest|owner_domains) = .*\n`)
	shown, left := loadIn(t, folder, text), loadIn(t, folder, optional.ReplaceAllString(text, ""))
	decided := cmpopts.IgnoreFields(config.Application{}, "ForwardingGiven") // writing the default decides
	if diff := cmp.Diff(left, shown, durations, decided, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(config.Config{}, "Document"), cmpopts.IgnoreFields(config.Certificate{}, "Pair"), cmpopts.IgnoreFields(config.Channel{}, "Template")); diff != "" {
		t.Errorf("the example's tables differ from the defaults (-defaults +example):\n%s", diff)
	}
}

func uncommented(t *testing.T) string {
	t.Helper()
	return commented.ReplaceAllString(read(t, example), "$1")
}

// exampleFolder makes the files that the example names.
func exampleFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	writePair(t, folder, "orders.example.com")
	for name, secret := range map[string]string{
		"smtp": "hunter2\n", "slack": "https://hooks.slack.com/services/x\n", "slack-token": "xoxb-x", "hook": "x\r\n", "hook-before": "y", "hook-authorization": "Bearer x", "own-hook": "https://hooks.example.com/x",
	} {
		write(t, filepath.Join(folder, "secrets", name), secret, 0o600)
	}
	write(t, filepath.Join(folder, "hook.tmpl"), "{\"text\": {{.Title | json}}}", 0o600)
	return folder
}

var (
	durations = cmpopts.EquateComparable(config.Duration{})
	// baseNames ignores the folder in paths that default to one beside the file.
	baseNames = cmp.FilterPath(func(p cmp.Path) bool {
		return p.String() == "Storage.DSN" || p.String() == "Storage.KeyFile"
	}, cmp.Comparer(func(a, b string) bool { return filepath.Base(a) == filepath.Base(b) }))
)

func collectKeys(t reflect.Type, keys map[string]bool) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("toml"); tag != "" && tag != "-" {
			keys[tag] = true
			collectKeys(t.Field(i).Type, keys)
		}
	}
}
