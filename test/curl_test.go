package walkthrough_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A browser asks the gateway by curl, as the page tells people to.
type browser struct {
	workshop
	gateway string // host:port
}

// A reply is what curl got.
type reply struct {
	status int
	header http.Header
	body   string
	trace  string // curl -v
}

func (r reply) String() string {
	return fmt.Sprintf("status %d, header %v\n%s\n%s", r.status, r.header, r.body, r.trace)
}

// cookie returns the value of the CF_Authorization cookie that was set, or "".
func (r reply) cookie() string {
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == "CF_Authorization" {
			return c.Value
		}
	}
	return ""
}

// get is `curl -sv https://HOSTNAME --cacert … [--cert NAME.pem --key
// NAME-key.pem]`; certificate "" sends none.
func (b browser) get(t *testing.T, hostname, certificate string, extra ...string) reply {
	t.Helper()
	dir := t.TempDir()
	headers, body := filepath.Join(dir, "headers"), filepath.Join(dir, "body")
	_, port, err := net.SplitHostPort(b.gateway)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-sv", "--noproxy", "*", "--max-time", "20", "--resolve", hostname + ":" + port + ":127.0.0.1", "--cacert", "server-ca.pem",
		"-D", headers, "-o", body, "-w", "%{http_code}",
	}
	if certificate != "" {
		args = append(args, "--cert", certificate+".pem", "--key", certificate+"-key.pem")
	}
	args = append(append(args, extra...), "https://"+net.JoinHostPort(hostname, port)+"/")
	r := mustRun(t, b.dir, b.curl, args...)
	status, err := strconv.Atoi(r.stdout)
	if err != nil {
		t.Fatalf("curl -w %%{http_code}: %v", err)
	}
	return reply{status, readHeader(t, headers), string(readFile(t, body)), r.stderr}
}

func readHeader(t *testing.T, path string) http.Header {
	t.Helper()
	data := readFile(t, path)
	_, fields, _ := strings.Cut(string(data), "\r\n") // the status line
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("reading the header that curl saved: %v\n%s", err, data)
	}
	return http.Header(header)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Clean(path))
	if os.IsNotExist(err) {
		return nil // curl makes no file for an empty body
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}
