package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment is what the test files see.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"TOKEN": "hunter2", "SPAN": "36h", "HOST": "orders.example.com",
		"INJECTION": "\"\n[admin]\ninsecure = true\n#",
	}[name]
	return value, ok
}

// TestLoad_Problems loads every faulty file under testdata and compares the
// whole message, as the command line would print it.
func TestLoad_Problems(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding cases: %v, %d", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(file, environment)
			if err == nil {
				t.Fatalf("Load accepted the file: %+v", cfg)
			}
			if cfg != nil {
				t.Error("Load returned a configuration beside the error")
			}
			if got := fault.KindOf(err); got != fault.Invalid {
				t.Errorf("kind = %v, want Invalid", got.Title())
			}
			got := "error: " + err.Error() + "\nhint: " + fault.Hint(err) + "\n"
			if dir, err := os.Getwd(); err == nil {
				got = strings.ReplaceAll(got, dir, "DIR")
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the message holds a secret:\n%s", got)
			}
			compareGolden(t, strings.TrimSuffix(file, ".toml")+".golden", got)
		})
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
}

// What was written into the file since it was loaded does not count; what its
// files hold does.
func TestReread(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.toml", "[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl_file = \"secret\"\n")
	write("secret", "https://first.example.com/")
	cfg, err := config.Load(filepath.Join(dir, "config.toml"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	write("config.toml", "no TOML")
	write("secret", "https://second.example.com/")
	next, err := cfg.Reread(os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Channels[0].URL.Reveal(); got != "https://second.example.com/" || next.File != cfg.File {
		t.Errorf("URL %q of %s", got, next.File)
	}
	if again, err := next.Reread(os.LookupEnv); err != nil || len(again.Channels) != 1 {
		t.Errorf("reading once more: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Reread(os.LookupEnv); fault.Hint(err) == "" {
		t.Errorf("without the file: %v", err)
	}
}
