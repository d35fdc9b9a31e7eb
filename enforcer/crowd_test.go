package enforcer_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
)

// The variables that make a process of this test binary a crowd of clients.
const (
	crowdAddr = "CERTVIGIL_TEST_CROWD_ADDR"
	crowdDir  = "CERTVIGIL_TEST_CROWD_DIR"
	crowdSize = "CERTVIGIL_TEST_CROWD_SIZE"
)

// A crowd is a process of clients that have made a request each and then
// keep their connections open without using them. A process of its own, since
// the limit of open files counts for one.
type crowd struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func newCrowd(t testing.TB, g *guard, size int) *crowd {
	t.Helper()
	dir := t.TempDir()
	pair := g.james()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca": {Type: "CERTIFICATE", Bytes: g.serverCA.Certificate.Raw}, "cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &crowd{cmd: exec.Command(os.Args[0], "-test.run=^TestCrowd_process$", "-test.timeout=5m")}
	c.cmd.Env = append(os.Environ(), crowdAddr+"="+g.addr, crowdDir+"="+dir, crowdSize+"="+strconv.Itoa(size))
	c.cmd.Stderr = os.Stderr
	stdin, err1 := c.cmd.StdinPipe()
	stdout, err2 := c.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, c.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	c.stdin, c.out = stdin, bufio.NewReader(stdout)
	t.Cleanup(c.leave)
	return c
}

// gathered waits until all connections are idle.
func (c *crowd) gathered(t testing.TB) {
	t.Helper()
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			t.Fatalf("the crowd has dispersed: %v", err)
		}
		if line == "gathered\n" {
			return
		}
		t.Log(strings.TrimSpace(line))
	}
}

// leave closes all connections at once.
func (c *crowd) leave() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait() // it has nothing to tell
}

// TestCrowd_process is what the process of a crowd runs.
func TestCrowd_process(t *testing.T) {
	addr, size := os.Getenv(crowdAddr), os.Getenv(crowdSize)
	if addr == "" {
		return // this is the process of the tests
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		t.Fatal(err)
	}
	conns := gather(t, addr, os.Getenv(crowdDir), n)
	fmt.Println("gathered")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, conn := range conns {
		_ = conn.NetConn().Close()
	}
}

// gather opens the connections, a few at a time. The first handshake is a
// full one, the others resume: what is idle afterwards is the same.
func gather(t *testing.T, addr, dir string, n int) []*tls.Conn {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cfg := &tls.Config{
		RootCAs: roots, ServerName: orders, ClientSessionCache: tls.NewLRUClientSessionCache(1),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
	conns := make([]*tls.Conn, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			buf := make([]byte, 4<<10)
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				conn, err := tls.Dial("tcp", addr, cfg)
				if err == nil {
					_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+orders+"\r\n\r\n")
				}
				if err == nil {
					_, err = conn.Read(buf)
				}
				if err != nil || !strings.HasPrefix(string(buf), "HTTP/1.1 200") {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
			}
		})
	}
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return conns
}

// crowdOf returns the size asked for, or what the limit of open files allows.
func crowdOf(t testing.TB, size int) int {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	const ours = 500 // for all else
	if allowed := int(min(files.Cur, 1<<20)) - ours; allowed < size {
		t.Logf("the limit of %d open files allows for %d connections in place of %d", files.Cur, allowed, size)
		return allowed
	}
	return size
}

// TestCrowd: thousands of idle connections stop nobody, and leave nothing behind.
func TestCrowd(t *testing.T) {
	size := crowdOf(t, fullCrowd)
	var connections atomic.Int64
	before := runtime.NumGoroutine()
	g := newGuardWith(t, enforcer.Options{Metrics: enforcer.Metrics{Connections: func(n int) { connections.Add(int64(n)) }}})
	c := newCrowd(t, g, size)
	client := g.client(g.james(), func(tr *http.Transport) { tr.ResponseHeaderTimeout = 20 * time.Second })
	done := make(chan struct{})
	served := make(chan int, 1)
	go func() {
		n := 0
		defer func() { served <- n }()
		for ; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			res, err := client.Get("https://" + orders + "/")
			if err != nil {
				t.Errorf("while the crowd gathers: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("while the crowd gathers: status %d", res.StatusCode)
			}
		}
	}()
	c.gathered(t)
	close(done)
	if n := <-served; n == 0 {
		t.Error("nobody was served while the crowd gathered")
	}
	if n := connections.Load(); n < int64(size) {
		t.Errorf("%d connections are open, want %d", n, size)
	}
	for range 20 {
		wantStatus(t, get(t, client, "https://"+orders+"/"), 200)
		wantStatus(t, get(t, g.client(leaf(g.ca), http2), "https://"+orders+"/"), 200)
	}
	c.leave()
	eventually(t, "the crowd is forgotten", func() bool { return connections.Load() < 100 })
	eventually(t, "its goroutines have ended", func() bool { return runtime.NumGoroutine() < before+size/4 })
}

// BenchmarkIdle reports what an idle connection holds in memory, heap and
// stacks, of the 10,000 that are open at once.
func BenchmarkIdle(b *testing.B) {
	size := crowdOf(b, 10_000)
	for b.Loop() {
		g := newBenchGuard(b)
		before := residentBytes()
		c := newCrowd(b, g, size)
		c.gathered(b)
		b.ReportMetric(float64(residentBytes()-before)/float64(size)/1024, "KiB/conn")
		start := time.Now()
		wantStatus(b, get(b, g.client(g.james()), "https://"+orders+"/"), 200)
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/newcomer")
		c.leave()
	}
}

func residentBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
