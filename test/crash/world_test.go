package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The recipients of the mail channel.
var mailboxes = []string{"oncall@example.com", "boss@example.com"}

// A world is a daemon's folder, its receivers and what the driver knows.
type world struct {
	t         *testing.T
	dir       string
	binary    string
	token     string
	authority *authority
	ledger    *ledger
	receivers []*receiver
	lives     []*daemon
	clients   []*client
}

// A client is one certificate of the run.
type client struct {
	name, id string
	uploaded time.Time
	next     []byte // its renewed certificate, PEM; nil = none
	renewal  *renewal
}

// A renewal is one that was answered.
type renewal struct {
	answered time.Time
	sending  map[string]bool // the deliveries that were being sent just then
	looked   time.Time       // when those were asked for
}

func newWorld(t *testing.T, seed int64) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), binary: program(t), authority: newAuthority(t), ledger: &ledger{}}
	mail, slack, hook := w.receiver("mail", seed), w.receiver("slack", seed), w.receiver("hook", seed)
	t.Cleanup(mail.serveSMTP())
	t.Cleanup(slack.serveHTTP(readSlack))
	t.Cleanup(hook.serveHTTP(readStandard))
	w.write("config.toml", fmt.Appendf(nil, configuration, mail.addr(), strings.Join(mailboxes, `", "`), slack.addr(), hook.addr()))
	w.command("ca", "add", "--name", "fleet", w.write("ca.pem", asPEM(w.authority.cert.Raw)))
	var token struct {
		Secret string `json:"token"`
	}
	w.json(&token, "token", "create", "--name", "crash", "--scope", "renew")
	w.token = token.Secret
	return w
}

// The receivers are alone on loopback: what is told is told by all of them.
const configuration = `[admin]
listen = "127.0.0.1:0"
[enforcer]
listen = ""
[[channel]]
name = "mail"
type = "email"
smtp = %q
tls = "none"
from = "certvigil@example.com"
to = ["%s"]
[[channel]]
name = "slack"
type = "slack"
webhook_url = "http://%s/services/T0/B0/crash"
[[channel]]
name = "hook"
type = "webhook"
format = "standard"
secret = "whsec_Y3Jhc2ggY3Jhc2ggY3Jhc2ggY3Jhc2g="
url = "http://%s/hook"
[[alert]]
name = "default"
before = ["30d"]
channels = ["mail", "slack", "hook"]
`

func (w *world) receiver(channel string, seed int64) *receiver {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	r := &receiver{fickle: newFickle(seed, uint64(len(w.receivers)+1)), channel: channel, ledger: w.ledger, ln: ln}
	w.receivers = append(w.receivers, r)
	return r
}

// program is the certvigil to test, built when none is named.
func program(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("CERTVIGIL_BIN"); named != "" {
		return named
	}
	built := filepath.Join(t.TempDir(), "certvigil")
	cmd := exec.Command("go", "build", "-o", built, "./cmd/certvigil")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building certvigil: %v\n%s", err, out)
	}
	return built
}

func (w *world) write(name string, data []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// command carries out a command beside the daemon and returns its output.
func (w *world) command(args ...string) []byte {
	w.t.Helper()
	cmd := exec.Command(w.binary, args...)
	cmd.Dir = w.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Errorf("certvigil %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func (w *world) json(v any, args ...string) {
	w.t.Helper()
	if err := json.Unmarshal(w.command(append(args, "--json")...), v); err != nil {
		w.t.Errorf("certvigil %s: %v", strings.Join(args, " "), err)
	}
}

func (w *world) start() *daemon {
	w.t.Helper()
	d := startDaemon(w.t, w.binary, w.dir)
	w.lives = append(w.lives, d)
	return d
}

// upload adds a certificate that is to be told of at once.
func (w *world) upload() {
	c := &client{name: fmt.Sprintf("crash-%04d", len(w.clients)), uploaded: time.Now()}
	file := w.write("client.pem", w.authority.client(c.name, 20))
	var added struct {
		ID string `json:"id"`
	}
	w.json(&added, "cert", "add", file)
	c.id = added.ID
	if len(w.clients)%renewedOf == 0 {
		c.next = w.authority.client(c.name, 300)
	}
	w.clients = append(w.clients, c)
}

// renew renews the youngest certificate that is to be renewed and was uploaded
// some time ago, by the daemon's API: most likely it is just being told of. It
// reports whether there was one and the daemon answered.
func (w *world) renew(d *daemon, age time.Duration) bool {
	for _, c := range slices.Backward(w.clients) {
		if c.next == nil || c.renewal != nil || time.Since(c.uploaded) < age {
			continue
		}
		address := d.address()
		if address == "" || !w.post(address, c) {
			return false
		}
		c.renewal = &renewal{answered: time.Now(), sending: map[string]bool{}}
		for _, d := range w.deliveries("--state", "sending") {
			c.renewal.sending[d.ID] = true
		}
		c.renewal.looked = time.Now()
		return true
	}
	return false
}

// post reports whether a renewal was answered.
func (w *world) post(address string, c *client) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/renewals?item="+c.id, bytes.NewReader(c.next))
	if err != nil {
		w.t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // it was killed
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusOK {
		w.t.Errorf("renewing %s: %s", c.name, answer.Status)
		return false
	}
	return true
}

// retry makes all that waits or died due now: the daemon's own schedule goes
// over days.
func (w *world) retry() {
	for _, r := range w.receivers {
		w.command("delivery", "retry", "--channel", r.channel)
	}
}

// calm lets the receivers take everything from now on.
func (w *world) calm() {
	for _, r := range w.receivers {
		r.soothe()
	}
}

// drain waits until nothing is left to be sent.
func (w *world) drain(limit time.Duration) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); ; {
		left := 0
		for _, d := range w.deliveries() {
			if d.State != "sent" && d.State != "cancelled" {
				left++
			}
		}
		switch {
		case left == 0:
			return
		case time.Now().After(deadline):
			w.t.Fatalf("%d deliveries were not settled within %s", left, limit)
		}
		w.retry()
		time.Sleep(500 * time.Millisecond)
	}
}

// A delivery is one as the store has it.
type delivery struct {
	ID        string   `json:"id"`
	Channel   string   `json:"channel"`
	Recipient string   `json:"recipient"`
	Alerts    []string `json:"alerts"`
	State     string   `json:"state"`
}

func (w *world) deliveries(flags ...string) (list []delivery) {
	w.t.Helper()
	w.json(&list, append([]string{"delivery", "list", "--limit", "1000000"}, flags...)...)
	return list
}
