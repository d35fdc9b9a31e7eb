package walkthrough_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// programs are the paths of what the walk-through runs.
type programs struct {
	certvigil, cfssl, cfssljson, curl string
}

// findPrograms builds certvigil and cfssl, and finds curl. It fails the test
// when one is missing: a walk-through that was skipped says nothing.
func findPrograms(t *testing.T) programs {
	t.Helper()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("the walk-through needs curl in the PATH; install it (Debian: apt-get install curl) and run the test again")
	}
	bin := t.TempDir()
	const cfssl = "github.com/cloudflare/cfssl/cmd/"
	build(t, ".", bin+string(filepath.Separator), cfssl+"cfssl", cfssl+"cfssljson")
	p := programs{cfssl: filepath.Join(bin, "cfssl"), cfssljson: filepath.Join(bin, "cfssljson"), curl: curl}
	if p.certvigil = os.Getenv("CERTVIGIL_BIN"); p.certvigil == "" {
		p.certvigil = filepath.Join(bin, "certvigil")
		build(t, "..", p.certvigil, "./cmd/certvigil")
	}
	return p
}

func build(t *testing.T, module, output string, packages ...string) {
	t.Helper()
	const limit = 10 * time.Minute // a cold build cache on a small machine
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", output}, packages...)...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %v: %v\n%s", packages, err, out)
	}
}

// A result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// run carries out a program to its end, whatever its exit code.
func run(t *testing.T, dir, program string, args ...string) result {
	t.Helper()
	return runWithInput(t, dir, nil, program, args...)
}

func runWithInput(t *testing.T, dir string, input []byte, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", program, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mustRun is run for what has to end with exit code 0.
func mustRun(t *testing.T, dir, program string, args ...string) result {
	t.Helper()
	r := run(t, dir, program, args...)
	if r.code != 0 {
		t.Fatalf("%s %q: %s", filepath.Base(program), args, r)
	}
	return r
}
