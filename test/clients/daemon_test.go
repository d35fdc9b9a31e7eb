package clients_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
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

// account is any id: none is configured.
const account = "0123456789abcdef0123456789abcdef"

// A gateway is a running daemon with tokens for its API.
type gateway struct {
	program, config string
	api             string // base URL, without a slash at its end
	write, read     string // secrets of tokens
}

// newGateway starts a daemon of its own for a test, with more configuration if
// need be.
func newGateway(t *testing.T, more ...string) gateway {
	t.Helper()
	dir, admin := t.TempDir(), freeAddress(t)
	g := gateway{program: program(t), config: filepath.Join(dir, "config.toml"), api: "http://" + admin + "/client/v4"}
	text := fmt.Sprintf("[admin]\nlisten = %q\npublic_url = %q\n[enforcer]\nlisten = \"\"\n%s", admin, "http://"+admin, strings.Join(more, ""))
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.serve(t, "http://"+admin+"/readyz")
	g.write, g.read = g.token(t, "write"), g.token(t, "read")
	return g
}

var built struct {
	sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}

// program returns the path of the binary, which it builds once if need be.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CERTVIGIL_BIN"); path != "" {
		return path
	}
	built.Do(func() {
		dir, err := os.MkdirTemp("", "certvigil-clients-")
		if err != nil {
			built.err = err
			return
		}
		built.dir, built.path = dir, filepath.Join(dir, "certvigil")
		cmd := exec.Command("go", "build", "-o", built.path, "./cmd/certvigil")
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("building certvigil: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func (g gateway) serve(t *testing.T, readyURL string) {
	t.Helper()
	var log bytes.Buffer // read only once the process has ended
	cmd := exec.Command(g.program, "serve", "-c", g.config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("the log of certvigil serve:\n%s", &log)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ready(readyURL) {
			return
		}
	}
	t.Fatal("certvigil serve is not ready within 30 s")
}

func ready(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (g gateway) token(t *testing.T, scope string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), g.program, "token", "create", "--name", scope, "--scope", scope, "--json", "-c", g.config).Output()
	if err != nil {
		t.Fatalf("certvigil token create: %v", err)
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Token == "" {
		t.Fatalf("certvigil token create --json: %v\n%s", err, out)
	}
	return made.Token
}

// freeAddress returns a loopback address on which nothing listens now, below
// the ports that systems hand out by themselves.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port found")
	return ""
}

// A ca is a self-signed CA as it is uploaded.
type ca struct {
	pem, fingerprint string // the fingerprint as the reference writes it
	notAfter         time.Time
}

func newCA(t *testing.T, name string, days int) ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days).UTC().Truncate(time.Second),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(der)
	return ca{
		pem:         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		fingerprint: "MD5 Fingerprint=" + strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"),
		notAfter:    template.NotAfter,
	}
}
