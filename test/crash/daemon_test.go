package crash_test

import (
	"bufio"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A daemon is one life of `certvigil serve`.
type daemon struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	begun chan struct{} // closed when it listens, or has ended

	mu    sync.Mutex
	lines []string
	admin string    // the address of its listener, "" when it has none
	ready time.Time // when it listened
}

func startDaemon(t *testing.T, binary, dir string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: exec.Command(binary, "serve"), ended: make(chan struct{}), begun: make(chan struct{})}
	d.cmd.Dir = dir
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("starting certvigil serve: %v", err)
	}
	go func() {
		defer close(d.ended)
		begin := sync.OnceFunc(func() { close(d.begun) })
		defer begin()
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if d.read(lines.Text()) {
				begin()
			}
		}
		_ = d.cmd.Wait() // killed, as it should be; see kill
	}()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // it may be dead already
	return d
}

// read keeps a line of the log, and reports whether it says that the daemon
// listens.
func (d *daemon) read(line string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	_, rest, listens := strings.Cut(line, "listener=admin address=")
	if listens {
		d.ready = time.Now()
		d.admin, _, _ = strings.Cut(rest, " ")
	}
	return listens
}

// address waits for the daemon to listen, and returns where; "" when it ended
// before that.
func (d *daemon) address() string {
	<-d.begun
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.admin
}

// kill ends the daemon as a power failure would. It must not have ended by
// itself.
func (d *daemon) kill() {
	d.t.Helper()
	select {
	case <-d.ended:
		d.t.Fatalf("the daemon ended by itself: %s\n%s", d.cmd.ProcessState, strings.Join(d.lines, "\n"))
	default:
	}
	if err := d.cmd.Process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	<-d.ended
}

// readyAt is when this life began to listen, zero if it never did.
func (d *daemon) readyAt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready
}
