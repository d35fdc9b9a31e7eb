package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/demo"
)

func TestDemo_Exit(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	tmp := t.TempDir()
	cmd := exec.Command(binary(t), "demo", "--exit")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("the demo took %s", took)
	}
	told := string(out)
	for _, want := range []string{
		"403 Forbidden", "200 OK", "Set-Cookie: CF_Authorization=", "Message-Id: <", "cf-webhook-auth: demo-secret", "warehouse scanner 7", "Partner CA",
		"$ curl -si ", "--resolve orders.example.com:", "/renewals?item=", "That was the whole story.",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the story does not tell %q:\n%s", want, told)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// A step that does not happen as told ends the demo with an error: here each
// time another command of the program does not do, or not well, what it should.
func TestDemo_FailsWithAStep(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ sabotage, want string }{
		"a command fails":               {`[ "$1" = scan ] && exit 1`, `demo step 9, "A second scan tells nobody anything twice"`},
		"a command lies":                {`[ "$1 $2" = "ca add" ] && exit 0`, `demo step 4, "With a certificate of the CA, the application answers"`},
		"the daemon does not start":     {`[ "$1" = serve ] && exit 1`, `demo step 2, "The daemon starts"`},
		"a token that is none":          {`[ "$1" = token ] && echo '{"token":"cvt_wrong"}' && exit 0`, `demo step 11, "The partner renews its CA over HTTP"`},
		"one certificate is not stored": {`[ "$1" = cert ] && exit 0`, `demo step 6, "The daemon has scanned them: the mail, as received"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(t.TempDir(), "certvigil")
			text := fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", tt.sabotage, binary(t))
			if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := demo.Run(t.Context(), demo.Options{Binary: script, Out: &out, Exit: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s\n%s", err, tt.want, out.String())
			}
		})
	}
}

func TestDemo_ExitCode(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(binary(t), "demo", "--exit")
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(t.TempDir(), "missing"))
	out, err := cmd.CombinedOutput()
	if code := exitCode(err); code != 1 || !strings.Contains(string(out), "error: making a folder for the demo") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestDemo_RunsUntilInterrupted(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	cmd := exec.Command(binary(t), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended by itself when all is well
	out := newJournal()
	read := make(chan struct{})
	go func() {
		out.read(stdout)
		close(read)
	}()
	out.await(t, "Press Ctrl-C")
	folder := filepath.Dir(strings.TrimSpace(strings.SplitAfter(out.await(t, "Its log: "), "Its log: ")[1]))
	if _, err := os.Stat(filepath.Join(folder, "config.toml")); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-read
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted, the demo ends with %v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}
