package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		in     string
		want   time.Duration
		text   string // canonical
		wantOK bool
	}{
		{"30d", 30 * day, "30d", true},
		{"400d", 400 * day, "400d", true},
		{"0d", 0, "0d", true},
		{"36h", 36 * time.Hour, "1d12h", true},
		{"1d12h", 36 * time.Hour, "1d12h", true},
		{"15m", 15 * time.Minute, "15m", true},
		{"1h30m", 90 * time.Minute, "1h30m", true},
		{"1.5h", 90 * time.Minute, "1h30m", true},
		{"90s", 90 * time.Second, "1m30s", true},
		{"106751d", 106751 * day, "106751d", true},
		{"106752d", 0, "", false},
		{"106751d24h", 0, "", false},
		{"99999999999999999999d", 0, "", false},
		{"-1d", 0, "", false},
		{"1d-1h", 0, "", false},
		{"+1d", 0, "", false},
		{"1.5d", 0, "", false},
		{"12h1d", 0, "", false},
		{"1d1d", 0, "", false},
		{"d", 0, "", false},
		{"5", 0, "", false},
		{"0", 0, "", false},
		{"1d0", 0, "", false},
		{"", 0, "", false},
		{" 1d", 0, "", false},
		{"1 d", 0, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseDuration(tt.in)
			if (err == nil) != tt.wantOK || got != tt.want {
				t.Fatalf("ParseDuration = %v, %v, want %v, ok %v", got, err, tt.want, tt.wantOK)
			}
			if text := (config.Duration{Duration: got}).String(); tt.wantOK && text != tt.text {
				t.Errorf("String = %q, want %q", text, tt.text)
			}
		})
	}
}

func TestParseSchedule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec   string
		wantOK bool
	}{
		{"@every 15m", true},
		{"@daily", true},
		{"*/15 * * * *", true},
		{"CRON_TZ=UTC", false}, // panics in cron
		{"TZ=", false},
		{"TZ=UTC 0 * * * *", false},
		{"@every -1m", false},
		{"@every 10ms", false},
		{"@every", false},
		{"0 0 30 2 *", false}, // the 30th of February
		{"* * *", false},
		{"", false},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			t.Parallel()
			if s, err := config.ParseSchedule(tt.spec); (err == nil) != tt.wantOK || (s != nil) != tt.wantOK {
				t.Errorf("ParseSchedule = %v, %v, want ok %v", s, err, tt.wantOK)
			}
		})
	}
}

func TestSecret_NeverPrintsItself(t *testing.T) {
	t.Parallel()
	v := struct{ S config.Secret }{"hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", v.S, "holder", v)
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(v, v.S, &v, log.String(), string(encoded)) + fmt.Sprintf("%s %q %x %v %+v %#v %#v", v.S, v.S, v.S, v, v, v, v.S)
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e74657232") {
		t.Errorf("the secret shows: %s", all)
	}
	if v.S.Reveal() != "hunter2" || config.Secret("").String() != "" {
		t.Error("Reveal or the empty secret is wrong")
	}
}

// FuzzLoad holds that no document makes Load panic, that an error is always
// classified and bears a hint, and that an accepted one keeps its promises.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, example) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
		f.Add(commented.ReplaceAllString(string(text), "$1"))
	}
	for _, s := range []string{
		`{ serial = ["0x7f", "00:0a:BC", "0"] }`, `{ issuer = "cn=Root,O=Example\\, Inc.,1.2.3=#0401ff" }`, `{ san_uri = "spiffe://a/*" }, { san_dns = ["*.a", "b"] }`,
		`{ fingerprint = "` + strings.Repeat("Ab:", 31) + `cD" }`, `{ ip = ["::/0", "192.0.2.7"], ca = "root" }`, `{ common_name = "${HOST}" }`,
	} {
		f.Add(selecting(s))
	}
	f.Add(reaching("https://a", "origin_server_name = \"b\"\nconnect_timeout = \"1s\"\ncustom_deny_message = \"\\n\"\n"))
	f.Add(reaching("h2c://[::1]", "custom_non_identity_deny_url = \"https://a/\"\n[enforcer.limits]\nhandshakes = 1\n"))
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, environment)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || fault.Hint(err) == "" {
				t.Fatalf("error %v of kind %q with hint %q", err, fault.KindOf(err).Title(), fault.Hint(err))
			}
			return
		}
		if len(cfg.Alerts) == 0 || cfg.Storage.Retention.Duration <= 0 || !filepath.IsAbs(cfg.Storage.DSN) {
			t.Fatalf("accepted %+v", cfg)
		}
		if l := cfg.Enforcer.Limits; l.Handshakes <= 0 || l.ChainBytes <= 0 || l.HandshakeTimeout.Duration <= 0 || cfg.Enforcer.KeyRotation.Duration < 24*time.Hour {
			t.Fatalf("accepted %+v", cfg.Enforcer)
		}
		for _, a := range cfg.Applications {
			checkAccepted(t, a)
		}
	})
}

// checkAccepted holds what the enforcer relies on.
func checkAccepted(t *testing.T, a config.Application) {
	t.Helper()
	if a.OriginURL().Host == "" || a.ConnectTimeout.Duration <= 0 || a.OriginTimeout.Duration <= 0 || a.DenyTarget() != nil && a.DenyTemplate != nil {
		t.Fatalf("accepted %+v", a)
	}
	for _, p := range a.Policies {
		for _, s := range slices.Concat(p.Include, p.Require, p.Exclude) {
			if n := s.Conditions(); n > 1 || n == 0 && s.CA == "" || len(s.Prefixes()) != len(s.IP) {
				t.Fatalf("accepted a selector with %d conditions: %+v", n, s)
			}
			for _, serial := range s.Serial {
				if !canonicalSerial.MatchString(serial) || len(serial)%2 != 0 {
					t.Fatalf("accepted the serial %q", serial)
				}
			}
			for _, list := range []config.Texts{s.CommonName, s.SANDNS, s.SANURI, s.Issuer, s.Serial, s.Fingerprint} {
				if list != nil && len(list) == 0 || slices.Contains(list, "") {
					t.Fatalf("accepted %q", list)
				}
			}
		}
	}
}

var canonicalSerial = regexp.MustCompile(`^(00|(0[1-9A-F]|[1-9A-F][0-9A-F])[0-9A-F]*)$`)
