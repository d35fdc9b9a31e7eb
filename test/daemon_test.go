package walkthrough_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A daemon is a running `certvigil serve`.
type daemon struct {
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan struct{} // closed once cmd.Wait returned
}

// startDaemon starts the server and waits until it says that it is ready.
func startDaemon(t *testing.T, certvigil, config, admin string) *daemon {
	t.Helper()
	d := &daemon{cmd: exec.Command(certvigil, "serve", "-c", config), log: &lockedBuffer{}, exited: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("starting certvigil serve: %v", err)
	}
	go func() {
		_ = d.cmd.Wait() // the state is read from cmd.ProcessState
		close(d.exited)
	}()
	t.Cleanup(func() { d.kill(t) })
	eventually(t, 20*time.Second, "certvigil serve becomes ready", func() error {
		select {
		case <-d.exited:
			t.Fatalf("certvigil serve ended: %s\n%s", d.cmd.ProcessState, d.log)
		default:
		}
		return ready("http://" + admin + "/readyz")
	})
	return d
}

func ready(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /readyz: %s", response.Status)
	}
	return nil
}

// kill ends a daemon that the test left running, and shows its log when the
// test failed.
func (d *daemon) kill(t *testing.T) {
	select {
	case <-d.exited:
	default:
		_ = d.cmd.Process.Kill() // it may have ended just now
		<-d.exited
	}
	if t.Failed() {
		t.Logf("the log of certvigil serve:\n%s", d.log)
	}
}

// terminate sends SIGTERM and returns the exit code.
func (d *daemon) terminate(t *testing.T) int {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("sending SIGTERM: %v", err)
	}
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(10 * time.Second):
		t.Fatal("certvigil serve still runs 10 s after SIGTERM")
		return -1
	}
}

// promptly is for what takes a second; the rest is a busy machine's.
const promptly = 8 * time.Second

// eventually tries until it succeeds or time is up.
func eventually(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	const pause = 20 * time.Millisecond
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(pause) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, limit, err)
}

// freeAddress returns a loopback address on which nothing listens now, below
// the ports that systems hand out by themselves (from 32768 on Linux): nobody
// is given it before the server listens there.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port found")
	return ""
}

// A site is the configuration of the walk-through.
type site struct {
	gateway, admin, origin string
	config                 string // path of the configuration file
}

// newSite writes a configuration with one application for each hostname, whose
// policy admits every valid certificate.
func newSite(t *testing.T, w workshop, origin string, hostnames ...string) site {
	t.Helper()
	s := site{gateway: freeAddress(t), admin: freeAddress(t), origin: origin, config: w.path("config.toml")}
	var b strings.Builder
	fmt.Fprintf(&b, "[admin]\nlisten = %q\npublic_url = %q\n\n", s.admin, "http://"+s.admin)
	fmt.Fprintf(&b, "[enforcer]\nlisten = %q\n[[enforcer.certificate]]\ncert = \"server.pem\"\nkey = \"server-key.pem\"\n", s.gateway)
	for _, hostname := range hostnames {
		name, _, _ := strings.Cut(hostname, ".")
		fmt.Fprintf(&b, `
[[application]]
name = %q
hostname = %q
origin = %q
[[application.policy]]
name = "valid certificate"
action = "service_auth"
include = [{ certificate = true }]
`, name, hostname, s.origin)
	}
	if err := os.WriteFile(filepath.Clean(s.config), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// A lockedBuffer takes a process's output while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
