package main

import (
	"errors"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// expiring returns a client certificate with ten days left.
func expiring(name string) *certtest.Certificate {
	now := time.Now()
	ca := certtest.NewCA(certtest.CommonName("Issuer of " + name))
	return ca.Issue(certtest.CommonName(name), certtest.Client(), certtest.Validity(now.Add(-300*alert.Day), now.Add(10*alert.Day+time.Minute)))
}

func TestServe_Log(t *testing.T) {
	t.Parallel()
	channel := mailChannel("mail", "127.0.0.1:1")
	for name, config := range map[string][]string{
		"told":    {channel, alerting("mail")},
		"silent":  {},
		"deaf":    {channel, alerting()},
		"partial": {channel, strings.Replace(alerting("mail"), `"ca", "client", "server", "crl"`, `"ca"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.configure(append([]string{s.application("orders", guarded)}, config...)...)
			ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
			s.command("ca", "add", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
			s.command("cert", "add", s.write("client.pem", ca.Issue(certtest.CommonName("James Royal"), certtest.Client()).PEM()))
			p := s.start()
			p.log.await(t, "msg=scanned")
			p.log.await(t, "applied what is trusted")
			p.terminate()
			golden(t, "log_"+name+".golden", story(p.log.text(), s.dir))
		})
	}
}

var (
	logTime = regexp.MustCompile(`time=\S+ `)
	logTook = regexp.MustCompile(`took=\S+`)
)

// story is a log with what differs from run to run replaced. What the scanner
// and the watcher say comes when it comes: those lines are at the end, once.
func story(log, folder string) string {
	log = logTook.ReplaceAllString(logTime.ReplaceAllString(masked(log, folder), ""), "took=<span>")
	var told, aside []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "msg=scanned") || strings.Contains(line, "applied what is trusted") {
			aside = append(aside, line)
		} else {
			told = append(told, line)
		}
	}
	slices.Sort(aside)
	return strings.Join(told, "") + "\nMeanwhile:\n" + strings.Join(slices.Compact(aside), "")
}

func TestServe_StopsInTimeWhateverHangs(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	stalled, connected := startStalled(t)
	s.configure(s.application("orders", guarded), mailChannel("mail", stalled), alerting("mail"))
	ca := certtest.NewCA()
	james := ca.Issue(certtest.Client())
	s.command("ca", "add", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	p := s.start()
	<-connected // the delivery is in flight
	slow := s.client(p, james, true, nil)
	go func() {
		if answer, err := slow.Get("https://" + guarded + "/"); err == nil { // it is cut off, or fails: both are an end
			_ = answer.Body.Close()
		}
	}()
	<-asked
	took := p.terminate()
	t.Logf("stopping took %s", took)
	if took >= 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if !p.log.has("msg=stopped") {
		t.Error("the log does not say that it stopped")
	}
	deliveries := jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--json"))
	if len(deliveries) != 1 || deliveries[0].State != alert.StatePending {
		t.Errorf("the claimed delivery was lost: %+v", deliveries)
	}
}

func TestServe_IdleStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	if took := s.start().terminate(); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestServe_RefusesASecondDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure()
	s.start()
	out, err := s.try("serve")
	if code := exitCode(err); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"error: process ", "is serving this store already", "hint: stop it first"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

func TestServe_PortTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	s := newSite(t, nil)
	s.write("config.toml", []byte("[admin]\nlisten = \""+ln.Addr().String()+"\"\n"))
	out, err := s.try("serve")
	if code := exitCode(err); code != 1 || !strings.Contains(out, "error: admin.listen: ") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

func TestServe_Reload(t *testing.T) {
	t.Parallel()
	const other = "other.example.com"
	s := newSite(t, nil)
	orders := s.application("orders", guarded)
	s.configure(orders)
	ca := certtest.NewCA()
	s.command("ca", "add", "--hostname", guarded, "--hostname", other, s.write("ca.pem", ca.PEM()))
	p := s.start()
	c := s.client(p, ca.Issue(certtest.Client()), true, nil)
	if got := c.status(t, guarded); got != http.StatusOK {
		t.Fatalf("status %d, want 200", got)
	}
	if answer, err := c.Get("https://" + other + "/"); err == nil {
		_ = answer.Body.Close()
		t.Fatalf("a host without application answers %d", answer.StatusCode)
	}

	s.configure(orders, s.application("other", other))
	p.signal(syscall.SIGHUP)
	p.log.await(t, "reloaded the configuration", "applications=2")
	if got := c.status(t, other); got != http.StatusOK {
		t.Errorf("the new application answers %d, want 200", got)
	}

	s.configure(orders, "[scanner]\nshedule = \"@every 1m\"\n")
	p.signal(syscall.SIGHUP)
	line := p.log.await(t, "level=ERROR", "the old one stays in force", "scanner.shedule")
	if !strings.Contains(line, "config.toml:") || !strings.Contains(line, "hint=") {
		t.Errorf("the log names neither line nor remedy: %s", line)
	}
	s.configure(orders, "[storage]\ndsn = \"elsewhere.db\"\n")
	p.signal(syscall.SIGHUP)
	p.log.await(t, "level=ERROR", "the old one stays in force", "storage.dsn changed", "restart")
	s.write("config.toml", []byte(strings.Replace(listeners, "127.0.0.1:0", "127.0.0.1:1", 1)+orders))
	p.signal(syscall.SIGHUP)
	p.log.await(t, "level=ERROR", "the old one stays in force", "admin.listen changed", "restart")
	for _, host := range []string{guarded, other} {
		if got := c.status(t, host); got != http.StatusOK {
			t.Errorf("after refused reloads, %s answers %d, want 200", host, got)
		}
	}

	s.configure(orders)
	p.signal(syscall.SIGHUP)
	p.log.await(t, "reloaded the configuration", "applications=1")
	if got := c.status(t, guarded); got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
	p.terminate()
}

func TestServe_ReloadMendsAChannel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	broken, whole := started(t, startHTTP), started(t, startHTTP)
	broken.answer(http.StatusForbidden)
	s.configure(webhookChannel("hook", broken.addr), alerting("hook"))
	s.command("cert", "add", s.write("client.pem", expiring("scanner 7").PEM()))
	p := s.start()
	first := broken.next(t)
	p.log.await(t, "channel failing")
	s.configure(webhookChannel("hook", whole.addr), alerting("hook"))
	p.signal(syscall.SIGHUP)
	if again := whole.next(t); again.header.Get("Webhook-Id") != first.header.Get("Webhook-Id") {
		t.Errorf("webhook-id %q, want that of the first attempt, %q", again.header.Get("Webhook-Id"), first.header.Get("Webhook-Id"))
	}
	p.log.await(t, "channel works again")
	p.terminate()
}

func TestServe_TellsSystemd(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	if err := socket.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		buffer := make([]byte, 4096)
		for {
			n, err := socket.Read(buffer)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			state := strings.Split(strings.TrimSpace(string(buffer[:n])), "\n")
			if state[0] == "WATCHDOG=1" && want != "WATCHDOG=1" {
				continue
			}
			if state[0] != want {
				t.Fatalf("systemd was told %q, want %s", state, want)
			}
			return
		}
	}
	p := s.launch("NOTIFY_SOCKET="+s.path("notify"), "WATCHDOG_USEC=60000000")
	expect("READY=1")
	p.log.await(t, "listener=enforcer") // written by now, but perhaps not read
	expect("WATCHDOG=1")
	p.signal(syscall.SIGHUP)
	expect("RELOADING=1")
	expect("READY=1")
	p.signal(syscall.SIGTERM)
	expect("STOPPING=1")
	if code, _ := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
