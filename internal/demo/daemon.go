package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// A world is what runs around the daemon, and where.
type world struct {
	dir              string
	gateway, admin   string // addresses of the daemon's listeners
	origin           string
	mail, slack, web *sink
	stops            []func()
}

var configTemplate = template.Must(template.New("config").Parse(`# The demo's configuration: see config.example.toml for every key.
[admin]
listen = "{{.Admin}}"
public_url = "http://{{.Admin}}"

[enforcer]
listen = "{{.Gateway}}"
issuer = "https://gateway.example.com"
[[enforcer.certificate]]
cert = "{{.ServerCert}}"
key = "{{.ServerKey}}"

[[application]]
name = "orders"
hostname = "{{.Hostname}}"
origin = "http://{{.Origin}}"
client_certificate_forwarding = "every"
[[application.policy]]
name = "devices"
action = "service_auth"
include = [{ certificate = true }]

[[channel]]
name = "oncall-mail"
type = "email"
smtp = "{{.SMTP}}"
tls = "none"
from = "Certvigil <certvigil@example.com>"
to = ["oncall@example.com"]

[[channel]]
name = "ops-slack"
type = "slack"
webhook_url = "http://{{.Slack}}/services/T000/B000/demo"

[[channel]]
name = "hook"
type = "webhook"
url = "http://{{.Webhook}}/certs"
format = "access"
secret = "demo-secret"

[[alert]]
name = "default"
kinds = ["ca", "client", "server", "crl"]
before = ["30d", "14d"]
channels = ["oncall-mail", "ops-slack", "hook"]
`))

// newWorld starts the origin and the receivers and writes the configuration.
func newWorld(dir string, now time.Time) (w *world, err error) {
	w = &world{dir: dir}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := writePKI(dir, now); err != nil {
		return nil, err
	}
	if err := w.startReceivers(); err != nil {
		return nil, err
	}
	if w.gateway, err = freeAddress(); err != nil {
		return nil, err
	}
	if w.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	return w, w.writeConfig()
}

func (w *world) startReceivers() (err error) {
	var stop func()
	if w.origin, stop, err = startOrigin(); err != nil {
		return err
	}
	w.stops = append(w.stops, stop)
	for _, s := range []struct {
		to    **sink
		start func() (*sink, error)
	}{{&w.mail, startSMTP}, {&w.slack, startHTTPSink}, {&w.web, startHTTPSink}} {
		if *s.to, err = s.start(); err != nil {
			return err
		}
		w.stops = append(w.stops, (*s.to).stop)
	}
	return nil
}

func (w *world) writeConfig() error {
	var b bytes.Buffer
	err := configTemplate.Execute(&b, map[string]string{
		"Admin": w.admin, "Gateway": w.gateway, "ServerCert": serverCert, "ServerKey": keyFile(serverCert), "Hostname": hostname,
		"Origin": w.origin, "SMTP": w.mail.addr, "Slack": w.slack.addr, "Webhook": w.web.addr,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(w.path("config.toml"), b.Bytes(), 0o600)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) close() {
	for _, stop := range w.stops {
		stop()
	}
}

// The ports that the daemon may get: below those that systems hand out by
// themselves (from 32768 on Linux), or another process might be given one
// between our finding it free and the daemon's listening on it.
const firstPort, ports = 20000, 12000

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	var failed error
	for range 20 {
		n, err := rand.Int(rand.Reader, big.NewInt(ports))
		if err != nil {
			return "", err
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatInt(firstPort+n.Int64(), 10)))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
		failed = err
	}
	return "", fmt.Errorf("looking for a free port: %w", failed)
}

// A daemon is a running `certvigil serve`.
type daemon struct {
	cmd  *exec.Cmd
	done chan error
	log  string
}

// startDaemon starts the daemon and waits until it answers that it is ready.
func (w *world) startDaemon(ctx context.Context, binary string) (*daemon, error) {
	logPath := w.path("certvigil.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }()
	// The demo ends the daemon itself, after the story was told to its end: a
	// Ctrl-C at the terminal must not reach it first.
	cmd := exec.Command(binary, "serve", "-c", w.path("config.toml"))
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the daemon: %w", err)
	}
	d := &daemon{cmd: cmd, done: make(chan error, 1), log: logPath}
	go func() { d.done <- cmd.Wait() }()
	if err := d.awaitReady(ctx, w.admin); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// awaitReady waits until the daemon answers that it is ready, and is the one
// that listens on the address: what answers there might be another's.
func (d *daemon) awaitReady(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := request{URL: "http://" + admin + "/readyz"}.do(ctx)
		if err == nil && answer.Status == http.StatusOK && strings.Contains(d.tail(), "listener=admin address="+admin) {
			return nil
		}
		select {
		case err := <-d.done:
			d.done <- err
			return fmt.Errorf("starting the daemon: it ended (%w); its log:\n%s", errors.Join(err, errors.New("before it was ready")), d.tail())
		case <-ctx.Done():
			return fmt.Errorf("starting the daemon: it was not ready in time: it last answered %d (%w); its log:\n%s", answer.Status, err, d.tail())
		case <-tick.C:
		}
	}
}

// stop ends the daemon as an operator would, and makes sure that it ended.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.done:
		d.done <- err
	case <-time.After(12 * time.Second):
		_ = d.cmd.Process.Kill()
	}
}

func (d *daemon) tail() string {
	data, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
