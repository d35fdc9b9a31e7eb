package walkthrough_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A postfix is a real mail server with folders of its own, on a loopback port,
// that wants TLS, delivers one person's mail to a Maildir and sends nothing on.
type postfix struct {
	addr, dir string
}

// The folders, as Postfix wants them: it is started by root, works as its own
// user, and delivers as nobody.
const (
	postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = /dev/stdout
myhostname = mx.example.com
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = example.com
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{oncall@example.com=oncall/}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_recipient_restrictions = check_recipient_access inline:{busy@example.com=DEFER}, reject_unauth_destination
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = %[1]s/cert.pem
smtpd_tls_key_file = %[1]s/key.pem
default_transport = error:this server sends nothing on
`
	postfixMaster = `%[1]s     inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
error     unix  -       -       n       -       -       error
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
`
)

// startPostfix starts a Postfix that ends with the test. Postfix's master can
// be nobody but root; whoever else runs the test is told so.
func startPostfix(t *testing.T) postfix {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("Postfix starts for root alone: run this test as root, as continuous integration does")
	}
	program := find(t, "postfix", "postfix")
	p := postfix{addr: freeAddress(t), dir: t.TempDir()}
	p.lay(t)
	log := &lockedBuffer{}
	cmd := exec.Command(program, "-c", filepath.Join(p.dir, "conf"), "start-fg")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting postfix: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		p.stop(t, cmd, ended)
		if t.Failed() {
			t.Logf("the log of postfix:\n%s", log)
		}
	})
	eventually(t, 30*time.Second, "postfix listens", func() error {
		select {
		case <-ended:
			t.Fatalf("postfix ended: %s\n%s", cmd.ProcessState, log)
		default:
		}
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return p
}

// lay makes the folders, the configuration and the server's certificate.
func (p postfix) lay(t *testing.T) {
	t.Helper()
	const nobody = 65534
	// Postfix's own user has to get there.
	must(t, os.Chmod(filepath.Dir(p.dir), 0o755))
	for _, name := range []string{"conf", "queue", "data", "mail"} {
		must(t, os.Mkdir(filepath.Join(p.dir, name), 0o755))
	}
	must(t, os.Chown(filepath.Join(p.dir, "data"), idOf(t, "postfix"), -1))
	must(t, os.Chown(filepath.Join(p.dir, "mail"), nobody, nobody))
	_, port, err := net.SplitHostPort(p.addr)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(p.dir, "conf", "main.cf"), fmt.Appendf(nil, postfixMain, p.dir), 0o644))
	must(t, os.WriteFile(filepath.Join(p.dir, "conf", "master.cf"), fmt.Appendf(nil, postfixMaster, port), 0o644))
	mustRun(t, p.dir, find(t, "openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=mx.example.com", "-addext", "subjectAltName=IP:127.0.0.1")
}

// idOf returns the number of a system's user.
func idOf(t *testing.T, name string) int {
	t.Helper()
	id, err := strconv.Atoi(strings.TrimSpace(mustRun(t, t.TempDir(), "id", "-u", name).stdout))
	must(t, err)
	return id
}

// stop ends the master, which ends its family.
func (p postfix) stop(t *testing.T, cmd *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "queue", "pid", "master.pid"))
	master := cmd.Process.Pid
	if err == nil {
		if master, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			t.Errorf("the pid of postfix: %v", err)
			master = cmd.Process.Pid
		}
	}
	_ = syscall.Kill(master, syscall.SIGTERM) // it may have ended
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(master, syscall.SIGKILL)
		_ = cmd.Process.Kill()
		<-ended
		t.Error("postfix had to be killed")
	}
}

// mailbox returns the mails that were delivered, oldest first.
func (p postfix) mailbox(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "mail", "oncall", "new", "*"))
	must(t, err)
	var mails []string
	for _, file := range files { // Maildir names begin with the time
		text, err := os.ReadFile(file)
		must(t, err)
		mails = append(mails, string(text))
	}
	return mails
}

// gathering is for how long the ends of watches are gathered before they are told.
const gathering = time.Minute

// await returns the mails once there are so many.
func (p postfix) await(t *testing.T, count int) []string {
	t.Helper()
	var mails []string
	eventually(t, 30*time.Second+gathering, fmt.Sprintf("%d mails lie in the mailbox", count), func() error {
		if mails = p.mailbox(t); len(mails) != count {
			return fmt.Errorf("there are %d", len(mails))
		}
		return nil
	})
	return mails
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
