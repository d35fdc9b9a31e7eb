package main

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain makes the test binary serve as the real certvigil too, for scripts
// and for tests that run it as a process: in PATH, by the name "certvigil".
func TestMain(m *testing.M) {
	// A program under the race detector sleeps a second before it ends.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(m, map[string]func(){"certvigil": main})
}

// binary returns the path of the real program.
func binary(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("certvigil")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// golden compares got with a file under testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}
