package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
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

	"github.com/certvigil/certvigil/internal/certtest"
)

// guarded is the host name of the application in these tests.
const guarded = "orders.example.com"

// A site is a folder with a configuration, in which daemons run and commands
// are carried out.
type site struct {
	t      *testing.T
	dir    string
	server *certtest.Certificate // of the listener
	origin string                // address of the application behind it
	flags  []string              // of daemons, beside that of the configuration
}

// newSite makes the folder with a server certificate for the guarded host.
func newSite(t *testing.T, origin http.Handler) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), server: certtest.SelfSigned(certtest.CommonName(guarded), certtest.Server(guarded, "other.example.com"))}
	s.write("server.pem", s.server.PEM())
	s.write("server-key.pem", s.server.KeyPEM())
	if origin == nil {
		origin = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: origin, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	s.origin = ln.Addr().String()
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name string, data []byte) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// listeners are the tables that every configuration here has: ports are chosen
// by the system and read from the log.
const listeners = `[admin]
listen = "127.0.0.1:0"
[enforcer]
listen = "127.0.0.1:0"
[[enforcer.certificate]]
cert = "server.pem"
key = "server-key.pem"
`

// application is a table that guards a host name.
func (s *site) application(name, hostname string) string {
	return fmt.Sprintf(`[[application]]
name = %q
hostname = %q
origin = "http://%s"
[[application.policy]]
name = "devices"
action = "service_auth"
include = [{ certificate = true }]
`, name, hostname, s.origin)
}

// alerting is a rule for the named channels.
func alerting(channels ...string) string {
	quoted, _ := json.Marshal(append([]string{}, channels...))
	return "[[alert]]\nname = \"default\"\nkinds = [\"ca\", \"client\", \"server\", \"crl\"]\nchannels = " + string(quoted) + "\n"
}

func mailChannel(name, addr string) string {
	return fmt.Sprintf("[[channel]]\nname = %q\ntype = \"email\"\nsmtp = %q\ntls = \"none\"\nfrom = \"certvigil@example.com\"\nto = [\"oncall@example.com\"]\n", name, addr)
}

func webhookChannel(name, addr string) string {
	return fmt.Sprintf("[[channel]]\nname = %q\ntype = \"webhook\"\nformat = \"standard\"\nsecret = \"whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=\"\nurl = \"http://%s/%s\"\n", name, addr, name)
}

// configure writes config.toml.
func (s *site) configure(parts ...string) {
	s.t.Helper()
	s.write("config.toml", []byte(listeners+strings.Join(parts, "")))
}

// command carries out a command of the real program and returns its output.
func (s *site) command(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("certvigil %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) try(args ...string) (string, error) {
	cmd := exec.Command(binary(s.t), append(args, "-c", s.path("config.toml"))...)
	cmd.Dir = s.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out) + stderr.String(), err
	}
	return string(out), nil
}

// A process is a running daemon.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     *journal
	done    chan struct{} // closed when it has ended
	admin   string
	gateway string // "" when it guards nothing
}

// start starts a daemon and waits until it watches. It is killed at the end of
// the test when it still runs.
func (s *site) start(env ...string) *process {
	s.t.Helper()
	p := s.launch(env...)
	p.log.await(s.t, "scanning")
	p.admin = p.address("admin")
	if p.log.has("listener=enforcer") {
		p.gateway = p.address("enforcer")
	}
	return p
}

// launch starts a daemon without waiting for anything.
func (s *site) launch(env ...string) *process {
	s.t.Helper()
	cmd := exec.Command(binary(s.t), append([]string{"serve", "-c", s.path("config.toml")}, s.flags...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &process{t: s.t, cmd: cmd, log: newJournal(), done: make(chan struct{})}
	go func() {
		p.log.read(stderr)
		_ = cmd.Wait() // its exit code is in cmd.ProcessState
		close(p.done)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("the daemon's log:\n%s", p.log.text())
		}
	})
	return p
}

// address returns where a listener of the daemon is, from its log.
func (p *process) address(listener string) string {
	p.t.Helper()
	line := p.log.await(p.t, "listener="+listener)
	_, rest, _ := strings.Cut(line, "address=")
	address, _, _ := strings.Cut(rest, " ")
	return address
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit code and how long the daemon still ran.
func (p *process) wait() (code int, took time.Duration) {
	p.t.Helper()
	begun := time.Now()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), time.Since(begun)
	case <-time.After(patience):
		p.t.Fatal("the daemon does not end")
		return 0, 0
	}
}

// terminate ends the daemon as systemd does; it must end well.
func (p *process) terminate() (took time.Duration) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	code, took := p.wait()
	if code != 0 {
		p.t.Errorf("the daemon ended with %d", code)
	}
	return took
}

// kill ends the daemon at once, as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// A journal is the log of a daemon while it is written.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced at each line
	ended bool
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) read(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		j.note(func() { j.lines = append(j.lines, lines.Text()) })
	}
	j.note(func() { j.ended = true })
}

func (j *journal) note(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
	close(j.more)
	j.more = make(chan struct{})
}

// await returns the first line that holds every one of the words.
func (j *journal) await(t *testing.T, words ...string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		line, more, ended := j.find(words)
		if line != "" {
			return line
		}
		if ended {
			t.Fatalf("the daemon ended without logging %q:\n%s", words, j.text())
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the daemon did not log %q:\n%s", words, j.text())
		}
	}
}

func (j *journal) find(words []string) (line string, more <-chan struct{}, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
lines:
	for _, line := range j.lines {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return line, j.more, j.ended
	}
	return "", j.more, j.ended
}

func (j *journal) has(words ...string) bool {
	line, _, _ := j.find(words)
	return line != ""
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n") + "\n"
}

// A client speaks with a daemon's guarding listener.
type client struct {
	*http.Client

	gateway string
}

// client returns a client with the given certificate, nil for none. It counts
// the connections it makes by dialled.
func (s *site) client(p *process, cert *certtest.Certificate, http2 bool, dialled func()) *client {
	config := &tls.Config{RootCAs: s.server.Pool(), MinVersion: tls.VersionTLS12}
	if cert != nil {
		config.Certificates = []tls.Certificate{cert.TLS()}
	}
	transport := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if dialled != nil {
				dialled()
			}
			return (&net.Dialer{}).DialContext(ctx, network, p.gateway)
		},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &client{&http.Client{Transport: transport, Timeout: patience}, p.gateway}
}

// status makes one request and returns the status.
func (c *client) status(t *testing.T, host string) int {
	t.Helper()
	answer, err := c.Get("https://" + host + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// promptly is for what takes a second; the rest is a busy machine's.
const promptly = 8 * time.Second

// becomes asks until the status is as wanted, which must be promptly after since,
// the moment at which the change was made.
func (c *client) becomes(t *testing.T, host string, want int, since time.Time) {
	t.Helper()
	eventually(t, fmt.Sprintf("the status of %s is %d", host, want), func() bool { return c.status(t, host) == want })
	if took := time.Since(since); took > promptly {
		t.Errorf("the status of %s became %d only after %s", host, want, took)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

// jsonOf decodes the JSON that a command printed.
func jsonOf[T any](t *testing.T, out string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	return v
}
